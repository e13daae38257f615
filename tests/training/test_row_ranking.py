from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS
from recsys.config import load_config
from recsys.errors import SchemaError
from recsys.manifest import Manifest, RankingFiles, RowGroup
from recsys.training.loop import Fit
from recsys.training.objective import VALIDATION_NDCG, VALIDATION_RECALL
from recsys.training.requirements import require_files
from recsys.training.row_ranking import Ranked, hits, ranking_figures, ranking_sums
from recsys.training.row_validation import measured, validate
from tests.example_sets import columns_of, write_random_set
from tests.last_worker import LastWorker

SCORED = NUMERIC_INPUTS[0].name


def ranked(*rows: tuple[int, float, bool, int]) -> Ranked:
    user_P, score_P, is_bought_P, relevant_P = (np.array(column) for column in zip(*rows, strict=True))
    return Ranked(user_idx_P=user_P, score_P=score_P, is_bought_P=is_bought_P, relevant_P=relevant_P)


def test_equal_scores_stand_in_the_rows_order_and_users_apart() -> None:
    hits_UK, relevant_U = hits(
        ranked(
            (7, 0.5, True, 3),
            (7, 0.9, False, 3),
            (2, 0.4, False, 1),
            (2, 0.4, True, 1),  # as good as the one before it: second
            (7, 0.5 + 1e-9, False, 3),  # the same to six decimals
        )
    )
    assert hits_UK[:, :4].tolist() == [[False, True, False, False], [False, True, False, False]]
    assert hits_UK.shape == (2, 10)
    assert relevant_U.tolist() == [1, 3]


def test_what_is_no_candidate_and_users_without_any_count_in_the_mean() -> None:
    # The first of eleven is bought, and the eleventh, which is beyond the list; a third purchase is no candidate.
    of_one = ranked(*((4, -float(place), place in (0, 10), 3) for place in range(11)))
    ndcg, recall = ranking_figures(ranking_sums(of_one), RankingFiles(users=2))
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert ndcg == pytest.approx(1 / ideal / 2, abs=1e-12)
    assert recall == pytest.approx(1 / 3 / 2, abs=1e-12)


def test_without_users_there_is_no_figure() -> None:
    none = ranked((0, 0.0, False, 1))
    empty = Ranked(**{name: column[:0] for name, column in vars(none).items()})
    assert all(np.isnan(value) for value in ranking_figures(ranking_sums(empty), RankingFiles()))


class ScoredByAnInput(torch.nn.Module):
    def forward(self, _: torch.Tensor, numeric_BF: torch.Tensor) -> torch.Tensor:
        return numeric_BF[:, 0]


def write_ranking(folder: Path, sizes: Sequence[int], users: int = 9) -> RankingFiles:
    """User u has u + 1 candidates, and bought each third and one that is none; one more user has no candidates."""
    user_P = np.repeat(np.arange(users), np.arange(1, users + 1))
    is_bought_P = np.arange(len(user_P)) % 3 == 0
    relevant_P = 1 + np.bincount(user_P, weights=is_bought_P).astype(np.int32)[user_P]
    score_P = np.random.default_rng(5).integers(0, 4, len(user_P)) / 4  # with many equal ones
    columns = columns_of(len(user_P), {c.USER_IDX: user_P, SCORED: score_P})
    table = pa.table({**columns, c.LABEL: is_bought_P.astype(np.float32), c.NUM_RELEVANT: relevant_P})
    folder.mkdir(exist_ok=True)
    groups = []
    for number, of_file in enumerate(np.split(np.arange(users), sizes)):
        rows = table.take(pa.array(np.flatnonzero(np.isin(user_P, of_file))))
        pq.write_table(rows, folder / f"{number}.parquet")
        groups.append(RowGroup(file=f"{folder.name}/{number}.parquet", rows=len(rows)))
    return RankingFiles(row_groups=tuple(groups), users=users + 1)


def figures_of(folder: Path, manifest: Manifest, count: int) -> dict[str, float]:
    """By so many workers: those of the last one, who knows the sums of all."""
    worker = LastWorker(count)
    shared = Fit(
        model=ScoredByAnInput(),
        optimizer=None,
        config=load_config([]).train,
        workers=worker,
        device=torch.device("cpu"),
    )  # type: ignore[arg-type]  # nothing is learned
    for index in range(count):
        worker.index = index
        figures = validate(shared, str(folder), manifest)
    return figures


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write_random_set(tmp_path, [8], [12, 5])


def test_any_workers_and_any_cut_by_users_give_the_figures_of_one_process(tmp_path: Path, manifest: Manifest) -> None:
    whole = replace(manifest, ranking=write_ranking(tmp_path / "whole", []))
    expected = measured(ScoredByAnInput(), str(tmp_path), whole)
    assert 0.1 < expected[VALIDATION_RECALL] < 0.9
    for number, cuts in enumerate(([], [4], [1, 2, 8], [3, 5, 6, 7])):
        cut = replace(manifest, ranking=write_ranking(tmp_path / str(number), cuts))
        for count in (1, 2, 3):
            found = figures_of(tmp_path, cut, count)
            assert {name: found[name] for name in (VALIDATION_NDCG, VALIDATION_RECALL)} == {
                name: expected[name] for name in (VALIDATION_NDCG, VALIDATION_RECALL)
            }, (cuts, count)
            assert found == pytest.approx(expected)


def test_files_to_rank_that_do_not_say_what_was_bought_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    require_files(str(tmp_path), replace(manifest, ranking=write_ranking(tmp_path / "ranking", [])))
    table = pq.read_table(tmp_path / "ranking" / "0.parquet").drop_columns([c.NUM_RELEVANT])
    pq.write_table(table, tmp_path / "ranking" / "0.parquet")
    groups = (RowGroup(file="ranking/0.parquet", rows=len(table)),)
    with pytest.raises(SchemaError, match=r"ranking/0.parquet lacks \['num_relevant'\].*run build_examples again"):
        require_files(str(tmp_path), replace(manifest, ranking=RankingFiles(row_groups=groups, users=1)))
