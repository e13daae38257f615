"""Trainings that start from a registered version, on a lake that has more items by then."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs import train
from recsys import columns as c
from recsys import tables, tracking
from recsys.errors import ConfigError, InputError
from recsys.lake.example_files import write_example_files
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from recsys.training import interactions
from recsys.training import run as training_run
from recsys.training.workers import OneWorker
from tests.feature_rows import write_rows
from tests.jobs import test_interactions, test_train
from tests.jobs.test_train import examples_lake as examples_lake
from tests.small_lake import ITEMS
from tests.trained_lake import copied

pytestmark = pytest.mark.long

NEW_ITEM, NAMED_ITEM = "new", "named"
STILL = ("train.learning_rate=0.000000001", "train.weight_decay=0", "train.epochs=1")


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(work: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        train_one = interactions.train_on_pairs if work is interactions.work_on_pairs else training_run.train_with
        return [train_one(*arguments, OneWorker())]

    monkeypatch.setattr(training_run, "run_on_spark", in_this_process)


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("start") / "lake")


def weights_of(run: Run, figures: Figures, folder: Path) -> dict[str, Tensor]:
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    exported = tracking.download_model(registry, figures[c.MODEL_NAME], int(figures[c.MODEL_VERSION]), folder)
    weights: dict[str, Tensor] = torch.load(exported / "weights.pt", weights_only=True)
    return weights


def test_a_model_of_interactions_keeps_what_it_knew_and_places_new_items_by_words_or_category(
    lake: Lake, tmp_path: Path
) -> None:
    first_run = test_interactions.run_of(lake, "mf")
    first = run_stage(train.STAGE, first_run).figures
    categories = [*("dairy" if number % 2 == 0 else "bakery" for number in range(len(ITEMS))), "bakery", "dairy"]
    every = [*ITEMS, NEW_ITEM, NAMED_ITEM]
    names = {ITEMS[5]: "Rye bread", NAMED_ITEM: "Bread of rye"}
    write_rows(lake, tables.ITEM_IDS, [{c.ITEM_ID: item, c.ITEM_IDX: idx} for idx, item in enumerate(every)])
    items = [
        {c.ITEM_ID: i, c.NAME: names.get(i), c.CATEGORY: k, c.IS_ELIGIBLE: True}
        for i, k in zip(every, categories, strict=True)
    ]
    write_rows(lake, tables.ITEMS, items)
    start = f"train.start_from=recsys-mf/{first[c.MODEL_VERSION]}"
    second_run = test_interactions.run_of(lake, "mf", start, *STILL)
    assert tables.CATEGORY_IDS in train.STAGE.reads_of(second_run)
    second = run_stage(train.STAGE, second_run).figures
    assert second[c.MODEL_VERSION] == first[c.MODEL_VERSION] + 1
    known, now = (
        weights_of(run, figures, tmp_path / str(figures[c.MODEL_VERSION]))
        for run, figures in ((first_run, first), (second_run, second))
    )
    assert torch.allclose(now["user_UD"], known["user_UD"], atol=1e-6)
    assert torch.allclose(now["item_ID"][: len(ITEMS)], known["item_ID"], atol=1e-6)
    assert torch.allclose(now["item_ID"][-2], known["item_ID"][1::2].mean(dim=0), atol=1e-6), "the mean of bakery"
    assert torch.allclose(now["item_ID"][-1], known["item_ID"][5], atol=1e-6), "by words, though of another category"
    assert not (Path(lake.root) / "checkpoints" / "2017-12-18" / "mf").exists()
    other_models_are_refused(lake, start)


def other_models_are_refused(lake: Lake, start: str) -> None:
    with pytest.raises(ConfigError, match=r"names a model mf, expected lightgcn. Cure: train.start_from of a version"):
        run_stage(train.STAGE, test_interactions.run_of(lake, "lightgcn", start))
    with pytest.raises(
        ConfigError, match=r"and popular, a model of closed_form, starts from nothing. Cure: train.start"
    ):
        train.check(test_interactions.run_of(lake, "popular", start))
    with pytest.raises(InputError, match=r"model recsys-mf version 99 is not in the registry"):
        run_stage(train.STAGE, test_interactions.run_of(lake, "mf", "train.start_from=recsys-mf/99"))


def test_a_model_of_features_keeps_what_it_knew(examples_lake: Lake, tmp_path: Path) -> None:
    first_run = test_train.run_of(examples_lake)
    first = run_stage(train.STAGE, first_run).figures
    write_rows(examples_lake, tables.ITEM_IDS, [{c.ITEM_ID: str(idx), c.ITEM_IDX: idx} for idx in range(18)])
    # Of category 2 are the known items 0 to 3 and the new item 16; of the new item 17 nothing is known.
    items = [{c.ITEM_ID: str(idx), c.CATEGORY: "2"} for idx in (0, 1, 2, 3, 16)]
    write_rows(examples_lake, tables.ITEMS, items)
    version = examples_lake.version(tables.EXAMPLES)
    assert version is not None
    write_example_files(examples_lake, test_train.RUN_DATE, version, row_groups=3, versions={"clean.events": 0})
    start = f"train.start_from=recsys-mlp/{first[c.MODEL_VERSION]}"
    second_run = test_train.run_of(examples_lake, start, *STILL)
    second = run_stage(train.STAGE, second_run).figures
    known, now = (
        weights_of(run, figures, tmp_path / str(figures[c.MODEL_VERSION]))
        for run, figures in ((first_run, first), (second_run, second))
    )
    table = "embeddings.tables.1.weight"
    assert torch.allclose(now[table][:17], known[table], atol=1e-6)
    assert torch.allclose(now[table][17], known[table][1:5].mean(dim=0), atol=1e-6)
    assert torch.allclose(now[table][18], known[table][1:].mean(dim=0), atol=1e-6)
