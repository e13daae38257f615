"""From sums over users to the rows of ops.metrics, and to the table that people read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys import columns as c
from recsys.evaluation.list_quality import LIST_METRICS
from recsys.evaluation.lists import MEASURED_KINDS, REPEATS_ALLOWED
from recsys.evaluation.ranking import DECIMALS, REPLICATE, value_name
from recsys.evaluation.significance import interval
from recsys.metrics import METRICS

MODEL = "model"
CANDIDATE_RECALL = "candidate_recall"

MetricRow = dict[str, Any]
Row = TypeVar("Row", bound=Mapping[str, Any])


def metric_rows(
    sums: Sequence[Mapping[str, Any]],
    of_lists: Sequence[Mapping[str, Any]],
    candidate_recalls: Sequence[Mapping[str, Any]],
    baselines: Sequence[str],
    k: int,
) -> list[MetricRow]:
    """The columns of ops.metrics that describe a figure, for every list kind that has users.

    The first three are the rows of ranking.sums_by_replicate, list_quality and candidate_recall.
    """
    rows: list[MetricRow] = []
    for kind in MEASURED_KINDS:
        replicates = sorted(_of_kind(sums, kind), key=lambda row: int(row[REPLICATE]))
        if replicates:
            num_users = int(replicates[0][c.NUM_USERS])
            of_kind = [
                *recommender_rows(replicates, (MODEL, *baselines), k),
                *(_of_list(row, k, num_users) for row in _of_kind(of_lists, kind) if row[c.VALUE] is not None),
                *(
                    _row(MODEL, CANDIDATE_RECALL, None, row[c.VALUE], num_users)
                    for row in _of_kind(candidate_recalls, kind)
                ),
            ]
            rows.extend({c.LIST_KIND: kind, **row} for row in of_kind)
    return rows


def figures_of(rows: Sequence[MetricRow]) -> dict[str, float | int]:
    """Of lists with repeats: users, candidate recall, and NDCG as `ndcg_at_10_model` and the like with its interval."""
    figures: dict[str, float | int] = {}
    for row in _of_kind(rows, REPEATS_ALLOWED):
        figures[c.NUM_USERS] = row[c.NUM_USERS]
        if row[c.METRIC] == CANDIDATE_RECALL:
            figures[CANDIDATE_RECALL] = row[c.VALUE]
        if row[c.METRIC] == "ndcg":
            name = f"ndcg_at_{row[c.K]}_{row[c.RECOMMENDER].replace('-', '_minus_')}"
            bounds = {f"{name}_{bound}": row[bound] for bound in (c.LOW, c.HIGH) if row[bound] is not None}
            figures.update({name: row[c.VALUE], **bounds})
    return figures


def table_text(rows: Sequence[Any]) -> str:
    """One aligned table a list kind: a line a metric, a column a recommender, then differences with their interval.

    `rows` are those of `metric_rows`, or of ops.metrics.
    """
    of_kinds = (_of_kind(rows, kind) for kind in MEASURED_KINDS)
    return "\n\n".join("\n".join(_table_lines(of_kind)) for of_kind in of_kinds if of_kind)


def recommender_rows(
    replicates: Sequence[Mapping[str, Any]], recommenders: Sequence[str], k: int
) -> Iterator[MetricRow]:
    """Each metric of each recommender, and the first one's differences from the others with their intervals.

    `replicates`: of one list kind, in their order.
    """
    tested, baselines = recommenders[0], recommenders[1:]
    users_B = np.array([row[c.NUM_USERS] for row in replicates])
    num_users = int(users_B[0])

    def means(name: str) -> NDArray[np.float64]:
        # A replicate may count no user at all: nan, which the interval leaves out.
        with np.errstate(invalid="ignore"):
            return np.divide(np.array([row[name] for row in replicates], dtype=np.float64), users_B)

    for metric in METRICS:
        of_tested = means(value_name(tested, metric))
        yield _row(tested, metric, k, of_tested[0], num_users)
        for baseline in baselines:
            of_baseline = means(value_name(baseline, metric))
            yield _row(baseline, metric, k, of_baseline[0], num_users)
            difference = of_tested - of_baseline
            bounds = interval(difference[1:])
            yield _row(f"{tested}-{baseline}", metric, k, difference[0], num_users, bounds)


def _of_list(row: Mapping[str, Any], k: int, num_users: int) -> MetricRow:
    return _row(row[c.RECOMMENDER], row[c.METRIC], k, row[c.VALUE], num_users)


def _row(
    recommender: str,
    metric: str,
    k: int | None,
    value: float,
    num_users: int,
    bounds: tuple[float, float] | tuple[None, None] = (None, None),
) -> MetricRow:
    low, high = (None if bound is None else round(float(bound), DECIMALS) for bound in bounds)
    return {
        c.RECOMMENDER: recommender,
        c.METRIC: metric,
        c.K: k,
        c.VALUE: round(float(value), DECIMALS),
        c.LOW: low,
        c.HIGH: high,
        c.NUM_USERS: num_users,
    }


def _of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row[c.LIST_KIND] == kind]


def _table_lines(rows: Sequence[Any]) -> Iterator[str]:
    found = {(row[c.METRIC], row[c.RECOMMENDER]): row for row in rows}
    recommenders = sorted({recommender for _, recommender in found})
    plain = [name for name in recommenders if "-" not in name]
    differences = [name for name in recommenders if "-" in name]
    recall = found[(CANDIDATE_RECALL, MODEL)][c.VALUE]
    users = f"{rows[0][c.NUM_USERS]:,} users with a purchase in the window"
    yield f"{rows[0][c.LIST_KIND]}: {users}; the candidate set holds {recall:.1%} of what they bought"
    yield f"  {'':<24}" + "".join(f"{name:>10}" for name in plain) + "".join(f"{name:>30}" for name in differences)
    for metric in (*METRICS, *LIST_METRICS):
        k = next((row[c.K] for row in rows if row[c.METRIC] == metric), None)
        cells = [f"{_value(found.get((metric, name))):>10}" for name in plain]
        cells += [f"{_with_interval(found.get((metric, name))):>30}" for name in differences]
        yield f"  {f'{metric}@{k}':<24}{''.join(cells)}".rstrip()


def _value(row: Any) -> str:
    return "" if row is None else f"{row[c.VALUE]:.4f}"


def _with_interval(row: Any) -> str:
    return "" if row is None else f"{row[c.VALUE]:+.4f} [{row[c.LOW]:+.4f}, {row[c.HIGH]:+.4f}]"
