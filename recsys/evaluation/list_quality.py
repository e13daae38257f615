"""What lists are like, whatever was bought: how unlike their items are, and how many items have a place in one."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.evaluation.ranking import DECIMALS

COVERAGE = "coverage"
INTRA_LIST_DIVERSITY = "intra_list_diversity"
GINI = "gini"
LIST_METRICS = (COVERAGE, INTRA_LIST_DIVERSITY, GINI)

_NUM_ELIGIBLE = "num_eligible"
_PLACES = "places"


def list_quality(lists: DataFrame, items: DataFrame) -> DataFrame:
    """Per list_kind and recommender a row for each metric: its value, null where it says nothing.

    coverage: the share of eligible items that stand in a list. intra_list_diversity: the mean over users of the share
    of pairs of a list's items that are of different categories, an item without one being unlike all others; lists of
    one item have no pair. gini: of the places that eligible items have in lists, 0 where all have as many, towards 1
    where one has them all (Gini 1912).
    """
    of_items = _of_exposure(lists, items)
    told = of_items.join(_diversity(lists, items), on=[c.LIST_KIND, c.RECOMMENDER], how="left")
    named = F.explode(F.array(*(F.struct(F.lit(name).alias(c.METRIC), _value(name)) for name in LIST_METRICS)))
    return told.select(c.LIST_KIND, c.RECOMMENDER, named.alias("one")).select(c.LIST_KIND, c.RECOMMENDER, "one.*")


def _value(name: str) -> Column:
    return F.round(F.col(name), DECIMALS).alias(c.VALUE)


def _diversity(lists: DataFrame, items: DataFrame) -> DataFrame:
    group = [c.LIST_KIND, c.RECOMMENDER, c.USER_ID]
    category = F.coalesce(F.col(c.CATEGORY), F.concat(F.lit("\0"), c.ITEM_ID))
    known = lists.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID, how="left")
    alike = known.groupBy(*group, category.alias(c.CATEGORY)).agg(F.count("*").alias(_PLACES))
    of_user = alike.groupBy(*group).agg(
        _pairs(F.sum(_PLACES)).alias("pairs"), F.sum(_pairs(F.col(_PLACES))).alias("same")
    )
    different = F.try_divide(F.col("pairs") - F.col("same"), F.col("pairs"))
    return of_user.groupBy(c.LIST_KIND, c.RECOMMENDER).agg(F.mean(different).alias(INTRA_LIST_DIVERSITY))


def _pairs(count: Column) -> Column:
    return count * (count - 1) / 2


def _of_exposure(lists: DataFrame, items: DataFrame) -> DataFrame:
    """From counts of items with as many places each, of which there are few: nothing is sorted by item."""
    group = [c.LIST_KIND, c.RECOMMENDER]
    eligible = items.where(c.IS_ELIGIBLE).agg(F.count("*").alias(_NUM_ELIGIBLE))
    exposed = lists.groupBy(*group, c.ITEM_ID).agg(F.count("*").alias(_PLACES))
    counted = exposed.groupBy(*group, _PLACES).agg(F.count("*").alias(c.NUM_ITEMS))
    steps = F.array_sort(F.collect_list(F.struct(_PLACES, c.NUM_ITEMS))).alias("steps")
    told = counted.groupBy(*group).agg(
        steps, F.sum(c.NUM_ITEMS).alias(c.NUM_ITEMS), F.sum(F.col(_PLACES) * F.col(c.NUM_ITEMS)).alias(_PLACES)
    )
    whole = told.crossJoin(eligible)
    return whole.select(
        *group,
        F.try_divide(F.col(c.NUM_ITEMS), F.col(_NUM_ELIGIBLE)).alias(COVERAGE),
        F.try_divide(_weighed(), F.col(_NUM_ELIGIBLE) * F.col(_PLACES)).alias(GINI),
    )


def _weighed() -> Column:
    """Sum over items, those with the fewest places first, of (2 * position - number of items - 1) * places."""
    without = F.col(_NUM_ELIGIBLE) - F.col(c.NUM_ITEMS)

    def add(state: Column, step: Column) -> Column:
        before, alike = state["before"], step[c.NUM_ITEMS]
        gained = step[_PLACES] * alike * (2 * before + alike - F.col(_NUM_ELIGIBLE))
        return F.struct((before + alike).alias("before"), (state["sum"] + gained).alias("sum"))

    start = F.struct(without.alias("before"), F.lit(0).cast("bigint").alias("sum"))
    return F.aggregate("steps", start, add, lambda state: state["sum"])
