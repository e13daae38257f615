"""The first words of an item's texts as numbers of one count, for networks that learn a vector a word."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.features.item_text import TEXTS, tokens_of

_SALT = "item-words-v1"


def item_words(items: DataFrame, *, buckets: int, count: int) -> DataFrame:
    """item_id and item_words, of every item: a number from 1 to `buckets` a word, filled up with 0 at the end.

    Words share a number by hash. An item without a text has none.
    """
    words = F.slice(F.coalesce(tokens_of(F.concat_ws(" ", *TEXTS)), F.array().cast("array<string>")), 1, count)
    numbers = F.transform(words, lambda word: _bucket(word, buckets))
    filled = F.concat(numbers, F.array_repeat(F.lit(0), F.lit(count) - F.size(numbers)))
    return items.select(c.ITEM_ID, filled.alias(c.ITEM_WORDS))


def _bucket(word: Column, buckets: int) -> Column:
    return (F.pmod(F.xxhash64(word, F.lit(_SALT)), F.lit(buckets)) + 1).cast("int")
