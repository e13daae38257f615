"""What an item's texts say: its words, and a vector of one length that is made of them."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables
from recsys.frames.as_of import known_before
from recsys.frames.history import day_before_cutoff, with_values_on

HISTORY_DAYS = 365
TEXTS = (c.NAME, c.BRAND, c.CATEGORY, c.DEPARTMENT)
ITEM = (c.AS_OF_DATE, c.ITEM_ID)

# A run of Chinese characters, or one of the letters and digits of any other script.
_RUNS = r"\p{IsHan}+|[\p{L}\p{M}\p{N}&&[^\p{IsHan}]]+"
_CHINESE = r"^\p{IsHan}{2,}$"
_SALT = "item-text-v1"
_TOKEN = "token"


def item_text_features(
    item_days: DataFrame, item_history: DataFrame, as_of_dates: Sequence[date], dimensions: int
) -> DataFrame:
    """One row per cut-off and item with a text and with a purchase in the 365 days before it. Texts are those of the
    day before the cut-off. How rare a token is, is counted over all items with such a purchase."""
    known = known_before(item_days, as_of_dates, HISTORY_DAYS).select(*ITEM).distinct()
    described = with_values_on(known, day_before_cutoff(), item_history, c.ITEM_ID, *TEXTS)
    tokens = described.select(*ITEM, tokens_of(F.concat_ws(" ", *TEXTS)).alias(c.ITEM_TEXT_TOKENS))
    with_text = tokens.where(F.size(c.ITEM_TEXT_TOKENS) > 0)
    all_items = known.groupBy(c.AS_OF_DATE).agg(F.count("*").alias("all_items"))
    bags = _bags(with_text, all_items, dimensions)
    return with_text.join(bags, on=[*ITEM], how="inner").select(*tables.ITEM_TEXT_FEATURES.column_names)


def tokens_of(text: Column) -> Column:
    """Words in small letters, in their order; Chinese, which has no spaces, in pairs of neighbouring characters."""

    def pairs(run: Column) -> Column:
        starts = F.sequence(F.lit(1), F.length(run) - 1)
        return F.transform(starts, lambda start: F.substring(run, start, F.lit(2)))

    runs = F.regexp_extract_all(F.lower(text), F.lit(_RUNS), F.lit(0))
    of_runs = F.transform(runs, lambda run: F.when(F.rlike(run, F.lit(_CHINESE)), pairs(run)).otherwise(F.array(run)))
    return F.flatten(of_runs)


def _bags(with_text: DataFrame, all_items: DataFrame, dimensions: int) -> DataFrame:
    each = with_text.select(*ITEM, F.explode(c.ITEM_TEXT_TOKENS).alias(_TOKEN))
    counted = each.groupBy(*ITEM, _TOKEN).agg(F.count("*").alias("uses"))
    spread = counted.groupBy(c.AS_OF_DATE, _TOKEN).agg(F.count("*").alias("items_with"))
    weighted = counted.join(spread, on=[c.AS_OF_DATE, _TOKEN], how="inner").join(
        F.broadcast(all_items), on=c.AS_OF_DATE, how="inner"
    )
    hashed = F.xxhash64(_TOKEN, F.lit(_SALT))
    # The sign lets tokens that share a number cancel out instead of adding up.
    weight = F.when(hashed < 0, -_weight()).otherwise(_weight())
    entry = F.struct(_TOKEN, F.pmod(hashed, F.lit(dimensions)).alias("position"), weight.alias("weight"))
    # Sorted, so that sums do not depend on the order of rows.
    entries = weighted.groupBy(*ITEM).agg(F.array_sort(F.collect_list(entry)).alias("entries"))
    vectors = entries.withColumn("vector", _vector(F.col("entries"), dimensions))
    return vectors.select(*ITEM, _of_length_1(F.col("vector")).cast("array<float>").alias(c.ITEM_TEXT_BAG))


def _weight() -> Column:
    """TF-IDF as scikit-learn smooths it: a token of every item still weighs 1."""
    return F.col("uses") * (F.log((1 + F.col("all_items")) / (1 + F.col("items_with"))) + 1)


def _vector(entries: Column, dimensions: int) -> Column:
    def number(position: Column) -> Column:
        here = F.filter(entries, lambda entry: entry["position"] == position)
        return F.aggregate(here, F.lit(0.0), lambda total, entry: total + entry["weight"])

    return F.transform(F.sequence(F.lit(0), F.lit(dimensions - 1)), number)


def _of_length_1(vector: Column) -> Column:
    """Zeros stay zeros, where all tokens cancel out."""
    length = F.sqrt(F.aggregate(vector, F.lit(0.0), lambda total, number: total + number * number))
    return F.transform(vector, lambda number: F.coalesce(F.try_divide(number, length), F.lit(0.0)))
