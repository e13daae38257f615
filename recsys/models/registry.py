"""Every model by its name in the configuration. A new one: its file, a line here, conf/models/<name>.yaml."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import columns as c
from recsys.config import MODEL_SECTIONS, build_section, load_yaml
from recsys.errors import ConfigError
from recsys.families import CLOSED_FORM, FACTORS, FEATURES, HISTORIES, SPARK_FACTORS, SPARK_FEATURES, TOWERS
from recsys.models.als import AlsConfig, scores_of
from recsys.models.boosted_trees import BoostedTrees, BoostedTreesConfig
from recsys.models.bsarec import BsaRec, BsaRecConfig
from recsys.models.caser import Caser, CaserConfig
from recsys.models.dcn import Dcn, DcnConfig
from recsys.models.deepfm import DeepFm, DeepFmConfig
from recsys.models.ease import Ease, EaseConfig, fit_ease
from recsys.models.factors import FactorScores, RankedConfig
from recsys.models.gcn import Gcn, GcnConfig
from recsys.models.graph_filter import GraphFilter, GraphFilterConfig, fit_graph_filter
from recsys.models.graphsage import GraphSage, GraphSageConfig
from recsys.models.gru import Gru
from recsys.models.lightgcn import LightGcn, LightGcnConfig
from recsys.models.linear import Linear, LinearSvmConfig, RegressionConfig
from recsys.models.lstm import Lstm
from recsys.models.mf import Mf
from recsys.models.mlp import Mlp, MlpConfig
from recsys.models.neighbours import ItemKnn, NeighboursConfig, UserKnn, fit_item_knn, fit_user_knn
from recsys.models.neumf import NeuMf, NeuMfConfig, NeuMfScores
from recsys.models.own_first import OwnFirst, OwnFirstConfig, fit_own_first
from recsys.models.popular import Popular, PopularConfig, fit_popular
from recsys.models.recurrent import RecurrentConfig
from recsys.models.sasrec import SasRec
from recsys.models.simplex import Simplex, SimplexConfig
from recsys.models.transformer import TransformerConfig
from recsys.models.two_tower import TwoTower, TwoTowerConfig
from recsys.models.ultragcn import UltraGcn, UltraGcnConfig
from recsys.models.wide_and_deep import WideAndDeep, WideAndDeepConfig


@dataclass(frozen=True)
class Kind:
    """`build` takes the typed configuration and what the family learns from, and returns what the family trains:

    features: Inputs; a module whose forward takes ids_BI and numeric_BF and returns logit_B.
    towers: the same; a TwoTower, which is such a module.
    closed_form: who took what, a Matrix; a fitted Recommender, which is a `fitted`.
    factors: the same; a FactorNetwork, which ends as a `fitted`.
    histories: the number of items; a SequenceNetwork.
    spark_features: Inputs; as features, with what Spark fitted to be loaded (recsys/spark_training/features.py).
    spark_factors: vectors that Spark fitted, of users and of items; a Recommender, which is a `fitted`.

    `reads_neighbours`: of rows of model inputs, also the lists catalog.NEIGHBOUR_INPUTS. `reads_nodes`: of who took
    what, a Graph, which has the nodes' features too. `weight`: a column of the pair files that the Matrix holds where
    it is 1 otherwise, such as on how many days the user bought the item.
    """

    family: str
    config: type[Any]
    build: Callable[[Any, Any], Any]
    fitted: type[Any] = FactorScores
    reads_neighbours: bool = False
    reads_nodes: bool = False
    weight: str | None = None


MODELS: dict[str, Kind] = {
    "dcn": Kind(FEATURES, DcnConfig, Dcn),
    "deepfm": Kind(FEATURES, DeepFmConfig, DeepFm),
    "graphsage": Kind(FEATURES, GraphSageConfig, GraphSage, reads_neighbours=True),
    "mlp": Kind(FEATURES, MlpConfig, Mlp),
    "wide_and_deep": Kind(FEATURES, WideAndDeepConfig, WideAndDeep),
    "two_tower": Kind(TOWERS, TwoTowerConfig, TwoTower),
    "bspm": Kind(CLOSED_FORM, GraphFilterConfig, fit_graph_filter, GraphFilter),
    "chebycf": Kind(CLOSED_FORM, GraphFilterConfig, fit_graph_filter, GraphFilter),
    "ease": Kind(CLOSED_FORM, EaseConfig, fit_ease, Ease),
    "gf_cf": Kind(CLOSED_FORM, GraphFilterConfig, fit_graph_filter, GraphFilter),
    "item_knn": Kind(CLOSED_FORM, NeighboursConfig, fit_item_knn, ItemKnn),
    "personal": Kind(CLOSED_FORM, OwnFirstConfig, fit_own_first, OwnFirst, weight=c.PURCHASE_DAYS),
    "popular": Kind(CLOSED_FORM, PopularConfig, fit_popular, Popular),
    "recent": Kind(CLOSED_FORM, OwnFirstConfig, fit_own_first, OwnFirst, weight=c.NEWEST_DAY),
    "user_knn": Kind(CLOSED_FORM, NeighboursConfig, fit_user_knn, UserKnn),
    "filter_taught_lightgcn": Kind(FACTORS, LightGcnConfig, LightGcn),
    "gcn": Kind(FACTORS, GcnConfig, Gcn, reads_nodes=True),
    "lightgcn": Kind(FACTORS, LightGcnConfig, LightGcn),
    "mf": Kind(FACTORS, RankedConfig, Mf),
    "neumf": Kind(FACTORS, NeuMfConfig, NeuMf, NeuMfScores),
    "simplex": Kind(FACTORS, SimplexConfig, Simplex),
    "taught_lightgcn": Kind(FACTORS, LightGcnConfig, LightGcn),
    "taught_mf": Kind(FACTORS, RankedConfig, Mf),
    "ultragcn": Kind(FACTORS, UltraGcnConfig, UltraGcn),
    "bsarec": Kind(HISTORIES, BsaRecConfig, BsaRec),
    "caser": Kind(HISTORIES, CaserConfig, Caser),
    "gru": Kind(HISTORIES, RecurrentConfig, Gru),
    "lstm": Kind(HISTORIES, RecurrentConfig, Lstm),
    "sasrec": Kind(HISTORIES, TransformerConfig, SasRec),
    "gradient_boosted_trees": Kind(SPARK_FEATURES, BoostedTreesConfig, BoostedTrees),
    "linear_regression": Kind(SPARK_FEATURES, RegressionConfig, Linear),
    "linear_svm": Kind(SPARK_FEATURES, LinearSvmConfig, Linear),
    "logistic_regression": Kind(SPARK_FEATURES, RegressionConfig, Linear),
    "als": Kind(SPARK_FACTORS, AlsConfig, scores_of),
}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A registered name with its settings, checked."""

    name: str
    config: Any

    @property
    def family(self) -> str:
        return MODELS[self.name].family

    @property
    def reads_neighbours(self) -> bool:
        return MODELS[self.name].reads_neighbours

    @property
    def reads_nodes(self) -> bool:
        return MODELS[self.name].reads_nodes

    @property
    def weight(self) -> str | None:
        return MODELS[self.name].weight

    def build(self, learned_from: Any) -> Any:
        return MODELS[self.name].build(self.config, learned_from)


def model_settings(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's own settings, and those that it lays over the train section of conf/base.yaml."""
    settings = load_yaml(file)
    laid_over = {section: settings.pop(section, {}) for section in MODEL_SECTIONS}
    return settings, laid_over["train"]


def model_spec(name: str, settings: Mapping[str, Any]) -> Spec:
    """Raises ConfigError for an unknown name, an unknown key or a value out of range."""
    require_known(name)
    return Spec(name=name, config=build_section(MODELS[name].config, settings, f"models/{name}"))


def require_known(name: str, families: tuple[str, ...] = ()) -> None:
    """Raises ConfigError unless the name is registered, in one of the families where some are given."""
    known = names_of(*families)
    if name not in known:
        of_families = f" of {' or '.join(families)}" if families else ""
        raise ConfigError(f"train.model: unknown model {name!r}; known models{of_families}: {known}")


def names_of(*families: str) -> list[str]:
    """Of all where none is named."""
    return sorted(name for name, kind in MODELS.items() if not families or kind.family in families)
