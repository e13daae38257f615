import math
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.config import build_section
from recsys.errors import ConfigError
from recsys.models.ease import EaseConfig
from recsys.models.factors import RankedConfig, pair_weights
from recsys.models.interactions import interaction_matrix
from recsys.models.mf import Mf
from recsys.models.popular import Popular
from recsys.models.ranking_losses import RankingLoss
from recsys.models.registry import model_settings
from recsys.models.teachers import Teacher, TeacherConfig, best_unseen, shares

EASE = EaseConfig(l2=1.0, max_memory_gib=1.0)
# User 0 took items 0 and 1, user 1 item 1.
MATRIX_UI = interaction_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), users=2, items=3)


def teacher_of(**changes: object) -> TeacherConfig:
    return TeacherConfig(**{"weight": 2.0, "items": 2, "temperature": 0.5, "ease": EASE, **changes})  # type: ignore[arg-type]


def test_a_user_is_taught_the_best_items_that_it_did_not_take() -> None:
    popular = Popular(degree_I=np.array([1, 2, 5], dtype=np.float32))
    item_idx_UK, score_UK = best_unseen(popular, MATRIX_UI, 2)
    assert item_idx_UK[:, 0].tolist() == [2, 2]
    assert item_idx_UK[1, 1] == 0
    assert score_UK.tolist() == [[5, -np.inf], [5, 1]]


def test_shares_fall_with_the_distance_to_the_best_score() -> None:
    share_UK = shares(np.array([[4.0, 2.0], [3.0, -np.inf], [0.0, -1.0]], dtype=np.float32), 0.5)
    first = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(share_UK, [[first, 1 - first], [1, 0], [0, 0]], rtol=1e-6)


def test_taught_items_weigh_as_much_a_pair_whatever_the_batch() -> None:
    teacher = Teacher(teacher_of(), MATRIX_UI)
    teacher.item_idx_UK, teacher.share_UK = torch.tensor([[2, 1], [2, 0]]), torch.tensor([[1.0, 0.0], [0.75, 0.25]])
    row, item_idx, weight = teacher.with_taught(torch.tensor([0, 1]), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    assert row.tolist() == [0, 0, 1, 0, 0, 1, 1]
    assert item_idx.tolist() == [0, 1, 1, 2, 1, 2, 0]
    # The first user has two pairs here, the second one; a weight of 2 each.
    assert weight.tolist() == [1, 1, 1, 4, 0, 1.5, 0.5]


def test_the_loss_of_a_batch_is_the_sum_of_its_pairs_with_a_teacher_too() -> None:
    loss = RankingLoss(name="sampled_softmax", is_cosine=True, temperature=0.5, margin=0.0, negative_weight=1.0)
    config = RankedConfig(dim=2, initial="random", negatives=2, l2=0.1, loss=loss, teacher=teacher_of())
    torch.manual_seed(1)
    network, negatives = Mf(config, MATRIX_UI), torch.tensor([0, 2])
    users, items = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    alone = [network.loss_sum(users[i : i + 1], items[i : i + 1], negatives) for i in range(3)]
    torch.testing.assert_close(network.loss_sum(users, items, negatives), torch.stack(alone).sum())
    without = Mf(RankedConfig(dim=2, initial="random", negatives=2, l2=0.1, loss=loss), MATRIX_UI)
    without.load_state_dict(network.state_dict())
    assert without.loss_sum(users, items, negatives) < network.loss_sum(users, items, negatives)


def test_pairs_of_heavy_users_weigh_less_and_all_pairs_one_on_average() -> None:
    weight_U = pair_weights(MATRIX_UI, 1.0)
    # Two pairs of user 0 and one of user 1: each user weighs as much as the other.
    assert weight_U.tolist() == pytest.approx([0.75, 1.5])
    assert pair_weights(MATRIX_UI, 0.0).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ease": None}, "give either graph_filter or ease, with its settings"),
        ({"items": 0}, "weight, items and temperature must be above 0"),
    ],
)
def test_a_teacher_out_of_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        teacher_of(**changes)


def test_a_teacher_is_read_from_the_models_file(tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text("weight: 1\nitems: 5\ntemperature: 0.1\nease: {l2: 3.0, max_memory_gib: 1}\n")
    config = build_section(TeacherConfig, model_settings(file)[0], "any")
    assert config.ease == EaseConfig(l2=3.0, max_memory_gib=1.0)
    assert config.graph_filter is None
