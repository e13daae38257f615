from dataclasses import replace

import numpy as np
import pytest

from recsys.config import CONF_FOLDER, build_section
from recsys.errors import ConfigError
from recsys.models.graph_filter import GraphFilterConfig, fit_graph_filter, polynomials
from recsys.models.interactions import interaction_matrix
from recsys.models.registry import model_settings

# Three users, three items; the first item is the most popular.
TAKEN_UI = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32)
MATRIX_UI = interaction_matrix(*np.nonzero(TAKEN_UI), users=3, items=3)
USERS = np.arange(3)


def shipped(name: str) -> GraphFilterConfig:
    settings, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    return build_section(GraphFilterConfig, settings, name)


def smoothing() -> np.ndarray:
    """P by hand: degrees of users 2, 2, 1 and of items 3, 1, 1."""
    normalized_UI = TAKEN_UI / np.sqrt([[2], [2], [1]]) / np.sqrt([[3, 1, 1]])
    return normalized_UI.T @ normalized_UI


def test_a_line_without_ideal_factors_is_one_product_with_the_graph() -> None:
    fitted = fit_graph_filter(replace(shipped("gf_cf"), ideal_weight=0.0), MATRIX_UI)
    np.testing.assert_allclose(fitted.scores(USERS), TAKEN_UI @ smoothing(), atol=1e-6)
    # Item 0 for user 2, who took it alone: (1/2 + 1/2 + 1) / 3.
    assert fitted.scores(USERS)[2, 0] == pytest.approx(2 / 3)


def test_ideal_factors_are_passed_with_their_weight_between_roots_of_degrees() -> None:
    line = fit_graph_filter(replace(shipped("gf_cf"), ideal_weight=0.0), MATRIX_UI).scores(USERS)
    both = fit_graph_filter(replace(shipped("gf_cf"), ideal_factors=1, ideal_weight=0.3), MATRIX_UI).scores(USERS)
    _, vectors = np.linalg.eigh(smoothing())
    leading = vectors[:, -1:]
    root = np.sqrt([3, 1, 1])
    np.testing.assert_allclose(both - line, 0.3 * (TAKEN_UI / root @ leading @ leading.T) * root, atol=1e-5)


def test_sharpening_is_a_runge_kutta_step_of_what_was_smoothed() -> None:
    config = replace(shipped("bspm"), ideal_weight=0.0)
    smoothed = TAKEN_UI @ smoothing()
    step = -2.5 * smoothing()
    terms = [np.eye(3), step, step @ step / 2, step @ step @ step / 6, step @ step @ step @ step / 24]
    np.testing.assert_allclose(fit_graph_filter(config, MATRIX_UI).scores(USERS), smoothed @ sum(terms), atol=1e-4)


def test_the_plateau_rises_from_0_over_a_half_to_1() -> None:
    whole, _ = polynomials(replace(shipped("chebycf"), nodes="extrema"), border=0.2)
    np.testing.assert_allclose(whole(np.array([0.0, 0.5, 1.0])), [0.0, 0.5, 1.0], atol=1e-6)
    assert whole.degree() == 8


def test_at_the_roots_the_plateau_takes_its_values_at_the_extrema() -> None:
    """Of order 2: extrema 0, 1/2 and 1, and roots of the cubic one, (1 - cos 30°) / 2, 1/2 and (1 + cos 30°) / 2."""
    whole, _ = polynomials(replace(shipped("chebycf"), order=2, rest_order=2, nodes="roots"), border=1.0)
    side = np.sqrt(3) / 4
    np.testing.assert_allclose(whole(np.array([0.5 - side, 0.5, 0.5 + side])), [0.0, 0.5, 1.0], atol=1e-9)


def test_unknown_nodes_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown nodes 'ends'; known nodes: \['extrema', 'roots'\]"):
        replace(shipped("chebycf"), nodes="ends")


def test_a_lower_order_for_the_rest_scores_as_the_whole_order() -> None:
    config = replace(shipped("chebycf"), ideal_factors=2, nodes="extrema", rest_order=3)
    whole = fit_graph_filter(replace(config, rest_order=8), MATRIX_UI).scores(USERS)
    np.testing.assert_allclose(fit_graph_filter(config, MATRIX_UI).scores(USERS), whole, atol=1e-3)
    other = fit_graph_filter(replace(config, flatness=0.5), MATRIX_UI).scores(USERS)
    assert np.abs(other - whole).max() > 1e-2, "the tolerance tells filters apart"
