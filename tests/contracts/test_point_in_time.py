"""No feature knows its cut-off day or anything later, whatever else is asked for and however rows lie."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys import catalog, tables
from recsys import columns as c
from recsys.clean.history import history_of_days
from recsys.clean.items import ITEM, known_item_history
from recsys.config import load_config
from recsys.examples.assemble import Ids, assemble
from recsys.features.all_grains import features_as_of
from recsys.features.event_days import EventDays
from recsys.features.holidays import calendar_of
from recsys.features.item_vectors import keep_with_text
from recsys.features.optional_grains import Log, optional_features
from recsys.features.purchases import item_days, visits
from recsys.features.views import view_days
from recsys.frames.as_of import known_by
from recsys.frames.local_rows import local_rows
from tests.feature_rows import feature_tables, rows_of
from tests.purchase_rows import Row, purchase

pytestmark = pytest.mark.spark

EARLIER = date(2017, 12, 4)
AS_OF = date(2017, 12, 18)
LONG_AGO = date(2017, 1, 2)


def instant(day: date, **after_midnight: int) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(**after_midnight)


def before(day: date) -> datetime:
    """The last instant before the day."""
    return instant(day) - timedelta(microseconds=1)


def some_purchases(first: date, days: int) -> list[Row]:
    """Of three users and three items in two stores, some on each day."""
    return [
        purchase(
            "uvw"[number % 3],
            ["milk", "whey", "bread"][number // 3 % 3],
            instant(first + timedelta(days=number % days), hours=number % 24),
            basket_id=f"b{number // 2}" if number % 5 else None,
            store_id=f"s{number % 2}",
            device=["phone", None, "till"][number % 3],
            quantity=0.1 * (1 + number % 9),
            amount_cents=7 * number,
        )
        for number in range(4 * days)
    ]


def some_views(first: date, days: int) -> list[Row]:
    """On each day views of all users, and of some of them carts."""
    nothing = {c.QUANTITY: None, c.AMOUNT_CENTS: None}
    return [
        purchase(
            "uvwz"[number % 4],
            ["milk", "whey", "bread"][number // 2 % 3],
            instant(first + timedelta(days=number % days), hours=number % 24),
            event_type=c.CART if number % 3 == 0 else c.VIEW,
            **nothing,
        )
        for number in range(5 * days)
    ]


def promotion(store: str, item: str, starts_on: date) -> Row:
    row = {c.STORE_ID: store, c.ITEM_ID: item, c.STARTS_ON: starts_on, c.ENDS_BEFORE: starts_on + timedelta(days=7)}
    return {**row, c.IS_DISPLAYED: True, c.IS_MAILED: True}


PAST = [
    *some_purchases(EARLIER - timedelta(days=20), 20),
    *some_views(EARLIER - timedelta(days=20), 20),
    purchase("u", "milk", before(EARLIER)),
    purchase("looks", "milk", before(EARLIER), event_type=c.VIEW),
]
BETWEEN = [
    purchase("u", "whey", instant(EARLIER)),
    *some_purchases(EARLIER, 14),
    *some_views(EARLIER, 14),
    purchase("x", "milk", before(AS_OF)),
]
FUTURE = [
    purchase("u", "milk", instant(AS_OF)),
    purchase("new", "bread", instant(AS_OF), quantity=5.0, amount_cents=12_345),
    *some_purchases(AS_OF, 20),
    *some_views(AS_OF, 20),
]
# Item, what it is said to be as name and category, and the first day of that.
Said = tuple[str, str, date]
PAST_ITEMS: list[Said] = [("milk", "dairy", LONG_AGO), ("whey", "dairy", LONG_AGO), ("bread", "bakery", LONG_AGO)]
BETWEEN_ITEMS: list[Said] = [("whey", "drinks", EARLIER), ("bread", "snacks", AS_OF - timedelta(days=1))]
FUTURE_ITEMS: list[Said] = [("milk", "drinks", AS_OF), ("whey", "snacks", AS_OF + timedelta(days=3))]
KNOWN_ITEMS = [*PAST_ITEMS, *BETWEEN_ITEMS]


def history_of(said: Sequence[Said]) -> list[Row]:
    """Rows of clean.item_history."""
    rows = []
    for item, words, day in said:
        later = [other for name, _, other in said if name == item and other > day]
        row = {c.ITEM_ID: item, c.NAME: words, c.CATEGORY: words}
        rows.append({**row, c.VALID_FROM: day, c.VALID_TO: min(later, default=None)})
    return rows


PAST_PROMOTIONS = [promotion("s0", "milk", EARLIER - timedelta(days=1))]
BETWEEN_PROMOTIONS = [promotion("s0", "milk", EARLIER), promotion("s1", "whey", AS_OF - timedelta(days=1))]
FUTURE_PROMOTIONS = [promotion("s0", "milk", AS_OF), promotion("s1", "bread", AS_OF + timedelta(days=3))]

OPTIONAL = load_config([], [f"features.grains={[grain.name for grain in catalog.OPTIONAL_GRAINS]}"]).features

CALENDAR = calendar_of({"all": "Norway"}, {"Norway": [str(AS_OF + timedelta(days=6))]})

Found = dict[str, dict[date, list[Row]]]


def features(
    spark: SparkSession,
    events: Sequence[Row],
    promotions: Sequence[Row],
    as_of_dates: Sequence[date],
    items: Sequence[Said] | DataFrame,
    partitions: int = 1,
    as_known_on: date | None = None,
) -> Found:
    """Rows by grain and cut-off, sorted by their key; `items` are what was said of them, or their history."""

    def frame(table: tables.Table, rows: Sequence[Row]) -> DataFrame:
        return rows_of(spark, table, rows).repartition(partitions)

    log = frame(tables.EVENTS, events)
    log = log if as_known_on is None else known_by(log, as_known_on)
    by_day = EventDays(item_days=item_days(log), visits=visits(log), view_days=view_days(log))
    history = items if isinstance(items, DataFrame) else frame(tables.ITEM_HISTORY, history_of(items))
    shown = frame(tables.PROMOTIONS, promotions)
    shown = shown if as_known_on is None else known_by(shown, as_known_on)
    found = features_as_of(by_day, history, shown, list(as_of_dates), CALENDAR)
    optional = optional_features(
        Log(events=log, item_days=by_day.item_days, item_history=history, text_vectors=vectors_of_length(history)),
        as_of_dates,
        OPTIONAL,
    )
    of_grains = {**vars(found), **optional}
    return {grain.name: _by_date(of_grains[grain.name], grain.key) for grain in catalog.GRAINS}


def vectors_of_length(items: DataFrame) -> DataFrame:
    """A vector for each text that tells texts of different lengths apart."""
    length = F.length(c.TEXT).cast("float")
    return keep_with_text(items).select(c.TEXT, F.array(length).alias(c.VECTOR)).distinct()


def _by_date(table: DataFrame, key: Sequence[str]) -> dict[date, list[Row]]:
    by_date: dict[date, list[Row]] = {}
    for row in table.collect():
        by_date.setdefault(row[c.AS_OF_DATE], []).append(row.asDict())
    return {day: sorted(rows, key=lambda row: [str(row[name]) for name in key]) for day, rows in by_date.items()}


@pytest.fixture(scope="module")
def known(spark: SparkSession) -> Found:
    promotions = [*PAST_PROMOTIONS, *BETWEEN_PROMOTIONS]
    return features(spark, [*PAST, *BETWEEN], promotions, [EARLIER, AS_OF], KNOWN_ITEMS)


def test_the_log_of_this_test_gives_every_feature_of_the_catalogue_a_value(known: Found) -> None:
    seen = {
        name
        for by_date in known.values()
        for row in by_date[AS_OF]
        for name, value in row.items()
        if value not in (None, 0)
    }
    assert {feature.name for feature in catalog.FEATURES} <= seen
    assert len(catalog.FEATURES) == 76
    assert len(known) == 13


def moved_to(at: datetime, event: Row) -> Row:
    when = {c.EVENT_TS: at, c.EVENT_DATE: at.date(), c.LOCAL_HOUR: at.hour, c.LOCAL_WEEKDAY: at.isoweekday()}
    return {**event, **when}


FUTURES = {
    "as it came": (FUTURE, FUTURE_PROMOTIONS, FUTURE_ITEMS),
    "moved to the cut-off's first instant": (
        [moved_to(instant(AS_OF), event) for event in FUTURE],
        [promotion(row[c.STORE_ID], row[c.ITEM_ID], AS_OF) for row in FUTURE_PROMOTIONS],
        [(item, words, AS_OF) for item, words, _ in FUTURE_ITEMS],
    ),
}


@pytest.mark.parametrize(("events", "promotions", "items"), FUTURES.values(), ids=FUTURES)
def test_the_future_changes_no_feature_wherever_in_it_things_lie(
    spark: SparkSession, known: Found, events: list[Row], promotions: list[Row], items: list[Said]
) -> None:
    log, shown = [*PAST, *BETWEEN, *events], [*PAST_PROMOTIONS, *BETWEEN_PROMOTIONS, *promotions]
    with_future = features(spark, log, shown, [AS_OF], [*KNOWN_ITEMS, *items])
    for grain in catalog.GRAINS:
        assert with_future[grain.name] == {AS_OF: known[grain.name][AS_OF]}, grain.name


def test_an_example_knows_an_item_as_it_was_before_its_cut_off(spark: SparkSession, known: Found) -> None:
    """Also one that was not sold until then, of which features say nothing."""
    asked = {(EARLIER, "whey"): "dairy", (AS_OF, "whey"): "drinks", (AS_OF, "bread"): "snacks", (AS_OF, "jug"): "glass"}
    pairs = local_rows(
        spark, [(day, "u", item) for day, item in asked], "as_of_date date, user_id string, item_id string"
    )
    history = [*KNOWN_ITEMS, *FUTURE_ITEMS, ("jug", "glass", LONG_AGO), ("jug", "later", AS_OF)]
    categories = sorted({words for _, words, _ in history})
    ids = Ids(
        users=rows_of(spark, tables.USER_IDS, []),
        items=rows_of(spark, tables.ITEM_IDS, []),
        categories=rows_of(
            spark, tables.CATEGORY_IDS, [{c.CATEGORY: name, c.CATEGORY_IDX: idx} for idx, name in enumerate(categories)]
        ),
    )
    items_now = rows_of(spark, tables.ITEMS, [{c.ITEM_ID: item, c.CATEGORY: "later"} for _, item in asked])
    of_grains = {
        grain.name: [row for rows in known[grain.name].values() for row in rows]
        for grain in catalog.GRAINS
        if not grain.is_optional
    }
    found = assemble(
        pairs, feature_tables(spark, **of_grains), items_now, ids,
        item_history=rows_of(spark, tables.ITEM_HISTORY, history_of(history)),
    ).collect()  # fmt: skip
    assert {(row[c.AS_OF_DATE], row[c.ITEM_ID]): categories[row[c.CATEGORY_IDX]] for row in found} == asked
    buyers = {(day, row[c.ITEM_ID]): row[c.ITEM_BUYERS_28D] for day, rows in known["item"].items() for row in rows}
    assert {(row[c.AS_OF_DATE], row[c.ITEM_ID]): row[c.ITEM_BUYERS_28D] for row in found} == {
        key: buyers.get(key, 0) for key in asked
    }


def test_rows_that_became_known_later_change_no_feature(spark: SparkSession, known: Found) -> None:
    """As known on a day: whatever came on it or later, of whichever day it tells, is as if it had never come."""
    as_known_on = AS_OF + timedelta(days=2)
    on_time = [{**row, c.KNOWN_TS: before(as_known_on)} for row in (*PAST, *BETWEEN)]
    late = [
        {**row, c.KNOWN_TS: instant(as_known_on, hours=number), c.QUANTITY: 3.0, c.AMOUNT_CENTS: 4_321}
        for number, row in enumerate([*some_purchases(EARLIER - timedelta(days=9), 20), *PAST, *BETWEEN])
    ]
    known_promotions = [*PAST_PROMOTIONS, *BETWEEN_PROMOTIONS]
    late_promotions = [promotion(f"s{day % 2}", "bread", EARLIER - timedelta(days=day)) for day in range(9)]
    promotions = [{**row, c.KNOWN_TS: before(as_known_on)} for row in known_promotions]
    promotions += [{**row, c.KNOWN_TS: instant(as_known_on)} for row in late_promotions]
    items = items_as_known(spark, as_known_on)
    found = features(spark, [*late, *on_time], promotions, [AS_OF, EARLIER], items, as_known_on=as_known_on)
    for grain in catalog.GRAINS:
        assert found[grain.name] == known[grain.name], grain.name


def items_as_known(spark: SparkSession, day: date) -> DataFrame:
    """Of an item's history to which rows of past days were added on the day and later."""
    late = [("milk", "drinks", EARLIER - timedelta(days=9)), ("whey", "snacks", LONG_AGO), ("bread", "snacks", EARLIER)]
    said = [(on_time, before(day)) for on_time in KNOWN_ITEMS] + [(other, instant(day)) for other in late]
    rows = [
        {c.ITEM_ID: item, c.NAME: words, c.CATEGORY: words, c.EVENT_DATE: of_day, c.ROWS: 2, c.KNOWN_TS: at}
        for (item, words, of_day), at in said
    ]
    values = rows_of(spark, tables.ITEM_VALUES, rows)
    return known_item_history(history_of_days(values, ITEM), values, day)


def test_a_cut_off_sees_no_more_because_a_later_one_is_asked_for_too(spark: SparkSession, known: Found) -> None:
    alone = features(spark, PAST, PAST_PROMOTIONS, [EARLIER], PAST_ITEMS)
    for grain in catalog.GRAINS:
        assert alone[grain.name] == {EARLIER: known[grain.name][EARLIER]}, grain.name


def test_values_do_not_depend_on_partitions_or_the_order_of_rows(spark: SparkSession, known: Found) -> None:
    events, promotions = [*BETWEEN, *PAST][::-1], [*PAST_PROMOTIONS, *BETWEEN_PROMOTIONS][::-1]
    assert features(spark, events, promotions, [AS_OF, EARLIER], KNOWN_ITEMS[::-1], partitions=7) == known


def test_windows_hold_their_first_instant_and_the_last_before_the_cut_off(spark: SparkSession) -> None:
    windows = (7, 28, 91, 365)
    at = {"last": before(AS_OF), "today": instant(AS_OF)}
    for days in windows:
        first = AS_OF - timedelta(days=days)
        at |= {f"in{days}": instant(first), f"out{days}": before(first)}
    log = [
        purchase(name, name, moment, store_id=name, event_type=kind)
        for name, moment in at.items()
        for kind in (c.PURCHASE, c.VIEW, c.CART)
    ]
    found = features(spark, log, [], [AS_OF], [])

    def counts(grain: str, key: str, feature: str) -> dict[str, Any]:
        return {row[key]: row[feature] for row in found[grain][AS_OF]}

    def inside(days: int) -> set[str]:
        in_window = {f"in{other}" for other in windows if other <= days}
        return {"last", *in_window, *(f"out{other}" for other in windows if other < days)}

    counted = {
        ("user", c.USER_ID, "user_purchases"): (7, 28, 91),
        ("user", c.USER_ID, "user_views"): (7, 28),
        ("item", c.ITEM_ID, "item_purchases"): (7, 28, 91),
        ("item", c.ITEM_ID, "item_views"): (7, 28),
        ("user_item", c.USER_ID, "user_item_purchases"): (28, 91, 365),
        ("user_item", c.USER_ID, "user_item_carts"): (28,),
    }
    known = inside(365)
    for (grain, key, name), of_feature in counted.items():
        for days in of_feature:
            expected = {user: int(user in inside(days)) for user in known}
            assert counts(grain, key, f"{name}_{days}d") == expected, name
    recency = counts("user_item", c.USER_ID, c.USER_ITEM_VIEW_RECENCY_DAYS)
    assert {user for user, value in recency.items() if value is not None} == inside(91)
    assert set(counts("context", c.STORE_ID, c.CONTEXT_PURCHASE_SHARE_91D)) == inside(91)
