"""Every model of interactions by its name in the configuration: who took what is all that it learns from.

A new one: its file, a line here, conf/models/<name>.yaml.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.config import build_section, load_yaml
from recsys.errors import ConfigError
from recsys.models.ease import Ease, EaseConfig, fit_ease
from recsys.models.factors import FactorNetwork, FactorScores, RankedConfig
from recsys.models.graph_filter import GraphFilter, GraphFilterConfig, fit_graph_filter
from recsys.models.interactions import Matrix, Recommender
from recsys.models.lightgcn import LightGcn, LightGcnConfig
from recsys.models.mf import Mf
from recsys.models.neighbours import ItemKnn, NeighboursConfig, UserKnn, fit_item_knn, fit_user_knn
from recsys.models.popular import Popular, PopularConfig, fit_popular
from recsys.models.simplex import Simplex, SimplexConfig
from recsys.models.ultragcn import UltraGcn, UltraGcnConfig


@dataclass(frozen=True, kw_only=True)
class ClosedFormKind:
    """`fit` takes the typed configuration and who took what, and returns a `fitted`."""

    config: type[Any]
    fit: Callable[[Any, Matrix], Recommender]
    fitted: type[Any]


@dataclass(frozen=True, kw_only=True)
class InteractionKind:
    """`build` takes the typed configuration and who took what, and returns the network to train."""

    config: type[Any]
    build: Callable[[Any, Matrix], FactorNetwork]


CLOSED_FORM_MODELS: dict[str, ClosedFormKind] = {
    "bspm": ClosedFormKind(config=GraphFilterConfig, fit=fit_graph_filter, fitted=GraphFilter),
    "chebycf": ClosedFormKind(config=GraphFilterConfig, fit=fit_graph_filter, fitted=GraphFilter),
    "ease": ClosedFormKind(config=EaseConfig, fit=fit_ease, fitted=Ease),
    "gf_cf": ClosedFormKind(config=GraphFilterConfig, fit=fit_graph_filter, fitted=GraphFilter),
    "item_knn": ClosedFormKind(config=NeighboursConfig, fit=fit_item_knn, fitted=ItemKnn),
    "popular": ClosedFormKind(config=PopularConfig, fit=fit_popular, fitted=Popular),
    "user_knn": ClosedFormKind(config=NeighboursConfig, fit=fit_user_knn, fitted=UserKnn),
}

INTERACTION_MODELS: dict[str, InteractionKind] = {
    "lightgcn": InteractionKind(config=LightGcnConfig, build=LightGcn),
    "mf": InteractionKind(config=RankedConfig, build=Mf),
    "simplex": InteractionKind(config=SimplexConfig, build=Simplex),
    "taught_lightgcn": InteractionKind(config=LightGcnConfig, build=LightGcn),
    "taught_mf": InteractionKind(config=RankedConfig, build=Mf),
    "ultragcn": InteractionKind(config=UltraGcnConfig, build=UltraGcn),
}


@dataclass(frozen=True, kw_only=True)
class ClosedFormSpec:
    """A registered name with its settings, checked."""

    name: str
    config: Any

    def fit(self, matrix_UI: Matrix) -> Recommender:
        return CLOSED_FORM_MODELS[self.name].fit(self.config, matrix_UI)


@dataclass(frozen=True, kw_only=True)
class InteractionSpec:
    """A registered name with its settings, checked."""

    name: str
    config: Any

    def build(self, matrix_UI: Matrix) -> FactorNetwork:
        return INTERACTION_MODELS[self.name].build(self.config, matrix_UI)


def interaction_settings(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's own settings, and those that it lays over the train section of conf/base.yaml."""
    settings = load_yaml(file)
    train = settings.pop("train", {})
    return settings, train


def interaction_spec(name: str, settings: Mapping[str, Any]) -> ClosedFormSpec | InteractionSpec:
    """Raises ConfigError for an unknown name, an unknown key or a value out of range."""
    require_interaction_model(name)
    if name in CLOSED_FORM_MODELS:
        config = build_section(CLOSED_FORM_MODELS[name].config, settings, f"models/{name}")
        return ClosedFormSpec(name=name, config=config)
    config = build_section(INTERACTION_MODELS[name].config, settings, f"models/{name}")
    return InteractionSpec(name=name, config=config)


def is_interaction_model(name: str) -> bool:
    return name in CLOSED_FORM_MODELS or name in INTERACTION_MODELS


def require_interaction_model(name: str) -> None:
    known = sorted([*CLOSED_FORM_MODELS, *INTERACTION_MODELS])
    if name not in known:
        raise ConfigError(f"no model of interactions is named {name!r}; known ones: {known}")


def recommender_class(name: str) -> type[Any]:
    """What a model of interactions scores with once it is fitted."""
    return CLOSED_FORM_MODELS[name].fitted if name in CLOSED_FORM_MODELS else FactorScores
