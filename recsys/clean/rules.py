"""Rules that a raw row must keep to reach a clean table. A row that breaks some lies in quarantine with their names."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean.scans import IS_MALFORMED
from recsys.config import CleanConfig

EVENTS = "events"
ITEMS = "items"
USERS = "users"
PROMOTIONS = "promotions"
OFFER_TABLES = CAMPAIGNS, OFFERS, OFFERS_SENT, REDEMPTIONS = "campaigns", "offers", "offers_sent", "redemptions"

# What rules look at besides the typed columns: the text that a value was read from, and what other tables know.
TIME_TEXT = "time_text"
QUANTITY_TEXT = "quantity_text"
AMOUNT_TEXT = "amount_text"
IS_NUMBER_MISSING = "is_number_missing"
IS_KNOWN_ITEM = "is_known_item"
IS_KNOWN_USER = "is_known_user"
TOLD_TS = "told_ts"  # when its file became known, by the file's name; null where names do not tell

_RULE_INPUTS = (
    TIME_TEXT, QUANTITY_TEXT, AMOUNT_TEXT, IS_NUMBER_MISSING, IS_KNOWN_ITEM, IS_KNOWN_USER, TOLD_TS,
)  # fmt: skip
ASKED = "asked"  # a struct of those; null for a good row, of which no reasons are asked

MALFORMED_ROW = "malformed_row"
IS_GOOD = "is_good"
# Rules whose rows have no day that can be believed.
TIMELESS = (MALFORMED_ROW, "time_out_of_range", "after_its_file")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`is_broken` is a column; where it is null the rule is kept. `limits` are the keys of `clean` that it asks."""

    sentence: str
    tables: tuple[str, ...]
    is_broken: Callable[[CleanConfig], Column]
    limits: tuple[str, ...] = ()


def malformed_row(_: CleanConfig) -> Column:
    return F.col(IS_MALFORMED)


def missing_user(_: CleanConfig) -> Column:
    return F.col(c.USER_ID).isNull()


def missing_item(_: CleanConfig) -> Column:
    return F.col(c.ITEM_ID).isNull()


def missing_store(_: CleanConfig) -> Column:
    return F.col(c.STORE_ID).isNull()


def missing_campaign(_: CleanConfig) -> Column:
    return F.col(c.CAMPAIGN_ID).isNull()


def missing_offer(_: CleanConfig) -> Column:
    return F.col(c.OFFER_ID).isNull()


def missing_time(_: CleanConfig) -> Column:
    return F.col(TIME_TEXT).isNull()


def bad_time(_: CleanConfig) -> Column:
    return F.col(TIME_TEXT).isNotNull() & F.col(c.EVENT_TS).isNull()


def bad_period(_: CleanConfig) -> Column:
    is_unread = F.col(c.STARTS_ON).isNull() | F.col(c.ENDS_BEFORE).isNull()
    return F.col(TIME_TEXT).isNotNull() & (is_unread | (F.col(c.ENDS_BEFORE) <= F.col(c.STARTS_ON)))


def bad_day(_: CleanConfig) -> Column:
    return F.col(TIME_TEXT).isNotNull() & F.col(c.REDEEMED_ON).isNull()


def missing_number(_: CleanConfig) -> Column:
    return F.col(IS_NUMBER_MISSING)


def bad_number(_: CleanConfig) -> Column:
    is_bad_quantity = F.col(QUANTITY_TEXT).isNotNull() & F.col(c.QUANTITY).isNull()
    # An amount that is a unit price cannot be worked out without a quantity: that is the quantity's fault.
    has_quantity = F.col(QUANTITY_TEXT).isNull() | F.col(c.QUANTITY).isNotNull()
    is_bad_amount = F.col(AMOUNT_TEXT).isNotNull() & F.col(c.AMOUNT_CENTS).isNull() & has_quantity
    return is_bad_quantity | is_bad_amount


def is_cancellation(limits: CleanConfig) -> Column:
    """Its quantity is below zero; rules across rows look for what it cancels."""
    if limits.cancellation_pattern is None:
        return F.lit(False)
    is_marked = F.coalesce(F.col(c.BASKET_ID).rlike(limits.cancellation_pattern), F.lit(False))
    return is_marked & (F.col(c.EVENT_TYPE) == c.PURCHASE) & (F.col(c.QUANTITY) < 0)


def quantity_out_of_range(limits: CleanConfig) -> Column:
    quantity = F.when(is_cancellation(limits), -F.col(c.QUANTITY)).otherwise(F.col(c.QUANTITY))
    return (quantity <= 0) | (quantity > limits.max_quantity)


def amount_out_of_range(limits: CleanConfig) -> Column:
    amount = F.when(is_cancellation(limits), F.abs(c.AMOUNT_CENTS)).otherwise(F.col(c.AMOUNT_CENTS))
    return (amount < 0) | (amount > limits.max_amount_cents)


def not_a_product(limits: CleanConfig) -> Column:
    if limits.not_product_pattern is None:
        return F.lit(False)
    return F.col(c.ITEM_ID).rlike(limits.not_product_pattern)


def time_out_of_range(limits: CleanConfig) -> Column:
    after = date.fromisoformat(limits.last_event_date) + timedelta(days=1)
    is_early = F.col(c.EVENT_TS) < F.lit(date.fromisoformat(limits.first_event_date))
    return is_early | (F.col(c.EVENT_TS) >= F.lit(after))


def after_its_file(limits: CleanConfig) -> Column:
    """Not by a modification time: logs of simulated days, or that a wrong clock dated, would lose all their events."""
    return is_after_file(F.col(c.EVENT_TS), F.col(TOLD_TS), limits)


def is_after_file(at: Column, told_ts: Column, limits: CleanConfig) -> Column:
    return at > told_ts + F.make_dt_interval(hours=F.lit(limits.max_hours_after_file))


def unknown_event_type(_: CleanConfig) -> Column:
    return F.col(c.EVENT_TYPE).isNull()


def unknown_item(_: CleanConfig) -> Column:
    return F.col(c.ITEM_ID).isNotNull() & ~F.col(IS_KNOWN_ITEM)


def unknown_user(_: CleanConfig) -> Column:
    return F.col(c.USER_ID).isNotNull() & ~F.col(IS_KNOWN_USER)


# By name. The first is asked first and alone; the order of the others changes nothing, for a row is told all that it
# breaks.
RULES: dict[str, Rule] = {
    rule.is_broken.__name__: rule
    for rule in (
        Rule(
            sentence="It has other values than the header, an open quote or undecoded signs, or is no JSON object",
            tables=(EVENTS, ITEMS, USERS, PROMOTIONS, *OFFER_TABLES),
            is_broken=malformed_row,
        ),
        Rule(sentence="There is no user", tables=(EVENTS, USERS, OFFERS_SENT, REDEMPTIONS), is_broken=missing_user),
        Rule(sentence="There is no item", tables=(EVENTS, ITEMS, PROMOTIONS, OFFERS), is_broken=missing_item),
        Rule(sentence="There is no store", tables=(PROMOTIONS,), is_broken=missing_store),
        Rule(sentence="There is no campaign", tables=OFFER_TABLES, is_broken=missing_campaign),
        Rule(sentence="There is no offer", tables=(OFFERS, REDEMPTIONS), is_broken=missing_offer),
        Rule(sentence="There is no time", tables=(EVENTS, PROMOTIONS, CAMPAIGNS, REDEMPTIONS), is_broken=missing_time),
        Rule(sentence="The time is not written as the mapping says", tables=(EVENTS,), is_broken=bad_time),
        Rule(
            sentence="The days cannot be read, or end before they start",
            tables=(PROMOTIONS, CAMPAIGNS),
            is_broken=bad_period,
        ),
        Rule(sentence="The day of the redemption cannot be read", tables=(REDEMPTIONS,), is_broken=bad_day),
        Rule(sentence="A purchase has no quantity or amount", tables=(EVENTS,), is_broken=missing_number),
        Rule(sentence="The quantity or the amount is no number", tables=(EVENTS,), is_broken=bad_number),
        Rule(
            sentence="The quantity is zero, too large, or negative and no cancellation",
            tables=(EVENTS,),
            is_broken=quantity_out_of_range,
            limits=("max_quantity", "cancellation_pattern"),
        ),
        Rule(
            sentence="The amount is too large, or negative and no cancellation",
            tables=(EVENTS,),
            is_broken=amount_out_of_range,
            limits=("max_amount_cents", "cancellation_pattern"),
        ),
        Rule(
            sentence="The time lies before the first or after the last day that an event may have",
            tables=(EVENTS,),
            is_broken=time_out_of_range,
            limits=("first_event_date", "last_event_date"),
        ),
        Rule(
            sentence="The time lies after the file became known, as the file's name tells it",
            tables=(EVENTS,),
            is_broken=after_its_file,
            limits=("max_hours_after_file",),
        ),
        Rule(
            sentence="The event type is none that the mapping translates",
            tables=(EVENTS,),
            is_broken=unknown_event_type,
        ),
        Rule(
            sentence="The item is a test, a fee or another code that is no product",
            tables=(EVENTS,),
            is_broken=not_a_product,
            limits=("not_product_pattern",),
        ),
        Rule(sentence="The item is not in clean.items", tables=(EVENTS,), is_broken=unknown_item),
        Rule(
            sentence="The user is not in the user files, which hold all users", tables=(EVENTS,), is_broken=unknown_user
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`rows` have `is_good`: the row breaks no rule. `reasons`: the sorted names of those that a bad row breaks, a
    column on the rows with the fields of `asked`."""

    rows: DataFrame
    reasons: Column


def judge(rows: DataFrame, table: str, limits: CleanConfig) -> Judged:
    """By the rules of `table`. The values of a malformed row may stand in wrong columns: it has this one reason."""
    broken = {name: rule.is_broken(limits) for name, rule in sorted(RULES.items()) if table in rule.tables}
    is_bad = reduce(or_, (F.coalesce(is_broken, F.lit(False)) for is_broken in broken.values()))
    is_malformed = broken.pop(MALFORMED_ROW)
    others = F.array_compact(F.array(*(F.when(is_broken, F.lit(name)) for name, is_broken in broken.items())))
    reasons = F.when(is_malformed, F.array(F.lit(MALFORMED_ROW))).otherwise(others)
    judged = rows.withColumn(IS_GOOD, ~is_bad)
    if asked := [name for name in _RULE_INPUTS if name in rows.columns]:
        judged = judged.withColumn(ASKED, F.when(~F.col(IS_GOOD), F.struct(*asked))).drop(*asked)
    return Judged(rows=judged, reasons=reasons)


def with_reasons(bad: DataFrame, judged: Judged) -> DataFrame:
    """`bad`: rows of `judged`."""
    asked = [f"{ASKED}.*"] if ASKED in bad.columns else []
    return bad.select("*", *asked).withColumn(c.REASONS, judged.reasons)
