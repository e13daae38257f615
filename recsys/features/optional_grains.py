"""The feature tables that a run writes where `features.grains` names them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame

from recsys import catalog
from recsys.config import FeaturesConfig
from recsys.features.graph import edge_features, item_neighbour_features, user_neighbour_features
from recsys.features.item_item import item_item_features
from recsys.features.item_text import item_text_features
from recsys.features.item_vectors import item_vector_features
from recsys.features.purchases import basket_items
from recsys.features.sequence import sequence_features


@dataclass(frozen=True, kw_only=True)
class Log:
    """Clean events, of them `item_days` as recsys/features/purchases.py makes them, and what was said of items, one row
    a version; `text_vectors` has one row a text of these items, and is needed for item_vectors alone."""

    events: DataFrame
    item_days: DataFrame
    item_history: DataFrame
    text_vectors: DataFrame | None = None


Build = Callable[[Log, Sequence[date], FeaturesConfig], DataFrame]

BUILDS: dict[str, Build] = {
    catalog.SEQUENCE.name: lambda log, days, sizes: sequence_features(log.events, days, sizes.sequence_length),
    catalog.EDGE.name: lambda log, days, _: edge_features(log.item_days, days),
    catalog.ITEM_ITEM.name: lambda log, days, sizes: item_item_features(
        basket_items(log.events), days, sizes.neighbours
    ),
    catalog.USER_NEIGHBOURS.name: lambda log, days, sizes: user_neighbour_features(
        log.item_days, days, sizes.sampled_neighbours
    ),
    catalog.ITEM_NEIGHBOURS.name: lambda log, days, sizes: item_neighbour_features(
        log.item_days, days, sizes.sampled_neighbours
    ),
    catalog.ITEM_TEXT.name: lambda log, days, sizes: item_text_features(
        log.item_days, log.item_history, days, sizes.text_dimensions
    ),
    catalog.ITEM_VECTORS.name: lambda log, days, _: _item_vectors(log, days),
}


def optional_features(log: Log, as_of_dates: Sequence[date], settings: FeaturesConfig) -> dict[str, DataFrame]:
    """By grain, in the order of `features.grains`; a cut-off sees nothing of its own day or later."""
    return {grain: BUILDS[grain](log, as_of_dates, settings) for grain in settings.grains}


def _item_vectors(log: Log, as_of_dates: Sequence[date]) -> DataFrame:
    assert log.text_vectors is not None, "build_features encodes the texts before"
    return item_vector_features(log.item_days, log.item_history, log.text_vectors, as_of_dates)
