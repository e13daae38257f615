"""What every network of histories keeps, on walks through a ring of items: what comes next is the next in the ring."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys import columns as c
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError
from recsys.families import HISTORIES
from recsys.models.histories import newest, windows, without_last
from recsys.models.registry import Spec, model_settings, model_spec, names_of
from recsys.models.sequences import NO_ITEM, SequenceNetwork
from recsys.training.run import Trained
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, train_on_sequences
from recsys.training.workers import OneWorker
from tests.planted_cycle import ITEMS, walks

HISTORY = 8
TINY: dict[str, Any] = {"dim": 8, "history": HISTORY, "dropout": 0.0, "negatives": 0}
OWN: dict[str, dict[str, Any]] = {"gru": {"hidden": 8}, "lstm": {"hidden": 8}, "caser": {"window": 3}}
NAMES = names_of(HISTORIES)
EVERY_MODEL = pytest.mark.parametrize("name", NAMES)
SOME = torch.tensor([[3, 9, 1, 5, 0, 0, 0, 0], [7, 2, 4, 8, 6, 11, 10, 12], [2, 0, 0, 0, 0, 0, 0, 0]])


def settings_of(name: str) -> dict[str, Any]:
    shipped, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    low = {"low_frequencies": 2} if "low_frequencies" in shipped else {}
    return {**shipped, **TINY, **low, **OWN.get(name, {})}


def spec_of(name: str, **changes: Any) -> Spec:
    return model_spec(name, {**settings_of(name), **changes})


def fresh(name: str, **changes: Any) -> SequenceNetwork:
    torch.manual_seed(3)
    return spec_of(name, **changes).build(ITEMS).eval()


def trained(folder: Path, spec: Spec, *, epochs: int, seed: int = 1) -> Trained:
    config = replace(
        load_config([]).train,
        epochs=epochs, batch_size=8, learning_rate=0.03, seed=seed, weight_decay=0.0, device="cpu",
        best_by="validation_ndcg",
    )  # fmt: skip
    train_RS = windows(without_last(walks()), HISTORY + 1)
    task = SequenceTask(
        spec=spec, config=config, folder=str(folder), items=ITEMS, targets=int((train_RS[:, 1:] != NO_ITEM).sum()),
        train=write_sequence_files(folder, c.TRAIN, train_RS, row_groups=2, seed=seed),
        validation=write_sequence_files(folder, c.VALIDATION, newest(walks(), HISTORY + 1), row_groups=2, seed=seed),
    )  # fmt: skip
    return train_on_sequences(task, OneWorker())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """By name, each made once."""

    @cache
    def of(name: str) -> Trained:
        torch.set_num_threads(1)
        return trained(tmp_path_factory.mktemp("walks") / name, spec_of(name), epochs=25)

    return of


@EVERY_MODEL
def test_what_comes_next_in_the_ring_is_ranked_first(name: str, fitted: Callable[[str], Trained]) -> None:
    curve = fitted(name).curve
    assert curve[-1].train_loss < 1 < 2 < curve[0].train_loss
    assert curve[-1].validation["validation_ndcg"] > 0.99


@EVERY_MODEL
def test_scores_are_those_of_all_items_and_one_history_scores_like_many(name: str) -> None:
    network = fresh(name)
    scores_BI = network.scores(SOME)
    assert scores_BI.shape == (3, ITEMS)
    assert scores_BI.dtype == torch.float32
    for row in range(3):
        torch.testing.assert_close(network.scores(SOME[row : row + 1])[0], scores_BI[row], rtol=1e-4, atol=1e-6)
    assert network.scores(SOME[:0]).shape == (0, ITEMS)


@EVERY_MODEL
def test_no_place_sees_later_ones(name: str) -> None:
    network = fresh(name)
    changed = SOME.clone()
    changed[1, 5:] = torch.tensor([1, 3, 5])
    before, after = network(SOME), network(changed)
    torch.testing.assert_close(after[1, :5], before[1, :5], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(after[1, 5], before[1, 5], atol=1e-4)


@EVERY_MODEL
def test_every_place_sees_the_item_before_it(name: str) -> None:
    network = fresh(name)
    changed = SOME.clone()
    changed[1, 3] = 1
    assert not torch.allclose(network(changed)[1, 4], network(SOME)[1, 4], atol=1e-5)


@EVERY_MODEL
def test_filling_up_changes_nothing(name: str) -> None:
    network = fresh(name)
    short = network.scores(SOME[:1, :4])
    torch.testing.assert_close(network.scores(SOME[:1]), short, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network.scores(SOME)[:1], short, rtol=1e-4, atol=1e-6)


@EVERY_MODEL
def test_no_history_scores_all_items_alike(name: str) -> None:
    scores_BI = fresh(name).scores(torch.zeros(1, HISTORY, dtype=torch.int64))
    assert torch.equal(scores_BI, torch.zeros(1, ITEMS))


@EVERY_MODEL
def test_the_loss_of_rows_is_the_sum_of_each_rows(name: str) -> None:
    network = fresh(name, history=9)
    rows = torch.cat([SOME, torch.zeros(3, 2, dtype=torch.int64)], dim=1)
    whole = network.loss_sum(rows, torch.tensor([2, 5, 5]))
    parts = [network.loss_sum(rows[row : row + 1], torch.tensor([2, 5, 5])) for row in range(2)]
    torch.testing.assert_close(whole, parts[0] + parts[1], rtol=1e-5, atol=0)


def test_every_network_of_histories_has_a_configuration_file_that_loads() -> None:
    for name in NAMES:
        shipped, train = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
        assert model_spec(name, shipped).name == name
        config = load_config([], [f"train.{key}={value}" for key, value in train.items()]).train
        assert config.best_by == "validation_ndcg"
    assert NAMES == ["bsarec", "caser", "gru", "lstm", "sasrec"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gru", {"dim": 0}, r"dim and history must be at least 1 and negatives at least 0, got 0, 8 and 0"),
        ("gru", {"dropout": 1.0}, r"dropout must be from 0 to below 1, got 1.0"),
        ("lstm", {"layers": 0}, r"hidden and layers must be at least 1, got 8 and 0"),
        ("caser", {"window": 0}, r"window, horizontal_filters and vertical_filters must be at least 1, got 0"),
        ("sasrec", {"heads": 3}, r"heads must divide dim, got 2, 3, 1 and 8"),
        ("bsarec", {"filter_share": 1.5}, r"filter_share must be from 0 \(sasrec\) to 1, got 1.5"),
        ("bsarec", {"low_frequencies": 6}, r"low_frequencies must be from 1 to history / 2 \+ 1 = 5, got 6"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_of(name, **changes)
