"""What a graph's users and items are known by before a day, beside its edges: numbers and an item's category."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.frames.sums import exact_sum


def user_nodes(item_days: DataFrame) -> DataFrame:
    """user_id and `node_numbers`: logarithms of lines, days with a purchase, and cents a line; 0 where untold."""
    lines = F.sum(c.LINES)
    spent = F.coalesce(F.sum(c.CENTS) / lines, F.lit(0.0))
    return item_days.groupBy(c.USER_ID).agg(_logarithms(lines, F.count_distinct(c.EVENT_DATE), spent))


def item_nodes(item_days: DataFrame, items: DataFrame, categories: DataFrame) -> DataFrame:
    """item_id, `node_numbers` and category_idx, -1 for none, of every item of either table.

    Numbers: logarithms of lines, of days with a purchase, and of the price of a unit in cents; 0 if untold.
    """
    price = F.coalesce(F.sum(c.CENTS) / F.nullif(exact_sum(F.col(c.UNITS)), F.lit(0.0)), F.lit(0.0))
    sold = item_days.groupBy(c.ITEM_ID).agg(_logarithms(F.sum(c.LINES), F.count_distinct(c.EVENT_DATE), price))
    described = items.select(c.ITEM_ID, c.CATEGORY).join(categories, on=c.CATEGORY, how="left")
    joined = sold.join(described, on=c.ITEM_ID, how="full")
    nothing = F.array(*[F.lit(0.0).cast("float")] * 3)
    return joined.select(
        c.ITEM_ID,
        F.coalesce(c.NODE_NUMBERS, nothing).alias(c.NODE_NUMBERS),
        F.coalesce(c.CATEGORY_IDX, F.lit(-1)).cast("int").alias(c.CATEGORY_IDX),
    )


def _logarithms(*values: Column) -> Column:
    return F.array(*(F.log1p(F.greatest(value, F.lit(0.0))).cast("float") for value in values)).alias(c.NODE_NUMBERS)
