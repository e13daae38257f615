"""Drawn neighbours beside pairs of user and item, from the lake, as build_examples writes and scoring reads them."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame

from jobs._taken import ids_of
from recsys import tables
from recsys.examples.neighbourhoods import Neighbourhoods, with_neighbours
from recsys.lake.read_features import of_cutoffs, read_neighbours
from recsys.stages import Run


def beside_neighbours(run: Run, pairs: DataFrame, *, as_of_dates: Sequence[date], size: int) -> DataFrame:
    """Pairs of these cut-offs, each with its lists of `size`. Raises InputError where there are no neighbourhoods."""
    users, items = read_neighbours(run.lake, as_of_dates)
    item_features = of_cutoffs(run.lake, tables.ITEM_FEATURES, as_of_dates)
    return with_neighbours(pairs, Neighbourhoods(users=users, items=items), item_features, ids_of(run.lake), size)
