"""Each fusion by hand, then against a plain Python one over random lists with ties, gaps and users that models miss."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from recsys import columns as c
from recsys.frames.local_rows import local_rows
from recsys.scoring.fusion import MEMBER, METHODS, Fusion, _fused, fused

MODELS = ("mlp", "lightgcn", "ease")
List = Sequence[tuple[int, float]]  # items and scores, best first
Fused = list[tuple[int, float, str]]

# By item index, the place of its id: item 4 has the smallest id, item 0 the greatest.
ID_ORDER = np.array([4, 3, 2, 1, 0])
FIRST: List = [(0, 9.0), (1, 5.0), (2, 1.0)]
SECOND: List = [(2, 0.4), (0, 0.3), (3, 0.0)]


def fused_of(lists: Mapping[int, List], fusion: Fusion, n: int = 2, length: int = 9) -> Fused:
    """Of one user; lists by number of the model."""
    (found,) = fused_of_users([lists], fusion, n, length, ID_ORDER)
    return found


def fused_of_users(
    users: Sequence[Mapping[int, List]], fusion: Fusion, n: int, length: int, order: np.ndarray
) -> list[Fused]:
    entries = [
        [
            {MEMBER: member, c.ITEM_IDX: [item for item, _ in one], c.SCORE: [score for _, score in one]}
            for member, one in sorted(lists.items())
        ]
        for lists in users
    ]
    kind = pa.struct({MEMBER: pa.int32(), c.ITEM_IDX: pa.list_(pa.int32()), c.SCORE: pa.list_(pa.float64())})
    ids = pa.array([f"u{number}" for number in range(len(users))])
    block = pa.RecordBatch.from_arrays([ids, pa.array(entries, pa.list_(kind))], names=[c.USER_ID, "lists"])
    rows = _fused(block, fusion, order, n, length).to_pylist()
    assert [row[c.USER_ID] for row in rows] == ids.to_pylist()
    return [list(zip(row[c.ITEM_IDX], row[c.SCORE], row[c.SOURCE], strict=True)) for row in rows]


def test_reciprocal_ranks_are_summed_from_60_on() -> None:
    found = fused_of({0: FIRST, 1: SECOND}, Fusion(method="reciprocal_rank", models=MODELS))
    assert found == [
        (0, round(1 / 61 + 1 / 62, 9), "mlp+lightgcn"),
        (2, round(1 / 63 + 1 / 61, 9), "mlp+lightgcn"),
        (1, round(1 / 62, 9), "mlp"),
        (3, round(1 / 63, 9), "lightgcn"),
    ]


def test_the_mean_is_of_scores_within_each_list_and_counts_0_where_a_list_has_no_such_item() -> None:
    found = fused_of({0: FIRST, 1: SECOND}, Fusion(method="mean", models=MODELS))
    # 0: (1 + 0.75) / 2; 2: (0 + 1) / 2; 1: (0.5 + 0) / 2; 3 is the lowest of its list.
    assert found == [(0, 0.875, "mlp+lightgcn"), (2, 0.5, "mlp+lightgcn"), (1, 0.25, "mlp"), (3, 0.0, "lightgcn")]


def test_weights_count_by_their_share() -> None:
    weights = {"mlp": 1.0, "lightgcn": 3.0, "ease": 50.0}
    found = fused_of({0: FIRST, 1: SECOND}, Fusion(method="weighted", models=MODELS, weights=weights))
    # 0: (1 + 3 * 0.75) / 4; 2: 3 / 4; 1: 0.5 / 4. The third model does not know the user.
    assert found == [
        (0, 0.8125, "mlp+lightgcn"),
        (2, 0.75, "mlp+lightgcn"),
        (1, 0.125, "mlp"),
        (3, 0.0, "lightgcn"),
    ]


def test_a_vote_is_a_place_among_the_first_and_the_mean_parts_equal_votes() -> None:
    third: List = [(1, 2.0), (3, 1.0), (4, 0.0)]
    found = fused_of({0: FIRST, 1: SECOND, 2: third}, Fusion(method="vote", models=MODELS))
    # Votes: 0 of mlp, lightgcn; 1 of mlp, ease; 2 of lightgcn; 3 of ease. Means: 0.5833, 0.5, 0.3333, 0.1667, 0.
    assert found == [
        (0, round(2 + 1.75 / 6, 9), "mlp+lightgcn"),
        (1, 2.25, "mlp+ease"),
        (2, round(1 + 1 / 6, 9), "mlp+lightgcn"),
        (3, round(1 + 0.5 / 6, 9), "lightgcn+ease"),
        (4, 0.0, "ease"),
    ]


def test_at_equal_scores_the_smaller_item_id_comes_first_and_lists_end_at_their_length() -> None:
    both: Mapping[int, List] = {0: [(0, 3.0), (1, 2.0)], 1: [(3, 7.0), (4, 7.0)]}
    found = fused_of(both, Fusion(method="reciprocal_rank", models=MODELS), length=3)
    assert [item for item, _, _ in found] == [3, 0, 4], "the ids of 3 and 4 are smaller than those of 0 and 1"
    # A list of one score has it at 1.
    assert fused_of(both, Fusion(method="mean", models=MODELS), length=3) == [
        (4, 0.5, "lightgcn"), (3, 0.5, "lightgcn"), (0, 0.5, "mlp"),
    ]  # fmt: skip


def test_a_user_of_some_models_is_fused_from_those_and_one_without_an_item_keeps_an_empty_list() -> None:
    users: list[Mapping[int, List]] = [{1: SECOND}, {0: [], 2: []}, {0: [], 1: SECOND}]
    found = fused_of_users(users, Fusion(method="mean", models=MODELS), 2, 9, ID_ORDER)
    alone = [(2, 1.0, "lightgcn"), (0, 0.75, "lightgcn"), (3, 0.0, "lightgcn")]
    assert found == [alone, [], [(item, score / 2, source) for item, score, source in alone]]


def test_lists_of_all_partitions_meet_by_user(spark: SparkSession) -> None:
    schema = f"{c.USER_ID} string, {MEMBER} int, {c.ITEM_IDX} array<int>, {c.SCORE} array<double>"
    rows = [
        ("a", 1, [item for item, _ in SECOND], [score for _, score in SECOND]),
        ("b", 1, [3], [0.5]),
        ("a", 0, [item for item, _ in FIRST], [score for _, score in FIRST]),
    ]
    fusion = Fusion(method="mean", models=MODELS)
    lists = local_rows(spark, rows, schema).repartition(3)
    found = {row[c.USER_ID]: row for row in fused(lists, fusion, lambda: ID_ORDER, n=2, length=2).collect()}
    assert found.keys() == {"a", "b"}
    assert (found["a"][c.ITEM_IDX], found["a"][c.SCORE]) == ([0, 2], [0.875, 0.5])
    assert (found["b"][c.ITEM_IDX], found["b"][c.SOURCE]) == ([3], ["lightgcn"])


def plain(lists: Mapping[int, List], fusion: Fusion, n: int, length: int, order: np.ndarray) -> Fused:
    """The definitions, item by item."""
    weights = {member: fusion.weights.get(fusion.models[member], 1.0) for member in lists}
    found = []
    for item in {item for one in lists.values() for item, _ in one}:
        ranks, relative = {}, {}
        for member, one in lists.items():
            scores = [score for _, score in one]
            for rank, (named, score) in enumerate(one, start=1):
                if named == item:
                    ranks[member] = rank
                    span = max(scores) - min(scores)
                    relative[member] = (score - min(scores)) / span if span else 1.0
        mean = sum(weights[member] * value for member, value in relative.items()) / sum(weights.values())
        value = {
            "reciprocal_rank": sum(1 / (60 + rank) for rank in ranks.values()),
            "mean": mean,
            "weighted": mean,
            "vote": sum(rank <= n for rank in ranks.values()) + mean / 2,
        }[fusion.method]
        found.append((item, round(value, 9), "+".join(fusion.models[member] for member in sorted(ranks))))
    return sorted(found, key=lambda one: (-one[1], order[one[0]]))[:length]


@pytest.mark.parametrize("method", METHODS)
def test_any_lists_are_fused_as_the_definitions_say(method: str) -> None:
    generator = np.random.default_rng(7)
    weights = {"mlp": 0.5, "lightgcn": 2.0, "ease": 1.25} if method == "weighted" else {}
    fusion = Fusion(method=method, models=MODELS, weights=weights)
    order = generator.permutation(12)

    def one_list() -> List:
        items = generator.permutation(12)[: generator.integers(0, 9)].tolist()
        scores = sorted((generator.integers(-3, 4, len(items)) / 2).tolist(), reverse=True)
        return list(zip(items, scores, strict=True))

    users = [{member: one_list() for member in range(3) if generator.random() < 0.7} for _ in range(300)]
    users = [lists for lists in users if lists]
    found = fused_of_users(users, fusion, 3, 6, order)
    expected = [plain(lists, fusion, 3, 6, order) for lists in users]
    assert [[(item, source) for item, _, source in one] for one in found] == [
        [(item, source) for item, _, source in one] for one in expected
    ]
    scores = [score for one in found for _, score, _ in one]
    assert scores == pytest.approx([score for one in expected for _, score, _ in one], abs=2e-9)
    ties = sum(len(one) - len({score for _, score, _ in one}) for one in found)
    assert ties > 50, "nothing was tied"
    highest = {"reciprocal_rank": 3 / 61, "vote": 3.5}.get(method, 1.0)
    assert all(0 <= score <= highest + 1e-9 for score in scores)
