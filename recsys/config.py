"""Typed, frozen configuration: YAML files, later wins, then `--set stage.key=value`; unknown keys are errors.

Each key stands in two places: its field here and its commented line in conf/base.yaml, which holds the default.
"""

import dataclasses
import re
import types
import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from recsys import catalog
from recsys import columns as c
from recsys.errors import ConfigError
from recsys.search_by import SEARCHES

CONF_FOLDER = Path(__file__).resolve().parents[1] / "conf"
BASE_FILE = "base.yaml"
SOURCES = "sources"
SOURCE_SETTINGS = (
    "clean",
    "features",
    "candidates",
    "examples",
    "train",
)  # the sections that a source's mapping may hold too
MODEL_SECTIONS = ("features", "train")  # and those that a model's file may lay over conf/base.yaml

# In features.countries the stores that it does not list, in features.holidays every place.
ALL_PLACES = "all"

Layer = tuple[str, Mapping[str, Any]]  # where it was written, sections

GRADED = (c.VIEW, c.CART, c.PURCHASE)
CANDIDATES, UNIFORM, POPULARITY = NEGATIVES = ("candidates", "uniform", "popularity")
GLOBAL_TIME, ROLLING_TIME, LEAVE_ONE_OUT, USER_RATIO, HELD_APART = SCHEMES = (
    "global_time", "rolling_time", "leave_one_out", "user_ratio", "held_apart",
)  # fmt: skip
# Schemes that take the core of the purchases alone; in the others the split follows from the day.
PARTED_BY_EVENT = (LEAVE_ONE_OUT, USER_RATIO, HELD_APART)
CART, SUBSTITUTES, BUY_AGAIN, NEW_ITEMS, ANONYMOUS, COUPONS = SCENES = (
    "cart", "substitutes", "buy_again", "new_items", "anonymous", "coupons",
)  # fmt: skip

RECIPROCAL_RANK, MEAN, WEIGHTED, VOTE = FUSIONS = ("reciprocal_rank", "mean", "weighted", "vote")
PARQUET, JSON_LINES, KEY_VALUE = EXPORT_FORMATS = ("parquet", "json_lines", "key_value")

# Of `candidates`, by source.
QUOTAS = ("own_items", "factor_items", "neighbour_items", "category_items", "new_items", "popular_items")

# Of `clean`; at 0 the rule or column behind them is off.
_SWITCHES = (
    "near_duplicate_seconds", "bot_events_a_day", "bot_items_a_day", "bot_regular_gaps", "price_outlier_deviations",
    "reseller_quantity", "session_gap_minutes",
)  # fmt: skip

SIMILARITIES = ("text", "price", "turns", "views", "vectors")
_COUNTS_OF_SCENES = (
    "history_days", "pair_min_baskets", "complements", "cart_days", "similar_items", "similar_candidates", "due_days",
    "recency_days", "context_days", "new_item_days", "new_items_of_category", "exploration_pool", "coupon_days",
    "coupon_history_days",
)  # fmt: skip

Section = TypeVar("Section")


def _require_range(section: object, key: str, low: float, high: float = float("inf")) -> None:
    value = getattr(section, key)
    if not low <= value <= high:
        name = _SECTION_NAMES[type(section)]
        expected = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ConfigError(f"{name}.{key} must be {expected}, got {value}")


def _require_one_of(section: object, key: str, known: Sequence[str]) -> None:
    value = getattr(section, key)
    if value not in known:
        choice = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ConfigError(f"{_SECTION_NAMES[type(section)]}.{key} must be {choice}, got {value!r}")


def _require_day(section: object, key: str) -> None:
    _require_iso_day(f"{_SECTION_NAMES[type(section)]}.{key}", getattr(section, key))


def _require_iso_day(name: str, value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(f'{name} must be a day such as "2017-12-18", got {value!r}') from error


def _require_days(section: object, key: str) -> None:
    for place, days in getattr(section, key).items():
        for day in days:
            _require_iso_day(f"{_SECTION_NAMES[type(section)]}.{key}.{place}", day)


def _require_known(section: object, key: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"{_SECTION_NAMES[type(section)]}.{key}: unknown {unknown}; known: {list(known)}")


def _require_shares(section: object, key: str) -> None:
    if wrong := {name: share for name, share in getattr(section, key).items() if not 0 <= share <= 1}:
        raise ConfigError(f"{_SECTION_NAMES[type(section)]}.{key}: shares lie between 0 and 1, got {wrong}")


def _require_pattern(section: object, key: str) -> None:
    try:
        re.compile(getattr(section, key) or "")
    except re.error as error:
        name = _SECTION_NAMES[type(section)]
        raise ConfigError(
            f"{name}.{key} must be a regular expression, got {getattr(section, key)!r}: {error}"
        ) from error


def _require_grades(labels: Mapping[str, float]) -> None:
    """Above 0, up to 1, and rising from view to purchase, which is the truth of every evaluation."""
    grades = [labels[event_type] for event_type in GRADED if event_type in labels]
    is_rising = all(low < high for low, high in pairwise([0.0, *grades]))
    if set(labels) - set(GRADED) or c.PURCHASE not in labels or not is_rising or grades[-1] > 1:
        raise ConfigError(
            f"examples.labels must grade purchase, and may grade view and cart, rising in the order {list(GRADED)}, "
            f"above 0 and up to 1, such as {{view: 0.2, cart: 0.5, purchase: 1.0}}; got {dict(labels)}"
        )


def _require_fusion(models: Sequence[str], fusion: str, weights: Mapping[str, float]) -> None:
    """Each model once, and of `weighted`, which alone takes weights, one above 0 for each of them."""
    if twice := sorted(name for name, count in Counter(models).items() if count > 1):
        raise ConfigError(f"score.models has {twice} more than once; name each model once, got {list(models)}")
    if weights and fusion != WEIGHTED:
        raise ConfigError(
            f"score.fusion_weights hold for score.fusion weighted alone, got {fusion} with {dict(weights)}; give "
            "score.fusion=weighted, or no weights"
        )
    if unknown := sorted(set(weights) - set(models)):
        raise ConfigError(f"score.fusion_weights has {unknown}, which score.models, {list(models)}, does not name")
    if fusion == WEIGHTED and (not models or set(models) - set(weights)):
        raise ConfigError(
            "score.fusion weighted needs models, and a weight for each of them in score.fusion_weights, such as "
            f"{{mlp: 2, lightgcn: 1}}; got models {list(models)} and weights {dict(weights)}"
        )
    if wrong := {name: weight for name, weight in weights.items() if not 0 < weight < float("inf")}:
        raise ConfigError(f"score.fusion_weights must be above 0 and finite, got {wrong}")


@dataclass(frozen=True, kw_only=True)
class LakeConfig:
    """See conf/base.yaml for the meaning of each key of each section."""

    root: str


@dataclass(frozen=True, kw_only=True)
class SparkConfig:
    master: str
    driver_memory: str
    shuffle_partitions: int
    settings: dict[str, str]

    def __post_init__(self) -> None:
        _require_range(self, "shuffle_partitions", 1)


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    name: str
    input: str | None


@dataclass(frozen=True, kw_only=True)
class CleanConfig:
    max_quantity: float
    max_amount_cents: int
    first_event_date: str
    last_event_date: str
    max_hours_after_file: int
    allow_empty_files: bool
    not_product_pattern: str | None
    cancellation_pattern: str | None
    near_duplicate_seconds: float
    bot_events_a_day: int
    bot_items_a_day: int
    bot_regular_gaps: int
    bot_regular_share: float
    price_outlier_deviations: float
    price_history_days: int
    price_history_lines: int
    reseller_quantity: float
    reseller_share: float
    reseller_lines: int
    session_gap_minutes: int
    alarm_min_rows: int
    alarm_rejected_share: float
    alarm_rule_shares: dict[str, float]

    def __post_init__(self) -> None:
        _require_range(self, "max_quantity", 1)
        _require_range(self, "max_amount_cents", 1)
        for key in ("alarm_min_rows", "price_history_days", "price_history_lines", "reseller_lines"):
            _require_range(self, key, 1)
        for key in (*_SWITCHES, "max_hours_after_file"):
            _require_range(self, key, 0)
        for key in ("bot_regular_share", "reseller_share"):
            _require_range(self, key, 0, 1)
        for key in ("not_product_pattern", "cancellation_pattern"):
            _require_pattern(self, key)
        _require_range(self, "alarm_rejected_share", 0, 1)
        _require_shares(self, "alarm_rule_shares")
        for key in ("first_event_date", "last_event_date"):
            _require_day(self, key)


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    grains: tuple[str, ...]
    sequence_length: int
    neighbours: int
    sampled_neighbours: int
    text_dimensions: int
    as_known_on: str | None
    countries: dict[str, str]
    stores_are_countries: bool
    holidays: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.stores_are_countries and ALL_PLACES in self.countries:
            raise ConfigError(
                "features.stores_are_countries takes each store that features.countries does not list for a country, "
                f"and features.countries says {self.countries[ALL_PLACES]!r} of all of them; give one of the two"
            )
        _require_days(self, "holidays")
        if self.as_known_on is not None:
            _require_day(self, "as_known_on")
        _require_known(self, "grains", self.grains, [grain.name for grain in catalog.OPTIONAL_GRAINS])
        _require_range(self, "sequence_length", 1, 10_000)
        _require_range(self, "neighbours", 1, 10_000)
        _require_range(self, "sampled_neighbours", 1, 10_000)
        _require_range(self, "text_dimensions", 1, 10_000)


@dataclass(frozen=True, kw_only=True)
class ExamplesConfig:
    label_days: int
    gap_days: int
    train_windows: int
    labels: dict[str, float]
    negatives: str
    negatives_per_positive: int
    popularity_exponent: float
    shown_per_positive: int
    row_groups: int
    ranked_users: int
    history_events: tuple[str, ...]
    history_rows: int
    schemes: tuple[str, ...]
    held_out_percent: int
    core: int
    folds: int
    suspicious_auc: float
    suspicious_auc_gap: float

    def __post_init__(self) -> None:
        _require_range(self, "label_days", 1, 365)
        _require_range(self, "gap_days", 0, 365)
        _require_range(self, "train_windows", 1, 52)
        _require_range(self, "negatives_per_positive", 1, 10_000)
        _require_range(self, "popularity_exponent", 0, 2)
        _require_range(self, "shown_per_positive", 0, 10_000)
        _require_range(self, "row_groups", 1)
        _require_range(self, "ranked_users", 0, 1_000_000)
        _require_range(self, "history_rows", 1)
        _require_known(self, "history_events", self.history_events, GRADED)
        if not self.history_events:
            raise ConfigError(f"examples.history_events is empty; give one or more of {list(GRADED)}")
        _require_range(self, "held_out_percent", 1, 50)
        _require_range(self, "core", 1)
        _require_range(self, "folds", 1, 52)
        _require_range(self, "suspicious_auc", 0.5, 1)
        _require_range(self, "suspicious_auc_gap", 0, 1)
        _require_known(self, "negatives", [self.negatives], NEGATIVES)
        _require_known(self, "schemes", self.schemes, SCHEMES)
        if self.core > 1 and not set(self.schemes) & set(PARTED_BY_EVENT):
            raise ConfigError(
                f"examples.core is {self.core}, and none of examples.schemes, {list(self.schemes)}, goes by it; "
                f"name one of {list(PARTED_BY_EVENT)} too, or leave core at 1"
            )
        _require_grades(self.labels)


@dataclass(frozen=True, kw_only=True)
class CandidatesConfig:
    own_items: int
    factor_items: int
    factors_model: str | None
    neighbour_items: int
    category_items: int
    new_items: int
    new_item_days: int
    popular_items: int

    def __post_init__(self) -> None:
        for key in QUOTAS:
            _require_range(self, key, 0, 100_000)
        if self.most == 0:
            raise ConfigError("candidates: all quotas are 0; give at least one a positive number")
        _require_range(self, "new_item_days", 1, 10_000)
        if (self.factors_model is None) != (self.factor_items == 0):
            raise ConfigError(
                f"candidates.factor_items is {self.factor_items} and candidates.factors_model is {self.factors_model}: "
                "give both, such as 100 and mf, or neither"
            )

    @property
    def most(self) -> int:
        """Items a user."""
        return sum(getattr(self, key) for key in QUOTAS)


_TRAIN_CHOICES = {
    "optimizer": ("adamw", "adam", "sgd"),
    "decay": ("none", "linear", "cosine"),
    "precision": ("float32", "bfloat16", "auto"),
    "best_by": ("validation_loss", "validation_auc", "validation_recall", "validation_hit_rate", "validation_ndcg"),
    "device": ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    model: str
    workers: int
    epochs: int
    batch_size: int
    batches_a_step: int
    optimizer: str
    learning_rate: float
    momentum: float
    warmup_share: float
    decay: str
    weight_decay: float
    l1: float
    label_smoothing: float
    clip_norm: float
    max_loss: float
    precision: str
    best_by: str
    patience: int
    seed: int
    device: str
    threads_per_worker: int
    worker_memory_mb: int
    shuffle_buffer_rows: int
    start_timeout_s: int
    step_timeout_s: int
    checkpoint_steps: int
    max_restarts: int
    elastic: bool
    min_workers: int
    max_resets: int
    profile: bool
    start_from: str | None

    def __post_init__(self) -> None:
        if self.start_from is not None and not re.fullmatch(r"[^/]+/[0-9]+", self.start_from):
            raise ConfigError(
                f"train.start_from must be a registered name and version such as recsys-mlp/3, got {self.start_from!r}"
            )
        _require_range(self, "workers", 1, 4096)
        _require_range(self, "learning_rate", 1e-9, 100)
        _require_range(self, "max_loss", 1e-9)
        for key in ("epochs", "batch_size", "batches_a_step", "threads_per_worker", "shuffle_buffer_rows"):
            _require_range(self, key, 1)
        for key in ("start_timeout_s", "step_timeout_s"):
            _require_range(self, key, 1)
        for key in ("weight_decay", "l1", "clip_norm", "patience", "worker_memory_mb", "checkpoint_steps"):
            _require_range(self, key, 0)
        for key in ("momentum", "warmup_share", "label_smoothing"):
            _require_range(self, key, 0, 0.9999)
        _require_range(self, "max_restarts", 0, 1000)
        _require_range(self, "min_workers", 1, self.workers)
        _require_range(self, "max_resets", 1, 1000)
        for key, known in _TRAIN_CHOICES.items():
            _require_one_of(self, key, known)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    k: int
    popular_window_days: int
    bootstrap_samples: int
    seed: int

    def __post_init__(self) -> None:
        _require_range(self, "k", 1, 1000)
        _require_range(self, "bootstrap_samples", 100)
        if self.popular_window_days not in (28, 91):
            raise ConfigError(
                "evaluation.popular_window_days must be 28 or 91 (the windows of the item features), "
                f"got {self.popular_window_days}"
            )


def _require_days_of_scenes(key: str, of_scenes: dict[str, int], own_scene: str) -> None:
    if wrong := {scene: days for scene, days in of_scenes.items() if not 0 <= days <= 3650}:
        raise ConfigError(f"score.{key}: days lie between 0 and 3650, got {wrong}")
    if nobodys := sorted({SUBSTITUTES, ANONYMOUS, COUPONS} & set(of_scenes) - {own_scene}):
        raise ConfigError(
            f"score.{key} names {nobodys}, whose lists hold no items for one user: nothing can be left out by what "
            f"a user did. Cure: name of the scenes {[CART, BUY_AGAIN, NEW_ITEMS]}, or that of score.scene"
        )


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    top_n: int
    models: tuple[str, ...]
    fusion: str
    fusion_weights: dict[str, float]
    scene: str
    scenes: tuple[str, ...]
    batch_rows: int
    rank_depth: int
    search: str
    search_effort: int
    age_attribute: str | None
    exclude_bought_days: dict[str, int]
    exclude_viewed_days: dict[str, int]
    incremental: bool
    diversity: str
    diversity_by: str
    diversity_weight: float
    reason_history: int

    def __post_init__(self) -> None:
        _require_range(self, "top_n", 1, 1000)
        _require_range(self, "batch_rows", 1)
        _require_range(self, "rank_depth", 1, 100)
        _require_one_of(self, "search", SEARCHES)
        _require_range(self, "search_effort", 1, 100_000)
        _require_range(self, "reason_history", 1, 1000)
        _require_one_of(self, "diversity", ("none", "mmr", "dpp"))
        _require_one_of(self, "diversity_by", ("category", "vector"))
        _require_range(self, "diversity_weight", 0, 1)
        for key in ("exclude_bought_days", "exclude_viewed_days"):
            _require_days_of_scenes(key, getattr(self, key), self.scene)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.scene):
            raise ConfigError(f"score.scene must be lower-case letters, digits and _, got {self.scene!r}")
        _require_known(self, "scenes", self.scenes, SCENES)
        _require_one_of(self, "fusion", FUSIONS)
        _require_fusion(self.models, self.fusion, self.fusion_weights)


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    history_days: int
    pair_min_baskets: int
    pair_prior_baskets: float
    complements: int
    cart_days: int
    similar_items: int
    similar_candidates: int
    similar_weights: dict[str, float]
    due_days: int
    interval_prior_gaps: float
    recency_days: int
    due_exponent: float
    repeat_prior_users: float
    context_days: int
    context_hours: int
    context_prior_baskets: float
    new_item_days: int
    new_items_of_category: int
    exploration_share: float
    exploration_pool: int
    coupon_days: int
    coupon_history_days: int
    coupon_prior_days: float
    coupon_prior_buyers: float
    coupon_budget: int
    coupon_budgets: dict[str, int]
    allow_empty: bool

    def __post_init__(self) -> None:
        for key in _COUNTS_OF_SCENES:
            _require_range(self, key, 1, 10_000)
        for key in ("pair_prior_baskets", "context_prior_baskets", "coupon_prior_days", "coupon_budget"):
            _require_range(self, key, 0)
        for key in ("interval_prior_gaps", "repeat_prior_users"):
            _require_range(self, key, 0.001)
        _require_range(self, "due_exponent", 0, 1)
        _require_range(self, "coupon_prior_buyers", 1)
        if wrong := {name: budget for name, budget in self.coupon_budgets.items() if budget < 0}:
            raise ConfigError(f"scenes.coupon_budgets: offers of a campaign, at least 0, got {wrong}")
        _require_range(self, "context_hours", 1, 24)
        _require_range(self, "exploration_share", 0, 0.5)
        _require_known(self, "similar_weights", list(self.similar_weights), SIMILARITIES)
        if missing := sorted(set(SIMILARITIES) - set(self.similar_weights)):
            raise ConfigError(f"scenes.similar_weights lacks {missing}; give each a weight, 0 for none")


_RATIOS = (
    "min_rows_ratio", "min_users_ratio", "min_coverage_ratio", "max_flat_lists", "max_fallback_rise",
    "max_popularity_rise", "min_overlap", "max_users_changed", "max_items_changed", "max_users_without_list",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishingConfig:
    min_rows_ratio: float
    max_rows_ratio: float
    min_users_ratio: float
    min_coverage_ratio: float
    max_score_shift: float
    max_flat_lists: float
    max_fallback_rise: float
    popular_items: int
    max_popularity_rise: float
    min_overlap: float
    max_users_changed: float
    max_items_changed: float
    max_users_without_list: float
    view: str | None

    def __post_init__(self) -> None:
        for key in _RATIOS:
            _require_range(self, key, 0, 1)
        _require_range(self, "max_rows_ratio", 1)
        _require_range(self, "max_score_shift", 0)
        _require_range(self, "popular_items", 1, 10_000)
        if self.view is not None and not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", self.view):
            raise ConfigError(f"publishing.view must be <schema>.<view>, such as recs.latest, got {self.view!r}")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    folder: str | None
    formats: tuple[str, ...]
    shards: int
    whole: bool

    def __post_init__(self) -> None:
        _require_known(self, "formats", self.formats, EXPORT_FORMATS)
        if not self.formats:
            raise ConfigError(f"export.formats is empty; give one or more of {list(EXPORT_FORMATS)}")
        _require_range(self, "shards", 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class MaintenanceConfig:
    keep_days: int
    pin_days: int
    vacuum_hours: float

    def __post_init__(self) -> None:
        _require_range(self, "keep_days", 1)
        _require_range(self, "pin_days", 1)
        # Delta's own border: readers of a version that is just being replaced have so long to end.
        _require_range(self, "vacuum_hours", 168)


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    uri: str | None
    experiment: str


@dataclass(frozen=True, kw_only=True)
class Config:
    lake: LakeConfig
    spark: SparkConfig
    source: SourceConfig
    clean: CleanConfig
    features: FeaturesConfig
    candidates: CandidatesConfig
    examples: ExamplesConfig
    train: TrainConfig
    evaluation: EvaluationConfig
    score: ScoreConfig
    scenes: ScenesConfig
    publishing: PublishingConfig
    export: ExportConfig
    maintenance: MaintenanceConfig
    tracking: TrackingConfig

    def __post_init__(self) -> None:
        quota, grains = self.candidates.neighbour_items, self.features.grains
        if quota and catalog.ITEM_ITEM.name not in grains:
            wanted = ",".join([*grains, catalog.ITEM_ITEM.name])
            raise ConfigError(
                f"candidates.neighbour_items is {quota}, and candidates come from features.item_item then, which "
                f"features.grains, {list(grains)}, does not name. Cure: --set features.grains=[{wanted}], or "
                "candidates.neighbour_items=0"
            )

    def settings_of(self, sections: Sequence[str]) -> dict[str, Any]:
        """The named sections as plain data: what a stage's fingerprint hashes."""
        return {name: dataclasses.asdict(getattr(self, name)) for name in sections}


_SECTION_NAMES: dict[type, str] = {cast(type, hint): name for name, hint in typing.get_type_hints(Config).items()}


def load_config(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> Config:
    """Over conf/base.yaml lie `train` of the model's own file and SOURCE_SETTINGS of the source's mapping, then `files`
    in order, then `overrides` of the form `section.key=value`.

    Raises ConfigError for an unknown section or key, a wrong type or a value out of range.
    """
    base = _layer(_base_file(files))
    given = [*map(_layer, map(Path, files)), *((f"--set {text}", _parse_override(text)) for text in overrides)]
    folder = conf_folder(files)
    of_source = _source_layer(folder, _merged([base, *given])["source"]["name"])
    model = _merged([base, of_source, *given])["train"]["model"]
    merged = _merged([base, _model_layer(folder, model), _for_model(of_source, model), *given])
    sections = {name: _build(cls, merged[name], name) for cls, name in _SECTION_NAMES.items()}
    return Config(**sections)


def conf_folder(files: Sequence[str | Path]) -> Path:
    """The first configuration file's own, if it holds source mappings."""
    folder = Path(files[0]).resolve().parent if files else CONF_FOLDER
    return folder if (folder / SOURCES).is_dir() else CONF_FOLDER


def _layer(file: Path) -> Layer:
    return str(file), load_yaml(file)


def _source_layer(folder: Path, name: str) -> Layer:
    """A mapping that is not there is refused by whoever needs it."""
    file = folder / SOURCES / f"{name}.yaml"
    values = load_yaml(file) if file.is_file() else {}
    return str(file), {name: values[name] for name in SOURCE_SETTINGS if name in values}


def _for_model(of_source: Layer, model: str) -> Layer:
    """Training settings of a source that names a model were chosen for it: with another model they do not hold."""
    file, values = of_source
    if values.get("train", {}).get("model", model) == model:
        return of_source
    return file, {name: section for name, section in values.items() if name != "train"}


def model_file(folder: Path, model: str) -> Path:
    """In the folder of the configuration, else in the package's own."""
    own = folder / "models" if (folder / "models").is_dir() else CONF_FOLDER / "models"
    return own / f"{model}.yaml"


def _model_layer(folder: Path, model: str) -> Layer:
    file = model_file(folder, model)
    values = load_yaml(file) if file.is_file() else {}
    return str(file), {name: values[name] for name in MODEL_SECTIONS if name in values}


def _merged(layers: Sequence[Layer]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for where, values in layers:
        _merge(merged, values, where=where)
    return merged


def load_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration file {path}: {error.strerror}; give an existing YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}; save it as UTF-8") from error
    data = _parse_yaml(text, where=str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold sections with keys, found {type(data).__name__}")
    return data


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}") from error


def build_section(cls: type[Section], values: Mapping[str, Any], where: str) -> Section:
    """A frozen dataclass from plain data, nested dataclasses and lists of them included."""
    return cast(Section, _build(cls, values, where))


def _base_file(files: Sequence[str | Path]) -> Path:
    """The first configuration file's own folder wins, so that a cluster needs no checkout."""
    beside = [Path(file).parent / BASE_FILE for file in files[:1]]
    return next((path for path in beside if path.is_file()), CONF_FOLDER / BASE_FILE)


def _merge(merged: dict[str, dict[str, Any]], new: Mapping[str, Any], where: str) -> None:
    known = list(_SECTION_NAMES.values())
    for section, values in new.items():
        if section not in known:
            raise ConfigError(f"{where}: unknown section {section!r}; known sections: {known}")
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: section {section!r} must hold keys, found {values!r}")
        merged.setdefault(section, {}).update(values)


def _parse_override(override: str) -> dict[str, dict[str, Any]]:
    path, separator, text = override.partition("=")
    section, dot, key = path.partition(".")
    if not (separator and dot and key):
        raise ConfigError(f"--set takes section.key=value, got {override!r}")
    return {section: {key: _parse_yaml(text, where=f"--set {override}")}}


def _build(cls: type, values: Mapping[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"unknown keys in {where!r}: {unknown}; known keys: {sorted(hints)}")
    required = [f.name for f in dataclasses.fields(cls) if _is_required(f)]
    missing = [name for name in required if name not in values]
    if missing:
        raise ConfigError(f"{where!r} lacks {missing}; it has {sorted(values)}")
    return cls(**{name: _typed(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _typed(_one_of(arguments, value), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(cast(type, hint), value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(arguments[0], entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(key): _typed(arguments[1], entry, f"{where}.{key}") for key, entry in value.items()}
    return _scalar(hint, value, where)


def _one_of(arguments: tuple[Any, ...], value: Any) -> Any:
    """Where a key may hold one value or a list, the list's type for a list."""
    hints = [argument for argument in arguments if argument is not type(None)]
    of_lists = [hint for hint in hints if typing.get_origin(hint) is tuple]
    return of_lists[0] if of_lists and isinstance(value, list) else hints[0]


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # YAML 1.1 reads 1e-3 as text.
    if hint is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    # And 2017-12-18 without quotes as a day.
    if hint is str and type(value) is date:
        return value.isoformat()
    is_bool_for_number = isinstance(value, bool) and hint is not bool
    if not isinstance(hint, type) or not isinstance(value, hint) or is_bool_for_number:
        expected = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{where} must be of type {expected}, got {value!r} ({type(value).__name__})")
    return value
