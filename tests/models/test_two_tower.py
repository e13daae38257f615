"""What two towers add to the contract of networks of features: items that nobody took, and the loss by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recsys import columns as c
from recsys.catalog import NUMERIC_INPUTS
from recsys.errors import ConfigError
from recsys.models.registry import model_spec
from recsys.models.text_encoder import DIMENSIONS
from recsys.models.two_tower import TwoTower, sampled_softmax_sum
from recsys.training.batches import Batch
from recsys.training.export import save_model, state_bytes
from recsys.training.towers import load_item_tower, load_user_tower, log_shares, tower_loss
from tests.example_sets import columns_of, inputs_of, random_columns

TINY = {
    "dim": 4, "id_dim": 4, "category_dim": 2, "words": 2, "word_buckets": 8, "word_dim": 2, "hidden": [16],
    "dropout": 0.0, "hidden_ids": 0.3, "temperature": 0.2,
}  # fmt: skip
WITH_TEXT = {**TINY, "text_vectors": True, "text_dim": 4}
NO_TEXT = torch.zeros(1, 0)
USERS, OLD, NEW = 20, 16, 8  # items of the training, and those that came after it


def tensors(user_idx: list[int], item_idx: list[int], category_idx: list[int]) -> tuple[Tensor, Tensor]:
    given = {c.USER_IDX: user_idx, c.ITEM_IDX: item_idx, c.CATEGORY_IDX: category_idx}
    columns = list(columns_of(len(user_idx), given).values())
    ids_BI, numeric_BF = (torch.from_numpy(np.stack(part, axis=1)) for part in (columns[:3], columns[3:]))
    return ids_BI.long(), numeric_BF


def trained(*, with_categories: bool) -> TwoTower:
    """Even users took even items, odd users odd ones; category 0 or word 1 is of even items, 1 or 2 of odd ones."""
    torch.manual_seed(1)
    network: TwoTower = model_spec("two_tower", TINY).build(inputs_of(USERS, OLD, 2))
    if not with_categories:
        network.take_words(torch.tensor([[1 + item % 2, 0] for item in range(OLD)]))
    return learn_tastes(network, with_categories=with_categories)


def learn_tastes(network: TwoTower, *, with_categories: bool) -> TwoTower:
    pairs = [(user, item) for user in range(USERS) for item in range(OLD)]
    users, items = map(list, zip(*pairs, strict=True))
    ids_BI, numeric_BF = tensors(users, items, [item % 2 if with_categories else -1 for item in items])
    batch = Batch(ids_BI=ids_BI, numeric_BF=numeric_BF, label_B=(ids_BI[:, 0] % 2 == ids_BI[:, 1] % 2).float())
    loss_sum = tower_loss(log_shares(torch.full((OLD,), float(USERS)), len(batch)), rows_a_positive=2.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        (loss_sum(network, batch, None, 0) / len(batch)).backward()
        optimizer.step()
    return network.eval()


def scores_of_new_items(network: TwoTower, *, with_categories: bool) -> Tensor:
    """(users, new items): these have no index that the training knew, and no numbers."""
    items = list(range(OLD, OLD + NEW))
    ids_BI, numeric_BF = tensors([-1] * NEW, items, [item % 2 if with_categories else -1 for item in items])
    words_BW = torch.tensor([[0 if with_categories else 1 + item % 2, 0] for item in items])
    users_BI, user_numbers_BF = tensors(list(range(USERS)), [-1] * USERS, [-1] * USERS)
    with torch.no_grad():
        item_BD = network.item_vectors(ids_BI, numeric_BF, words_BW, NO_TEXT)
        return network.user_vectors(users_BI, user_numbers_BF) @ item_BD.T


@pytest.mark.parametrize("with_categories", [True, False])
def test_a_new_item_is_ranked_by_its_category_or_its_words(with_categories: bool) -> None:
    score_UN = scores_of_new_items(trained(with_categories=with_categories), with_categories=with_categories)
    for user in range(USERS):
        liked, other = score_UN[user, user % 2 :: 2], score_UN[user, 1 - user % 2 :: 2]
        assert liked.min() > other.max() + 0.2, user


def texts(items: range) -> Tensor:
    """(I, T), of length 1: even items say one thing, odd ones another, each with words of its own."""
    generator = np.random.default_rng(7)
    tastes_2T = generator.normal(size=(2, DIMENSIONS))
    own_IT = generator.normal(size=(OLD + NEW, DIMENSIONS))
    return F.normalize(torch.from_numpy(tastes_2T[np.array(items) % 2] + own_IT[items]).float(), dim=1)


def share_of_right_pairs(text_IT: Tensor) -> float:
    """Of a user, a new item that the user likes and one that the user does not like: nothing else is said of items."""
    torch.manual_seed(1)
    network: TwoTower = model_spec("two_tower", WITH_TEXT).build(inputs_of(USERS, OLD, 2))
    network.take_text(text_IT[:OLD])
    learn_tastes(network, with_categories=False)
    ids_BI, numeric_BF = tensors([-1] * NEW, list(range(OLD, OLD + NEW)), [-1] * NEW)
    users_BI, user_numbers_BF = tensors(list(range(USERS)), [-1] * USERS, [-1] * USERS)
    with torch.no_grad():
        item_ND = network.item_vectors(ids_BI, numeric_BF, torch.zeros(NEW, 2), text_IT[OLD:])
        score_UN = network.user_vectors(users_BI, user_numbers_BF) @ item_ND.T
    right = [score_UN[user, user % 2 :: 2, None] > score_UN[user, None, 1 - user % 2 :: 2] for user in range(USERS)]
    return float(torch.stack(right).float().mean())


def test_a_new_item_is_ranked_by_its_text_vector_and_without_one_by_chance() -> None:
    text_IT = texts(range(OLD + NEW))
    assert share_of_right_pairs(text_IT) > 0.95
    assert share_of_right_pairs(torch.zeros_like(text_IT)) < 0.6


def test_text_vectors_are_not_learned_nor_exported_and_an_item_without_one_differs() -> None:
    network: TwoTower = model_spec("two_tower", WITH_TEXT).build(inputs_of(USERS, OLD, 2)).eval()
    text_IT = texts(range(OLD))
    network.take_text(text_IT)
    assert not network.text_IT.requires_grad
    assert "text_IT" not in network.state_dict()
    ids_BI, numeric_BF = tensors([1, 1], [0, OLD + 3], [0, 0])
    words_BW = torch.zeros(2, 2)
    known_2D = network.item_vectors(ids_BI, numeric_BF, words_BW, torch.stack([text_IT[0], torch.zeros(DIMENSIONS)]))
    by_table = network(ids_BI, numeric_BF)
    by_hand = (network.user_vectors(ids_BI, numeric_BF) * known_2D).sum(dim=1) / network.temperature
    assert torch.allclose(by_table, by_hand), "an index beyond the table has no text"
    without_2D = network.item_vectors(ids_BI, numeric_BF, words_BW, torch.zeros(2, DIMENSIONS))
    assert not torch.equal(known_2D[0], without_2D[0])


def test_a_vector_depends_on_its_own_side_alone() -> None:
    network: TwoTower = model_spec("two_tower", TINY).build(inputs_of(USERS, OLD, 2)).eval()
    (one, numbers), (other, _) = tensors([3], [5], [1]), tensors([4], [6], [0])
    changed = numbers + torch.rand(numbers.shape)
    mixed_user, mixed_item = numbers.clone(), numbers.clone()
    mixed_user[:, network.of_item], mixed_item[:, network.of_user] = (
        changed[:, network.of_item],
        changed[:, network.of_user],
    )
    item_of_other, user_of_other = one.clone(), one.clone()
    item_of_other[:, 1:], user_of_other[:, 0] = other[:, 1:], other[:, 0]
    words = torch.tensor([[1, 2]])
    assert torch.equal(network.user_vectors(item_of_other, mixed_user), network.user_vectors(one, numbers))
    assert torch.equal(
        network.item_vectors(user_of_other, mixed_item, words, NO_TEXT),
        network.item_vectors(one, numbers, words, NO_TEXT),
    )
    assert not torch.equal(network.user_vectors(one, mixed_item), network.user_vectors(one, numbers))
    assert not torch.equal(
        network.item_vectors(one, mixed_user, words, NO_TEXT), network.item_vectors(one, numbers, words, NO_TEXT)
    )


def test_a_batch_with_every_item_by_its_share_gives_the_full_softmax() -> None:
    torch.manual_seed(2)
    score_PI = torch.randn(2, 4)
    rows = torch.tensor([0, 1, 2, 3])
    label_B = torch.tensor([1.0, 0.0, 0.0, 0.5])
    found = sampled_softmax_sum(score_PI, rows, label_B, torch.full((4,), math.log(1 / 4)))
    expected = torch.nn.functional.cross_entropy(score_PI, torch.tensor([0, 3]), reduction="none")
    assert float(found) == pytest.approx(float(expected @ torch.tensor([1.0, 0.5])), rel=1e-5)


def test_an_item_that_comes_often_counts_less_each_time_and_the_own_item_never() -> None:
    score_PB = torch.tensor([[1.0, 3.0, 3.0, 1.0]])
    item_idx_B, label_B = torch.tensor([0, 1, 1, 0]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    found = sampled_softmax_sum(score_PB, item_idx_B, label_B, torch.full((4,), math.log(1 / 2)))
    # Two rows of item 1, each counting 1 / (4 / 2); the second row of item 0 is left out.
    assert float(found) == pytest.approx(math.log(math.e + 2 * math.e**3 / 2) - 1, rel=1e-5)


def test_shares_are_those_of_the_train_rows_and_none_is_zero() -> None:
    assert torch.exp(log_shares(torch.tensor([6.0, 0.0, 2.0]), 10)).tolist() == pytest.approx([0.6, 0.1, 0.2, 0.2])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"two_tower.temperature must be above 0, got 0"):
        model_spec("two_tower", {**TINY, "temperature": 0.0})
    with pytest.raises(ConfigError, match=r"two_tower: dimensions must be at least 1"):
        model_spec("two_tower", {**TINY, "words": 0})


def test_saved_towers_take_the_inputs_that_they_were_trained_with(tmp_path: Path) -> None:
    """Of a log that can tell only some of the catalogue's."""
    every, left_out = inputs_of(USERS, OLD, 2), tuple(f.name for f in NUMERIC_INPUTS if f.needs)
    some = replace(every, numeric=tuple(n for n in every.numeric if n.name not in left_out), left_out=left_out)
    kept = [place for place, numeric in enumerate(every.numeric) if numeric.name not in left_out]
    assert 0 < len(kept) < len(every.numeric)
    spec = model_spec("two_tower", TINY)
    network: TwoTower = spec.build(some).eval()
    save_model(tmp_path, spec, some, state_bytes(network))
    columns = random_columns(5, users=USERS, items=OLD)
    ids_BI, numeric_BF = (torch.from_numpy(np.stack(part, axis=1)) for part in _parts(columns))
    words_BW = np.array([[1, 2], [0, 0], [3, 0], [1, 1], [8, 0]])
    with torch.no_grad():
        user_BD = network.user_vectors(ids_BI.long(), numeric_BF[:, kept])
        item_BD = network.item_vectors(ids_BI.long(), numeric_BF[:, kept], torch.from_numpy(words_BW), NO_TEXT)
    np.testing.assert_allclose(load_user_tower(tmp_path)(columns), user_BD.numpy(), atol=1e-6)
    with_words = {**columns, c.ITEM_WORDS: words_BW}
    np.testing.assert_allclose(load_item_tower(tmp_path)(with_words), item_BD.numpy(), atol=1e-6)


def _parts(columns: dict[str, np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    values = list(columns.values())
    return values[:3], values[3:]
