"""How the trained models of interactions make vectors and losses, by hand."""

from dataclasses import replace

import numpy as np
import torch

from recsys.models.factors import FactorNetwork, FactorScores, RankedConfig
from recsys.models.interactions import interaction_matrix
from recsys.models.lightgcn import LightGcn, LightGcnConfig
from recsys.models.mf import Mf
from recsys.models.ranking_losses import RankingLoss
from recsys.models.simplex import Simplex, SimplexConfig
from recsys.models.ultragcn import UltraGcn, UltraGcnConfig
from tests.planted_tastes import USERS, found_held_out, taken_matrix

LOSS = RankingLoss(name="bpr", is_cosine=False, temperature=1.0, margin=0.0, negative_weight=1.0)
SHARED = {"dim": 1, "initial": "random", "negatives": 2, "l2": 0.0}
# User 0 took items 0 and 1, user 1 item 1.
MATRIX_UI = interaction_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), users=2, items=2)
USER_UD, ITEM_ID = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])


def with_vectors(network: FactorNetwork) -> FactorNetwork:
    network.user_UD.data, network.item_ID.data = USER_UD.clone(), ITEM_ID.clone()
    return network


def test_factor_scores_are_products() -> None:
    scores = FactorScores(user_UD=USER_UD.numpy(), item_ID=ITEM_ID.numpy()).scores(np.array([1]))
    assert scores.tolist() == [[6.0, 10.0]]


def test_l2_weighs_the_squares_of_the_pair_and_the_mean_of_its_negatives() -> None:
    pair = (torch.tensor([1]), torch.tensor([0]), torch.tensor([0, 1]))
    plain, heavy = (
        with_vectors(Mf(RankedConfig(**{**SHARED, "l2": l2}, loss=LOSS), MATRIX_UI)).loss_sum(*pair) for l2 in (0, 0.5)
    )
    # Half of 4 for the user, 9 for the item and 17 for the mean of the negatives' 9 and 25.
    torch.testing.assert_close(heavy - plain, torch.tensor(15.0))


def test_popularity_adds_its_share_of_the_temperature_an_e_fold_of_takers() -> None:
    # Item 0 has one user, item 1 two.
    config = RankedConfig(**SHARED, popularity=0.5, loss=replace(LOSS, temperature=0.2))
    network = with_vectors(Mf(config, MATRIX_UI))
    scores = network.fitted().scores(np.array([0, 1]))
    np.testing.assert_allclose(scores, [[3, 5 + 0.1 * np.log(2)], [6, 10 + 0.1 * np.log(2)]], rtol=1e-6)
    alone = with_vectors(Mf(replace(config, popularity=0.0), MATRIX_UI))
    pair = (torch.tensor([1]), torch.tensor([0]), torch.tensor([0, 1]))
    assert torch.equal(network.loss_sum(*pair), alone.loss_sum(*pair)), "it takes no part in the training"


def test_lightgcn_vectors_are_means_over_layers_of_neighbours_by_roots_of_degrees() -> None:
    user_UD, item_ID = with_vectors(LightGcn(LightGcnConfig(**SHARED, loss=LOSS, layers=1), MATRIX_UI)).vectors()
    half, root = 1 / 2, 1 / np.sqrt(2)
    np.testing.assert_allclose(
        user_UD.detach().numpy(), [[(1 + 3 * root + 5 * half) / 2], [(2 + 5 * root) / 2]], rtol=1e-6
    )
    np.testing.assert_allclose(
        item_ID.detach().numpy(), [[(3 + 1 * root) / 2], [(5 + 1 * half + 2 * root) / 2]], rtol=1e-6
    )


def test_the_gradient_through_the_graph_is_that_of_a_dense_matrix() -> None:
    network = with_vectors(LightGcn(LightGcnConfig(**SHARED, loss=LOSS, layers=2), MATRIX_UI))
    sum(vectors.square().sum() for vectors in network.vectors()).backward()
    edges = torch.tensor([[1 / 2**0.5, 1 / 2], [0, 1 / 2**0.5]])
    graph = torch.cat([torch.cat([torch.zeros(2, 2), edges], 1), torch.cat([edges.T, torch.zeros(2, 2)], 1)])
    start = torch.cat([USER_UD, ITEM_ID]).requires_grad_()
    ((start + graph @ start + graph @ graph @ start) / 3).square().sum().backward()
    assert network.user_UD.grad is not None
    assert network.item_ID.grad is not None
    torch.testing.assert_close(torch.cat([network.user_UD.grad, network.item_ID.grad]), start.grad)


def test_simplex_leaves_the_taken_item_out_of_the_mean_in_training_alone() -> None:
    network = with_vectors(Simplex(SimplexConfig(**SHARED, loss=LOSS, own_share=0.25), MATRIX_UI))
    user_UD, _ = network.vectors()
    # Scored: the mean of both items, and of the one item.
    assert user_UD.tolist() == [[0.25 * 1 + 0.75 * 4], [0.25 * 2 + 0.75 * 5]]
    # Trained on (0, 0): the mean is item 1 alone; on (1, 1): nothing is left.
    for pair, user in (((0, 0), 0.25 * 1 + 0.75 * 5), ((1, 1), 0.25 * 2)):
        loss = network.loss_sum(torch.tensor([pair[0]]), torch.tensor([pair[1]]), torch.tensor([0]))
        lead = user * (float(ITEM_ID[pair[1]]) - float(ITEM_ID[0]))
        np.testing.assert_allclose(loss.item(), np.log1p(np.exp(-lead)), rtol=1e-5)


def test_ultragcn_weighs_the_pair_and_its_negatives_by_degrees() -> None:
    config = UltraGcnConfig(**SHARED, degree_weight=1.0, negative_weight=2.0, item_neighbours=1, item_weight=0.0)
    loss = with_vectors(UltraGcn(config, MATRIX_UI)).loss_sum(torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
    user_weight = np.sqrt(2)
    positive = np.log1p(np.exp(-10)) * (1 + user_weight / np.sqrt(3))
    negative = 2 * np.log1p(np.exp(6)) * (1 + user_weight / np.sqrt(2))
    np.testing.assert_allclose(loss.item(), positive + negative, rtol=1e-5)


def test_ultragcn_draws_users_to_the_neighbours_of_what_they_took() -> None:
    settings = {**SHARED, "degree_weight": 1.0, "negative_weight": 2.0, "item_neighbours": 1}
    pair = (torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
    without, drawn = (
        with_vectors(UltraGcn(UltraGcnConfig(**settings, item_weight=weight), MATRIX_UI)).loss_sum(*pair)
        for weight in (0.0, 4.0)
    )
    # Item 1's neighbour is 0: one user in common, all 3 and 2, others 1.
    np.testing.assert_allclose((drawn - without).item(), 4 * np.sqrt(3 / 2) * np.log1p(np.exp(-6)), rtol=1e-3)


def test_a_spectral_start_knows_the_tastes_before_any_step() -> None:
    torch.manual_seed(1)
    spectral, random = (
        Mf(RankedConfig(**{**SHARED, "dim": 2, "initial": initial}, loss=LOSS), taken_matrix()).fitted()
        for initial in ("spectral", "random")
    )
    assert found_held_out(spectral.scores(np.arange(USERS))) == USERS
    assert found_held_out(random.scores(np.arange(USERS))) < USERS
