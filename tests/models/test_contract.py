"""What every registered model keeps, on planted tastes: even users like even items, odd users odd ones."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from recsys import columns as c
from recsys.catalog import NEIGHBOUR_WEIGHTS
from recsys.config import CONF_FOLDER, load_config
from recsys.examples.neighbourhoods import OF_ITEMS, OF_USERS
from recsys.families import FEATURES, TOWERS
from recsys.manifest import Inputs
from recsys.models import wide_and_deep
from recsys.models.registry import Spec, model_settings, model_spec, names_of
from recsys.training.batches import Batch, ordered_batches
from recsys.training.export import (
    PairScorer,
    load_pair_scorer,
    load_scorer,
    network_with,
    save_model,
    state_bytes,
)
from recsys.training.loop import Fit, log_loss_of_rows, take_step
from recsys.training.objective import LossSum
from recsys.training.towers import log_shares, tower_loss
from recsys.training.workers import OneWorker
from tests.example_sets import columns_of, inputs_of, neighbour_lists, random_columns, write_split

USERS = ITEMS = 20
NEIGHBOURS = 3  # the files hold them for all; models that read none leave them out
# Small, so that planted tastes are learned in well under a second.
HIDDEN = {"hidden": [16], "dropout": 0.0, "hidden_ids": 0.0}
DIMS = {"id_dim": 4, "category_dim": 1, **HIDDEN}
TINY = {
    "dcn": {**DIMS, "cross_layers": 1, "rank": 4, "experts": 2, "structure": "stacked"},
    "deepfm": {"field_dim": 4, **HIDDEN},
    "graphsage": {**DIMS, "dim": 16},
    "mlp": DIMS,
    "two_tower": {**DIMS, "dim": 4, "words": 2, "word_buckets": 4, "word_dim": 2, "temperature": 0.2},
    "wide_and_deep": {**DIMS, "crosses": [["user_idx", "category_idx"]], "cross_buckets": 64},
}
WITH_HALVES = ("deepfm", "graphsage", "mlp", "wide_and_deep")
EVERY_MODEL = pytest.mark.parametrize("name", names_of(FEATURES, TOWERS))


def tiny(name: str) -> Spec:
    return model_spec(name, TINY[name])


def inputs(name: str) -> Inputs:
    return inputs_of(USERS, ITEMS, 1, NEIGHBOURS if tiny(name).reads_neighbours else 0)


def likes(user: int, item: int) -> bool:
    return user % 2 == item % 2


def held_out(user: int) -> int:
    """An item that the user likes and training does not show."""
    return (user + 2) % ITEMS


def neighbours_of(users: Sequence[int], items: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """The next items that the user likes, and the next users who like the item, in training."""
    items_BK = [[(user + 2 * k) % ITEMS for k in range(2, 2 + NEIGHBOURS)] for user in users]
    users_BK = [[(item + 2 * k) % USERS for k in range(NEIGHBOURS)] for item in items]
    return neighbour_lists(items_BK, users_BK)


def given(users: Sequence[int], items: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    columns = columns_of(len(users), {c.USER_IDX: users, c.ITEM_IDX: items})
    return columns | neighbours_of(users, items)


def random_rows(rows: int) -> dict[str, NDArray[np.float32]]:
    columns = random_columns(rows, users=USERS, items=ITEMS)
    return columns | neighbours_of(columns[c.USER_IDX].tolist(), columns[c.ITEM_IDX].tolist())


def planted_batch(folder: Path, name: str) -> Batch:
    seen = [(user, item) for user in range(USERS) for item in range(ITEMS) if item != held_out(user)]
    users, items = zip(*seen, strict=True)
    split = write_split(folder, c.TRAIN, given(users, items), np.array([likes(*pair) for pair in seen]), [len(seen)])
    (batch,) = ordered_batches(str(folder), split.row_groups, batch_size=len(seen), columns=inputs(name).columns)
    return batch


def trained_network(spec: Spec, batch: Batch, steps: int, seed: int = 1) -> tuple[torch.nn.Module, float]:
    torch.manual_seed(seed)
    network = spec.build(inputs(spec.name))
    shared = Fit(
        model=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.02),
        config=load_config([]).train,
        workers=OneWorker(),
        device=torch.device("cpu"),
        loss_sum=loss_of(spec, batch),
    )
    network.train()
    loss = float("nan")
    for _ in range(steps):
        loss = float(take_step(shared, batch, len(batch)))
    return network.eval(), loss


def loss_of(spec: Spec, batch: Batch) -> LossSum:
    if spec.family != TOWERS:
        return log_loss_of_rows
    rows_I = torch.bincount(batch.ids_BI[:, 1], minlength=ITEMS).float()
    return tower_loss(log_shares(rows_I, len(batch)), rows_a_positive=2.0)


def exported(folder: Path, spec: Spec, network: torch.nn.Module) -> Path:
    save_model(folder, spec, inputs(spec.name), state_bytes(network))
    return folder


def scores_of(folder: Path, columns: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    return load_scorer(folder)(columns)


@EVERY_MODEL
def test_the_held_out_item_is_ranked_before_all_that_the_user_does_not_like(name: str, tmp_path: Path) -> None:
    network, _ = trained_network(tiny(name), planted_batch(tmp_path, name), steps=200)
    folder = exported(tmp_path / "model", tiny(name), network)
    found = 0
    for user in range(USERS):
        unseen = [held_out(user), *(item for item in range(ITEMS) if not likes(user, item))]
        scores = scores_of(folder, given([user] * len(unseen), unseen))
        found += int(scores[0] > scores[1:].max())
    assert found == USERS


@EVERY_MODEL
def test_one_row_scores_like_many_and_in_any_order(name: str, tmp_path: Path) -> None:
    network, _ = trained_network(tiny(name), planted_batch(tmp_path, name), steps=5)
    score = load_scorer(exported(tmp_path / "model", tiny(name), network))
    columns = random_rows(5000)
    order = np.random.default_rng(1).permutation(5000)
    scores = score(columns)
    assert len(np.unique(scores)) > 4000
    assert np.array_equal(score({key: column[order] for key, column in columns.items()}), scores[order])
    for row in (0, 2047, 2048, 4999):
        assert score({key: column[row : row + 1] for key, column in columns.items()})[0] == scores[row]


@EVERY_MODEL
def test_the_shipped_configuration_scores_alike_in_any_company(name: str, tmp_path: Path) -> None:
    spec = model_spec(name, model_settings(CONF_FOLDER / "models" / f"{name}.yaml")[0])
    torch.manual_seed(1)
    score = load_scorer(exported(tmp_path, spec, spec.build(inputs(name))))
    columns = random_rows(3000)
    order = np.random.default_rng(1).permutation(3000)
    assert np.array_equal(score({key: column[order] for key, column in columns.items()}), score(columns)[order])


@pytest.mark.parametrize("name", names_of(FEATURES))
def test_numbers_that_are_prepared_by_parts_give_the_same_scores(name: str, tmp_path: Path) -> None:
    network, _ = trained_network(tiny(name), planted_batch(tmp_path, name), steps=5)
    folder, columns = exported(tmp_path / "model", tiny(name), network), random_rows(2048)
    scorer, expected = load_pair_scorer(folder), load_scorer(folder)(columns)
    ids, numbers = (
        np.column_stack([columns[name] for name in places]).astype(dtype)
        for places, dtype in ((scorer.id_columns, np.int64), (scorer.number_columns, np.float32))
    )
    for place in scorer.number_columns.values():
        numbers[:, place] = scorer.prepared(place, np.ascontiguousarray(numbers[:, place]))
    assert scorer.score(ids, numbers) == pytest.approx(expected, abs=1e-7)
    assert len(np.unique(expected)) > 1000


@pytest.mark.parametrize(("name", "is_tiny"), itertools.product(WITH_HALVES, (True, False)))
def test_scores_of_halves_are_those_of_the_network_in_any_company(name: str, is_tiny: bool, tmp_path: Path) -> None:
    scorer = random_scorer(name, is_tiny, tmp_path)
    generator = np.random.default_rng(1)
    ids = generator.integers(-1, USERS, (scorer.batch_rows, max(place.stop for place in scorer.id_columns.values())))
    width = max(place.stop for place in scorer.number_columns.values())
    numbers = generator.normal(size=(scorer.batch_rows, width)).astype(np.float32)
    for weights in set(NEIGHBOUR_WEIGHTS) & set(scorer.number_columns):
        numbers[:, scorer.number_columns[weights]] = generator.integers(0, 3, (scorer.batch_rows, NEIGHBOURS))
    expected = scorer.score(ids, numbers)
    assert len(np.unique(expected)) > 1000
    assert of_halves(scorer, ids, numbers) == pytest.approx(expected, abs=2e-6)
    order = generator.permutation(scorer.batch_rows)
    assert np.array_equal(of_halves(scorer, ids[order], numbers[order]), of_halves(scorer, ids, numbers)[order])


def random_scorer(name: str, is_tiny: bool, tmp_path: Path) -> PairScorer:
    """All that the network learns is drawn, also what begins as zeros."""
    spec = tiny(name) if is_tiny else model_spec(name, model_settings(CONF_FOLDER / "models" / f"{name}.yaml")[0])
    torch.manual_seed(1)
    network = spec.build(inputs(name))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
        for table in (module for module in network.modules() if isinstance(module, nn.Embedding)):
            table.weight[table.padding_idx] = 0
    return load_pair_scorer(exported(tmp_path, spec, network))


def of_halves(scorer: PairScorer, ids: NDArray[np.int64], numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Users have the first 20 numbers, items the next 10; pairs the others, in no order."""
    users, items = (np.isin(np.arange(numbers.shape[1]), np.arange(*places)) for places in ((0, 20), (20, 30)))
    of_users, of_items = (c.USER_IDX, *OF_USERS), (c.ITEM_IDX, c.CATEGORY_IDX, *OF_ITEMS)
    for is_told, names in ((users, of_users), (items, of_items)):
        is_told |= at_columns(scorer.number_columns, names, len(is_told))
    places = np.flatnonzero(~users & ~items)[::-1].tolist()
    halves = (
        scorer.half_of(
            np.where(at_columns(scorer.id_columns, names, ids.shape[1]), ids, -1),
            np.where(is_told, numbers, 0),
            of_users=is_of_users,
        )
        for is_told, names, is_of_users in ((users, of_users, True), (items, of_items, False))
    )
    return scorer.score_halves(*halves, np.ascontiguousarray(numbers[:, places]), places)


def at_columns(places: Mapping[str, slice], names: Sequence[str], width: int) -> NDArray[np.bool_]:
    is_there = np.zeros(width, dtype=np.bool_)
    for name in names:
        is_there[places.get(name, slice(0))] = True
    return is_there


def test_rows_of_ids_that_one_float_cannot_tell_come_back_whole() -> None:
    row_XI = torch.tensor([[0, 2**24 + 1, 2**31 - 1]])
    assert torch.equal(wide_and_deep._whole(*wide_and_deep._in_two(row_XI)), row_XI)


def test_a_linear_model_adds_up_its_halves(tmp_path: Path) -> None:
    spec = model_spec("linear_svm", model_settings(CONF_FOLDER / "models" / "linear_svm.yaml")[0])
    weight = np.linspace(-1, 1, len(inputs("mlp").numeric), dtype=np.float32)
    network = network_with(spec, inputs("mlp"), {"weight_F": weight, "bias": np.float32(0.5)})
    save_model(tmp_path, spec, inputs("mlp"), state_bytes(network))
    scorer = load_pair_scorer(tmp_path)
    numbers = np.random.default_rng(1).normal(size=(scorer.batch_rows, len(weight))).astype(np.float32)
    ids = np.full((scorer.batch_rows, 3), -1)
    assert of_halves(scorer, ids, numbers) == pytest.approx(scorer.score(ids, numbers), abs=1e-6)


def test_halves_are_made_by_networks_that_can_and_up_to_a_size(tmp_path: Path) -> None:
    mlp, dcn = (load_pair_scorer(exported(tmp_path / n, tiny(n), tiny(n).build(inputs(n)))) for n in ("mlp", "dcn"))
    # 16 hidden units and 4 of the embedding are 80 bytes a row.
    most = 256 * 2**20 // 80
    assert [mlp.has_halves(most), mlp.has_halves(most + 1), dcn.has_halves(1)] == [True, False, False]


@EVERY_MODEL
def test_logits_have_one_number_a_row_even_for_one_row(name: str) -> None:
    network = tiny(name).build(inputs(name)).eval()
    widths = [len(inputs(name).ids), len(inputs(name).numeric)]
    ids, numbers = (w + inputs(name).neighbours * lists for w, lists in zip(widths, (3, 2), strict=True))
    for rows in (1, 3):
        logit_B = network(torch.zeros(rows, ids, dtype=torch.int64), torch.zeros(rows, numbers))
        assert logit_B.shape == (rows,)


@EVERY_MODEL
def test_ids_that_came_after_training_score_like_unknown_ones(name: str, tmp_path: Path) -> None:
    network, _ = trained_network(tiny(name), planted_batch(tmp_path, name), steps=5)
    folder = exported(tmp_path / "model", tiny(name), network)
    scores = scores_of(folder, given([-1, USERS, 10**6], [3, 3, 3]) | neighbours_of([0, 0, 0], [3, 3, 3]))
    assert scores[0] == scores[1] == scores[2]
