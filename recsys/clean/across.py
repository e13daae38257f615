"""Rules that look across rows: what is found depends on all good rows of one group, whatever files they came in.

They look at rows that are right by themselves, each rule at all of them: none sees what another has left out, but for
second sendings, which are not netted. A rule without its threshold costs nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import bots, netting, prices
from recsys.clean.duplicates import IS_DUPLICATE, Parted, day_of
from recsys.clean.scans import OF_RAW, with_raw
from recsys.clean.sessions import with_sessions
from recsys.config import CleanConfig
from recsys.frames.caches import counted, in_memory, settled

NEAR_DUPLICATE = "near_duplicate"
PRICE_OUTLIER = "price_outlier"

_PLACE = (c.SOURCE_FILE, c.SOURCE_ROW)
_SAME = (c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.BASKET_ID, c.STORE_ID, c.DEVICE, c.QUANTITY, c.AMOUNT_CENTS)
# An event as its row says it: before any netting.
LINE = (
    c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.EVENT_TS, c.BASKET_ID, c.STORE_ID, c.DEVICE, c.QUANTITY, c.AMOUNT_CENTS,
)  # fmt: skip
FOUND = (*_PLACE, c.REASONS, c.CANCELLED_QUANTITY, c.CANCELLED_CENTS)
_IS_NEAR_DUPLICATE = "_is_near_duplicate"
_THEN, _THEN_CANCELLED = "_then", "_then_cancelled"


@dataclass(frozen=True, kw_only=True)
class AcrossRule:
    """`key` names its groups; `find` gives rows of FOUND for the lines that break it or lose units.

    `switches` are keys of `clean`: without any of them the rule is not asked. `limits` are further ones. `reach_days`:
    on how many UTC days before it what is found of a line depends; None: on all lines of its group.
    """

    reasons: Mapping[str, str]
    key: tuple[str, ...]
    find: Callable[[DataFrame, CleanConfig], DataFrame]
    switches: tuple[str, ...]
    limits: tuple[str, ...] = ()
    reach_days: Callable[[CleanConfig], int] | None = None
    is_netting: bool = False

    def is_asked(self, limits: CleanConfig) -> bool:
        return any(getattr(limits, key) for key in self.switches)


def _near_duplicates(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    return _broken(_with_near_duplicates(lines, limits).where(_IS_NEAR_DUPLICATE), NEAR_DUPLICATE)


def _with_near_duplicates(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    in_order = Window.partitionBy(*_SAME).orderBy(c.EVENT_TS, *_PLACE)
    before = F.lag(c.EVENT_TS).over(in_order)
    gap_seconds = F.col(c.EVENT_TS).cast("double") - before.cast("double")
    is_soon = F.coalesce(gap_seconds <= limits.near_duplicate_seconds, F.lit(False))
    return lines.withColumn(_IS_NEAR_DUPLICATE, is_soon)


def _bots(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    found = lines.join(F.broadcast(bots.bot_days(lines, limits)), on=[c.USER_ID, c.LOCAL_DATE], how="inner")
    return found.select(*_PLACE, c.REASONS, *_nothing_cancelled())


def _cancellations(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    once = lines.where(F.col(c.EVENT_TYPE) == c.PURCHASE)
    if limits.near_duplicate_seconds:
        once = _with_near_duplicates(once, limits).where(~F.col(_IS_NEAR_DUPLICATE))
    return netting.netted(once)


def _price_outliers(lines: DataFrame, limits: CleanConfig) -> DataFrame:
    return _broken(prices.outlier_places(lines.where(F.col(c.EVENT_TYPE) == c.PURCHASE), limits), PRICE_OUTLIER)


def _nothing_cancelled() -> tuple[Column, Column]:
    return F.lit(0.0).alias(c.CANCELLED_QUANTITY), F.lit(0).cast("bigint").alias(c.CANCELLED_CENTS)


def _broken(places: DataFrame, reason: str) -> DataFrame:
    return places.select(*_PLACE, F.array(F.lit(reason)).alias(c.REASONS), *_nothing_cancelled())


# By name, in the order in which they are asked; only the cancellations look at what another finds.
ACROSS: dict[str, AcrossRule] = {
    "near_duplicates": AcrossRule(
        reasons={NEAR_DUPLICATE: "The same line, but for its time, stands a few seconds earlier"},
        key=(c.USER_ID, c.ITEM_ID),
        find=_near_duplicates,
        switches=("near_duplicate_seconds",),
    ),
    "bots": AcrossRule(
        reasons={
            bots.BOT_RATE: "The user has too many events on this local day for a person",
            bots.BOT_BREADTH: "The user met too many items on this local day for a person",
            bots.BOT_REGULARITY: "The user's events of this local day follow each other like clockwork",
        },
        key=(c.USER_ID, c.LOCAL_DATE),
        find=_bots,
        switches=("bot_events_a_day", "bot_items_a_day", "bot_regular_gaps"),
        limits=("bot_regular_share",),
    ),
    "cancellations": AcrossRule(
        reasons={
            netting.CANCELLATION: "It cancels units of the customer's earlier purchases, which are taken off there",
            netting.UNMATCHED_CANCELLATION: "The customer's earlier purchases of the item hold fewer units",
            netting.CANCELLED_PURCHASE: "A later cancellation took back all of its units",
        },
        key=(c.USER_ID, c.ITEM_ID),
        find=_cancellations,
        switches=("cancellation_pattern",),
        is_netting=True,
    ),
    "price_outliers": AcrossRule(
        reasons={PRICE_OUTLIER: "The unit price is far from those that the item had on the days before"},
        key=(c.ITEM_ID,),
        find=_price_outliers,
        switches=("price_outlier_deviations",),
        limits=("price_history_days", "price_history_lines"),
        reach_days=lambda limits: limits.price_history_days,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Lines of earlier runs. `others`: of files that are not taken now, with what was found of them then;
    `replaced`: those that the files taken now had."""

    others: DataFrame
    replaced: DataFrame


@dataclass(frozen=True, kw_only=True)
class Looked:
    """`kept`: the lines taken, with sessions where they are asked for; `found`: rows of FOUND of them; `changed`: paths
    of other files of whose lines another thing is found now."""

    kept: DataFrame
    found: DataFrame
    changed: set[str]


def is_any_asked(limits: CleanConfig) -> bool:
    return bool(limits.session_gap_minutes) or any(rule.is_asked(limits) for rule in ACROSS.values())


def standing_lines(events: DataFrame, quarantine: DataFrame, is_taken: Column, local_time_zone: str) -> Standing:
    """From clean.events and clean.quarantine."""
    more = (*_PLACE, c.EVENT_DATE, c.IDENTITY, c.REASONS, c.CANCELLED_QUANTITY, c.SESSION_ID)
    kept = events.withColumn(c.REASONS, F.array().cast("array<string>"))
    held = quarantine.where(F.col(c.EVENT).isNotNull()).select("*", f"{c.EVENT}.*")
    held = held.withColumns({c.CANCELLED_QUANTITY: F.lit(0.0), c.SESSION_ID: F.lit(None).cast("bigint")})
    whole = kept.select(*as_said(), *more).unionByName(held.select(*LINE, *more))
    dated = with_local_date(whole, local_time_zone)
    return Standing(others=dated.where(~is_taken), replaced=dated.where(is_taken))


def as_said() -> list[Column]:
    """LINE of rows of clean.events."""
    # Exact again: quantities have four decimals.
    quantity = F.round(F.col(c.QUANTITY) + F.col(c.CANCELLED_QUANTITY), 4).alias(c.QUANTITY)
    amount = (F.col(c.AMOUNT_CENTS) + F.coalesce(c.CANCELLED_CENTS, F.lit(0))).alias(c.AMOUNT_CENTS)
    said = {c.QUANTITY: quantity, c.AMOUNT_CENTS: amount}
    return [said.get(name, F.col(name)) for name in LINE]


def with_local_date(lines: DataFrame, local_time_zone: str) -> DataFrame:
    return lines.withColumn(c.LOCAL_DATE, F.to_date(F.from_utc_timestamp(c.EVENT_TS, local_time_zone)))


def look_across(good: DataFrame, standing: Standing | None, is_taken: Column, limits: CleanConfig) -> Looked:
    """`good`: the lines taken, with their local date. A rule sees whole groups: lines of other files beside them."""
    asked = [rule for rule in ACROSS.values() if rule.is_asked(limits)]
    span = _span(good, standing) if standing is not None and any(rule.reach_days for rule in asked) else None
    pools = [_pool(good, _in_reach(standing, rule, span, limits), rule.key) for rule in asked]
    found = [
        rule.find(pool.select(*LINE, *_PLACE, c.LOCAL_DATE), limits) for rule, pool in zip(asked, pools, strict=True)
    ]
    kept, changed = _in_sessions(good, standing, is_taken, limits)
    if standing is not None:
        for rule, pool, now in zip(asked, pools, found, strict=True):
            others = pool.where(~is_taken & _is_judged_whole(rule, span))
            changed |= _changed(rule, others, now.where(~is_taken))
    by_line = _by_line(good, [now.where(is_taken) for now in found])
    return Looked(kept=kept, found=counted(by_line) if standing is None else settled(by_line), changed=changed)


def _span(good: DataFrame, standing: Standing) -> tuple[date, date] | None:
    """First and last UTC day of the lines that come or go; None where there is none."""
    days = good.select(F.to_date(c.EVENT_TS).alias(c.EVENT_DATE)).unionByName(standing.replaced.select(c.EVENT_DATE))
    first, last = days.agg(F.min(c.EVENT_DATE), F.max(c.EVENT_DATE)).collect()[0]
    return None if first is None else (first, last)


def _in_reach(
    standing: Standing | None, rule: AcrossRule, span: tuple[date, date] | None, limits: CleanConfig
) -> Standing | None:
    """Without the lines that neither those of the span, nor any that depends on these, depend on: the cost of a day
    does not grow with the days before it."""
    if standing is None or span is None or rule.reach_days is None:
        return standing
    reach = timedelta(days=rule.reach_days(limits))
    is_near = F.col(c.EVENT_DATE).between(F.lit(span[0] - reach), F.lit(span[1] + reach))
    return replace(standing, others=standing.others.where(is_near))


def _is_judged_whole(rule: AcrossRule, span: tuple[date, date] | None) -> Column:
    """Of lines before the span not all that they depend on is there; what is found of them stays."""
    return F.lit(True) if span is None or rule.reach_days is None else F.col(c.EVENT_DATE) >= F.lit(span[0])


def _pool(good: DataFrame, standing: Standing | None, key: Sequence[str]) -> DataFrame:
    if standing is None:
        return good
    touched = good.select(*key).unionByName(standing.replaced.select(*key)).distinct()
    others = standing.others.join(touched, on=list(key), how="left_semi")
    return good.unionByName(others, allowMissingColumns=True)


def _by_line(good: DataFrame, found: Sequence[DataFrame]) -> DataFrame:
    """Few lines."""
    if not found:
        nothing = good.select(*_PLACE, F.array().cast("array<string>").alias(c.REASONS), *_nothing_cancelled())
        return nothing.where(F.lit(False))
    reasons = F.array_sort(F.array_distinct(F.flatten(F.collect_list(c.REASONS)))).alias(c.REASONS)
    sums = (F.max(name).alias(name) for name in (c.CANCELLED_QUANTITY, c.CANCELLED_CENTS))
    return reduce(DataFrame.unionByName, found).groupBy(*_PLACE).agg(reasons, *sums)


def _in_sessions(
    good: DataFrame, standing: Standing | None, is_taken: Column, limits: CleanConfig
) -> tuple[DataFrame, set[str]]:
    if not limits.session_gap_minutes:
        return good, set()
    pool = _pool(good, standing, (c.USER_ID, c.LOCAL_DATE)).where(~_is_cancellation())
    if standing is None:
        return with_sessions(pool, limits.session_gap_minutes), set()
    then = pool.withColumnRenamed(c.SESSION_ID, _THEN)
    now = with_sessions(then, limits.session_gap_minutes)
    is_changed = ~is_taken & (F.size(c.REASONS) == 0) & ~F.col(_THEN).eqNullSafe(F.col(c.SESSION_ID))
    return now.where(is_taken).select(*good.columns, c.SESSION_ID), _files_of(now.where(is_changed))


def _is_cancellation() -> Column:
    return F.coalesce(F.col(c.QUANTITY) < 0, F.lit(False))


def _changed(rule: AcrossRule, others: DataFrame, now: DataFrame) -> set[str]:
    """Files of other lines of which the rule finds another thing now."""
    nothing = F.array().cast("array<string>")
    of_rule = F.array(*map(F.lit, sorted(rule.reasons)))
    # Null for a line that was left out: how many of its units are cancelled, nobody asks.
    cancelled = F.when(F.size(c.REASONS) == 0, F.col(c.CANCELLED_QUANTITY)).alias(_THEN_CANCELLED)
    then = others.select(*_PLACE, F.array_intersect(c.REASONS, of_rule).alias(_THEN), cancelled)
    both = then.join(now, on=list(_PLACE), how="left")
    is_changed = F.array_sort(F.coalesce(c.REASONS, nothing)) != F.array_sort(_THEN)
    if rule.is_netting:
        is_changed |= F.coalesce(c.CANCELLED_QUANTITY, F.lit(0.0)) != F.col(_THEN_CANCELLED)
    return _files_of(both.where(is_changed))


def _files_of(lines: DataFrame) -> set[str]:
    return {row[c.SOURCE_FILE] for row in lines.select(c.SOURCE_FILE).distinct().collect()}


def sifted(good: Parted, looked: Looked, records: DataFrame) -> Parted:
    """Without the lines that were found to break a rule, and the others without their cancelled units.

    `records` have the raw ones, which those that are left out become again.
    """
    # A row of found without reasons loses units only.
    is_broken = F.size(c.REASONS) > 0
    broken = F.broadcast(looked.found.where(is_broken).select(*_PLACE, c.REASONS))
    named = good.kept.join(broken, on=list(_PLACE), how="inner").select(
        *_PLACE, c.REASONS, c.IDENTITY, day_of(good.kept).alias(c.EVENT_DATE), F.struct(*LINE).alias(c.EVENT)
    )
    whole = with_raw(records.select(*_PLACE, *OF_RAW).join(named, on=list(_PLACE), how="inner"))
    is_duplicate = (F.col(c.REASONS) == F.array(F.lit(NEAR_DUPLICATE))).alias(IS_DUPLICATE)
    held = in_memory(whole.select(*_PLACE, c.REASONS, c.RAW, c.IDENTITY, c.EVENT_DATE, c.EVENT, is_duplicate))
    return Parted(kept=_without_cancelled(looked), left_out=good.left_out.unionByName(held, allowMissingColumns=True))


def _without_cancelled(looked: Looked) -> DataFrame:
    joined = looked.kept.join(F.broadcast(looked.found), on=list(_PLACE), how="left")
    left = joined.where(F.col(c.REASONS).isNull() | (F.size(c.REASONS) == 0))
    cancelled_quantity = F.coalesce(c.CANCELLED_QUANTITY, F.lit(0.0))
    cancelled_cents = F.coalesce(c.CANCELLED_CENTS, F.lit(0))
    return left.withColumns(
        {
            c.QUANTITY: F.round(F.col(c.QUANTITY) - cancelled_quantity, 4),
            c.AMOUNT_CENTS: F.col(c.AMOUNT_CENTS) - cancelled_cents,
            c.CANCELLED_QUANTITY: cancelled_quantity,
            c.CANCELLED_CENTS: cancelled_cents,
        }
    )
