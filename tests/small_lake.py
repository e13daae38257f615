"""A lake of twelve users and sixteen items in the days before 18 December 2017, as far as build_examples reads it."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from pyspark.sql import SparkSession

from recsys import columns as c
from recsys import tables
from recsys.examples.split import cutoffs
from recsys.lake.store import Lake
from tests.feature_rows import FROM_THE_BEGINNING, write_rows

RUN_DATE = date(2017, 12, 18)
DAYS = cutoffs(RUN_DATE, label_days=14, train_windows=2, gap_days=0)
USERS = [f"u{number:02d}" for number in range(12)]
ITEMS = [f"i{number:02d}" for number in range(16)]


def likes(user: int, item: int) -> bool:
    """Even users buy even items; a quarter of what they like in each window."""
    return user % 2 == item % 2


def write_small_lake(
    spark: SparkSession,
    root: str,
    *,
    feature_days: Sequence[date] = (*DAYS.train, DAYS.validation),
    more_users: Sequence[dict[str, Any]] = (),
) -> Lake:
    """Features are the same on each of their days; `more_users` have no index, no features and no events."""
    days = [{c.AS_OF_DATE: day} for day in feature_days]
    categories = ["dairy", "bakery"]
    rows: dict[tables.Table, list[dict[str, Any]]] = {
        tables.EVENTS: purchases(),
        tables.USERS: [{c.USER_ID: user, c.IS_OPTED_OUT: False, c.ATTRIBUTES: {}} for user in USERS] + [*more_users],
        tables.ITEMS: [
            {c.ITEM_ID: item, c.CATEGORY: categories[number % 2], c.IS_ELIGIBLE: True}
            for number, item in enumerate(ITEMS)
        ],
        tables.ITEM_HISTORY: [
            {c.ITEM_ID: item, c.CATEGORY: categories[number % 2], **FROM_THE_BEGINNING}
            for number, item in enumerate(ITEMS)
        ],
        tables.USER_IDS: [{c.USER_ID: user, c.USER_IDX: number} for number, user in enumerate(USERS)],
        tables.ITEM_IDS: [{c.ITEM_ID: item, c.ITEM_IDX: number} for number, item in enumerate(ITEMS)],
        tables.CATEGORY_IDS: [{c.CATEGORY: name, c.CATEGORY_IDX: number} for number, name in enumerate(categories)],
        tables.USER_FEATURES: [
            {**day, c.USER_ID: user, c.USER_PURCHASES_28D: 3 + number}
            for day in days
            for number, user in enumerate(USERS)
        ],
        tables.ITEM_FEATURES: [
            {
                **day,
                c.ITEM_ID: item,
                c.ITEM_CATEGORY: categories[number % 2],
                c.ITEM_BUYERS_28D: 20 - number,
                c.ITEM_BUYERS_91D: 30 - number,
            }
            for day in days
            for number, item in enumerate(ITEMS)
        ],
        tables.USER_ITEM_FEATURES: [
            {**day, c.USER_ID: user, c.ITEM_ID: item, c.USER_ITEM_PURCHASES_365D: 2, c.USER_ITEM_RECENCY_DAYS: 9}
            for day in days
            for u, user in enumerate(USERS)
            for i, item in enumerate(ITEMS)
            if likes(u, i) and i < 10
        ],
        tables.USER_CATEGORY_FEATURES: [],
        tables.CONTEXT_FEATURES: [],
        tables.STORE_ITEM_FEATURES: [],
        tables.PROMOTIONS: [],
    }
    lake = Lake(spark, root)
    for table, of_table in rows.items():
        write_rows(lake, table, of_table)
    return lake


def purchases() -> list[dict[str, Any]]:
    bought = [
        (user, item, first + timedelta(days=(u + i) % 14))
        for window, first in enumerate((*DAYS.train, DAYS.validation, DAYS.test))
        for u, user in enumerate(USERS)
        for i, item in enumerate(ITEMS)
        if likes(u, i) and (i // 2 + window) % 4 == 0
    ]
    return [
        {
            c.USER_ID: user,
            c.ITEM_ID: item,
            c.EVENT_TYPE: "purchase",
            c.EVENT_DATE: day,
            c.SOURCE_FILE: "log",
            c.SOURCE_ROW: number,
        }
        for number, (user, item, day) in enumerate(bought, start=1)
    ]
