"""Lists for users without history: what is bought in this store on this weekday at this time of the day.

Few baskets say little: the share of an item in a store and time is drawn towards its share in the store, this towards
its share in the country, where countries are known, and this towards its share in all stores.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ScenesConfig
from recsys.frames.as_of import known_before
from recsys.frames.best import first_of_each

ALL, COUNTRY, STORE, STORE_TIME = LEVELS = ("all", "country", "store", "store_time")

PLACE = (c.LEVEL, c.COUNTRY, c.STORE_ID, c.LOCAL_WEEKDAY, c.HOURS_FROM)
_TYPES = {c.COUNTRY: "string", c.STORE_ID: "string", c.LOCAL_WEEKDAY: "int", c.HOURS_FROM: "int"}
_NAMED: dict[str, tuple[str, ...]] = {
    ALL: (),
    COUNTRY: (c.COUNTRY,),
    STORE: (c.COUNTRY, c.STORE_ID),
    STORE_TIME: (c.COUNTRY, c.STORE_ID, c.LOCAL_WEEKDAY, c.HOURS_FROM),
}
# Places as text, for a store may be null: null is not equal to null.
_PLACE, _WIDER = "place", "wider"
_WIDER_SHARE = "wider_share"
_COUNT = "baskets_with_item"


def levels_of(countries: Mapping[str, str]) -> tuple[str, ...]:
    """`countries`: store → country."""
    return tuple(level for level in LEVELS if countries or level != COUNTRY)


def context_lists(  # what lists are made of, for which places, and how long
    baskets: DataFrame, items: DataFrame, as_of: date, n: int, settings: ScenesConfig, levels: Sequence[str]
) -> DataFrame:
    """The `n` best eligible items of each level and place: `score` is the share of its baskets that hold the item, as
    it is believed after so many, `num_baskets`.

    `baskets`: one row each, event_date, country, store_id, local_weekday, local_hour and `items`. What a level does not
    look at is null; a log without stores has one, null. Stores whose country is not known have no list of a country.
    """
    known = known_before(baskets, [as_of], settings.context_days)
    eligible = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID)
    shares, best = None, None
    lists: list[DataFrame] = []
    for wider, level in zip((levels[0], *levels), levels, strict=False):
        counted = _counted(_at(known, level, wider, settings), eligible)
        shares = _shares(counted, shares, settings.context_prior_baskets)
        best = _best(shares, counted, best, n, settings.context_prior_baskets)
        lists.append(best)
    is_unknown = (F.col(c.LEVEL) == COUNTRY) & F.col(c.COUNTRY).isNull()
    of_all = reduce(DataFrame.unionByName, lists).where(~is_unknown)
    return of_all.select(*PLACE, c.RANK, c.ITEM_ID, c.SCORE, c.NUM_BASKETS)


def _at(baskets: DataFrame, level: str, wider: str, settings: ScenesConfig) -> DataFrame:
    """With the columns of PLACE, and their text for this level and the wider one."""
    hour = F.col(c.LOCAL_HOUR)
    timed = baskets.withColumn(c.HOURS_FROM, (hour - hour % settings.context_hours).cast("int"))
    named = timed.withColumns({_PLACE: _text(_place(level)), _WIDER: _text(_place(wider))})
    return named.withColumns(_place(level))


def _place(level: str) -> dict[str, Column]:
    unnamed = {name: F.lit(None).cast(kind) for name, kind in _TYPES.items() if name not in _NAMED[level]}
    return {c.LEVEL: F.lit(level), **{name: F.col(name) for name in _NAMED[level]}, **unnamed}


def _text(place: Mapping[str, Column]) -> Column:
    return F.to_json(F.struct(*(place[name].alias(name) for name in PLACE)), {"ignoreNullFields": "false"})


def _counted(baskets: DataFrame, eligible: DataFrame) -> DataFrame:
    """One row per place and item, with the baskets of both and of the place."""
    place = (_PLACE, _WIDER, *PLACE)
    of_place = baskets.groupBy(_PLACE).agg(F.count("*").alias(c.NUM_BASKETS))
    each = baskets.select(*place, F.explode("items").alias(c.ITEM_ID)).join(eligible, on=c.ITEM_ID, how="left_semi")
    counts = each.groupBy(*place, c.ITEM_ID).agg(F.count("*").alias(_COUNT))
    return counts.join(of_place, on=_PLACE, how="inner")


def _shares(counted: DataFrame, wider: DataFrame | None, prior: float) -> DataFrame:
    """With `score`; what is counted in a place is counted in the wider one too."""
    if wider is None:
        return counted.withColumn(c.SCORE, F.col(_COUNT) / F.col(c.NUM_BASKETS))
    known = wider.select(F.col(_PLACE).alias(_WIDER), c.ITEM_ID, F.col(c.SCORE).alias(_WIDER_SHARE))
    share = (F.col(_COUNT) + prior * F.col(_WIDER_SHARE)) / (F.col(c.NUM_BASKETS) + prior)
    return counted.join(known, on=[_WIDER, c.ITEM_ID], how="inner").withColumn(c.SCORE, share)


def _best(shares: DataFrame, counted: DataFrame, wider: DataFrame | None, n: int, prior: float) -> DataFrame:
    """Of items that nobody bought in the place, only the best of the wider one can be among its own."""
    columns = (_PLACE, *PLACE, c.NUM_BASKETS, c.ITEM_ID, c.SCORE)
    rivals = shares.select(*columns)
    if wider is not None:
        places = counted.select(_PLACE, _WIDER, *PLACE, c.NUM_BASKETS).distinct()
        others = wider.select(F.col(_PLACE).alias(_WIDER), c.ITEM_ID, F.col(c.SCORE).alias(_WIDER_SHARE))
        score = prior * F.col(_WIDER_SHARE) / (F.col(c.NUM_BASKETS) + prior)
        unsold = places.join(others, on=_WIDER, how="inner").join(rivals, on=[_PLACE, c.ITEM_ID], how="left_anti")
        rivals = rivals.unionByName(unsold.withColumn(c.SCORE, score).select(*columns))
    return first_of_each(rivals, n, (_PLACE,), (F.desc(c.SCORE), F.asc(c.ITEM_ID)))


def lists_at(cases: DataFrame, lists: DataFrame, settings: ScenesConfig, levels: Sequence[str]) -> DataFrame:
    """case_id, rank and item_id of each case's list: that of its store and time where there is one, else of its store,
    else of its country, else of all. `cases`: case_id, country, store_id, local_weekday, local_hour."""
    asked = [
        _at(cases, level, level, settings).select(
            c.CASE_ID, F.struct(F.lit(depth).alias("depth"), _PLACE).alias(_PLACE)
        )
        for depth, level in enumerate(levels)
    ]
    of_all = reduce(DataFrame.unionByName, asked).select(c.CASE_ID, f"{_PLACE}.*")
    known = lists.select(_text({name: F.col(name) for name in PLACE}).alias(_PLACE), c.RANK, c.ITEM_ID)
    found = of_all.join(known.select(_PLACE).distinct(), on=_PLACE, how="left_semi")
    narrowest = found.groupBy(c.CASE_ID).agg(F.max(F.struct("depth", _PLACE)).alias("narrowest"))
    places = narrowest.select(c.CASE_ID, F.col(f"narrowest.{_PLACE}").alias(_PLACE))
    return places.join(known, on=_PLACE, how="inner").select(c.CASE_ID, c.RANK, c.ITEM_ID)
