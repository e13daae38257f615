"""Recent items for the users likely to want them, and a share of each list to find out who else does.

An explored item is drawn from a pool with a probability that is written down, so that what becomes of it can be weighed
by it (inverse propensity).
"""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ScenesConfig
from recsys.frames.best import first_of_each

AFFINITY, EXPLORATION = SOURCES = ("affinity", "exploration")
# As if each item had had one buyer in a week more: a single buyer on its first day is no trend.
PRIOR_DAYS = 7

_POOL = "pool"
_OWN = "own"
_OWNED = "owned"
_SALT = "explored-items-v1"


def new_items(events: DataFrame, items: DataFrame, as_of: date, days: int) -> DataFrame:
    """Eligible items whose first event, or for want of one whose first description, lies in so many days before the
    day: category, first_date and `buyers` until then. `events`: of all days; those of the day and later are not
    looked at."""
    known = events.where(F.col(c.EVENT_DATE) < F.lit(as_of))
    buyer = F.when(F.col(c.EVENT_TYPE) == c.PURCHASE, F.col(c.USER_ID))
    first = known.groupBy(c.ITEM_ID).agg(
        F.min(c.EVENT_DATE).alias(c.FIRST_DATE), F.count_distinct(buyer).alias(c.BUYERS)
    )
    described = items.where(c.IS_ELIGIBLE).select(c.ITEM_ID, c.CATEGORY, F.to_date(c.KNOWN_TS).alias("described_on"))
    joined = described.join(first, on=c.ITEM_ID, how="left").fillna(0, c.BUYERS)
    began = joined.withColumn(c.FIRST_DATE, F.coalesce(c.FIRST_DATE, "described_on"))
    is_in_days = F.col(c.FIRST_DATE) >= F.lit(as_of - timedelta(days=days))
    is_new = is_in_days & (F.col(c.FIRST_DATE) < F.lit(as_of))
    return began.where(is_new).select(c.ITEM_ID, c.CATEGORY, c.FIRST_DATE, c.BUYERS)


def wanted(new: DataFrame, users: DataFrame, tokens: DataFrame, as_of: date, settings: ScenesConfig) -> DataFrame:
    """user_id, item_id and `score` = share of the user's purchases in the item's category · (1 + mean share of them
    that have each of its tokens) · buyers a day.

    `users`: user_id and item_id of purchases, category among their columns; `tokens`: item_id and `tokens`. A user is
    offered the `new_items_of_category` most bought new items of each category, none that the user has bought.
    """
    rate = (F.col(c.BUYERS) + 1) / (F.datediff(F.lit(as_of), F.col(c.FIRST_DATE)) + PRIOR_DAYS)
    rated = new.where(F.col(c.CATEGORY).isNotNull()).withColumn("rate", rate)
    offered = first_of_each(
        rated, settings.new_items_of_category, (c.CATEGORY,), (F.desc("rate"), F.asc(c.ITEM_ID))
    ).drop(c.RANK)
    lines = users.groupBy(c.USER_ID).agg(F.count("*").alias("lines"))
    shares = users.groupBy(c.USER_ID, c.CATEGORY).agg(F.count("*").alias("lines_of_category"))
    pairs = shares.join(offered, on=c.CATEGORY, how="inner").join(lines, on=c.USER_ID, how="inner")
    unbought = pairs.join(users.select(c.USER_ID, c.ITEM_ID).distinct(), on=[c.USER_ID, c.ITEM_ID], how="left_anti")
    liked = unbought.join(_token_lines(unbought, users, tokens), on=[c.USER_ID, c.ITEM_ID], how="left")
    text = F.coalesce(F.col("token_lines") / (F.col("num_tokens") * F.col("lines")), F.lit(0.0))
    score = F.col("lines_of_category") / F.col("lines") * (1 + text) * F.col("rate")
    return liked.select(c.USER_ID, c.ITEM_ID, score.alias(c.SCORE))


def _token_lines(pairs: DataFrame, users: DataFrame, tokens: DataFrame) -> DataFrame:
    """Per user and new item: over its tokens, the sum of the user's purchases that have the token."""
    each = tokens.select(c.ITEM_ID, F.explode(F.array_distinct("tokens")).alias("token"))
    of_new = pairs.select(c.USER_ID, c.ITEM_ID).join(each, on=c.ITEM_ID, how="inner")
    asked = of_new.select("token").distinct()
    bought = users.join(each.join(asked, on="token", how="left_semi"), on=c.ITEM_ID, how="inner")
    counted = bought.groupBy(c.USER_ID, "token").agg(F.count("*").alias("lines_of_token"))
    found = of_new.join(counted, on=[c.USER_ID, "token"], how="left").fillna(0, "lines_of_token")
    return found.groupBy(c.USER_ID, c.ITEM_ID).agg(
        F.sum("lines_of_token").alias("token_lines"), F.count("*").alias("num_tokens")
    )


def new_item_lists(  # noqa: PLR0913  # what lists are made of, and how long
    wanted: DataFrame, pool: DataFrame, owned: DataFrame, as_of: date, n: int, share: float, *, depth: int = 1
) -> DataFrame:
    """user_id, rank, item_id, score, source and `probability` of each user of `wanted`.

    `share` of the `n` places, rounded, stand at the end and are drawn by hash from the items of `pool` that the user
    has not bought (`owned`: user_id and item_id) and the places before do not hold: each of m with probability places
    / m. A place of the others is certain. With a `depth` above 1 the user's next items come behind, until there are
    `depth` times as many of the user's own.
    """
    explored = round(share * n)
    own = n - explored
    of_pool = pool.agg(F.array_sort(F.collect_list(c.ITEM_ID)).alias(_POOL))
    listed = _own_lists(wanted, own * depth).join(_owned_of(pool, owned), on=c.USER_ID, how="left")
    best = listed.crossJoin(F.broadcast(of_pool))
    parted = best.withColumns({"first": F.slice(_OWN, 1, own), "next": F.slice(_OWN, own + 1, own * depth)})
    unowned = F.array_except(_POOL, F.coalesce(_OWNED, F.array().cast("array<string>")))
    both = parted.withColumn("free", F.array_except(unowned, F.col(f"first.{c.ITEM_ID}")))
    probability = F.lit(explored) / F.greatest(F.size("free"), F.lit(explored), F.lit(1))
    in_order = F.array_sort(F.transform("free", lambda item: _drawn(item, as_of, probability)))
    drawn = both.withColumn("drawn", F.slice(in_order, 1, explored)["entry"])
    others = F.filter("next", lambda entry: ~F.array_contains(F.col(f"drawn.{c.ITEM_ID}"), entry[c.ITEM_ID]))
    whole = drawn.select(c.USER_ID, F.posexplode(F.concat("first", "drawn", others)))
    return whole.select(c.USER_ID, (F.col("pos") + 1).alias(c.RANK), "col.*")


def _owned_of(pool: DataFrame, owned: DataFrame) -> DataFrame:
    """One row a user with the items of the pool that the user has bought."""
    of_pool = owned.join(F.broadcast(pool), on=c.ITEM_ID, how="left_semi")
    return of_pool.groupBy(c.USER_ID).agg(F.collect_set(c.ITEM_ID).alias(_OWNED))


def _own_lists(wanted: DataFrame, count: int) -> DataFrame:
    """One row a user with the best items, in order."""
    best = first_of_each(wanted, count, (c.USER_ID,), (F.desc(c.SCORE), F.asc(c.ITEM_ID)))
    entry = _entry(F.col(c.ITEM_ID), F.col(c.SCORE), AFFINITY, F.lit(1.0))
    ranked = best.groupBy(c.USER_ID).agg(
        F.array_sort(F.collect_list(F.struct(c.RANK, entry.alias("entry")))).alias("r")
    )
    return ranked.select(c.USER_ID, F.col("r.entry").alias(_OWN))


def _drawn(item: Column, as_of: date, probability: Column) -> Column:
    drawn_by = F.xxhash64(F.col(c.USER_ID), item, F.lit(as_of), F.lit(_SALT))
    entry = _entry(item, F.lit(None).cast("double"), EXPLORATION, probability)
    return F.struct(drawn_by.alias("hash"), item.alias(c.ITEM_ID), entry.alias("entry"))


def _entry(item: Column, score: Column, source: str, probability: Column) -> Column:
    return F.struct(
        item.alias(c.ITEM_ID), score.alias(c.SCORE), F.lit(source).alias(c.SOURCE), probability.alias(c.PROBABILITY)
    )


def exploration_pool(new: DataFrame, size: int) -> DataFrame:
    """The newest items; of a day those with more buyers."""
    order = (F.desc(c.FIRST_DATE), F.desc(c.BUYERS), F.asc(c.ITEM_ID))
    return first_of_each(new.withColumn("one", F.lit(0)), size, ("one",), order).select(c.ITEM_ID)
