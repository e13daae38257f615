from collections.abc import Callable
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.clean.duplicates import part
from recsys.clean.mapping import FlagMapping, UsersMapping
from recsys.clean.users import ONE_A_FILE, clean_users, judged_users
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows
from tests.clean.conftest import KNOWN_TS


def test_users_of_files_and_of_events_become_one_table(
    spark: SparkSession, records: Callable[..., DataFrame], limits: CleanConfig
) -> None:
    mapping = UsersMapping(
        files="*",
        format="csv",
        columns={"user_id": "id"},
        is_complete=False,
        attributes=("age", "city"),
        is_opted_out=FlagMapping(column="no_ads", false_values=("0",)),
    )
    rows = records(("id", "age", "city", "no_ads"), ("u1", "40", None, "1"), ("u2", None, None, "0"))
    events = local_rows(spark, [("u2",), ("u3",), ("u3",)], "user_id string")
    named = part(judged_users(rows, mapping, limits), ONE_A_FILE).kept
    users = clean_users(named, events, limits)
    assert {row[c.USER_ID]: row[c.KNOWN_TS] for row in users.collect()} == {"u1": KNOWN_TS, "u2": KNOWN_TS, "u3": None}
    found = {row[c.USER_ID]: (row[c.IS_OPTED_OUT], row[c.ATTRIBUTES]) for row in users.collect()}
    assert found == {"u1": (True, {"age": "40"}), "u2": (False, {}), "u3": (False, {})}
    assert users.count() == 3


def test_without_user_files_users_are_those_of_events(spark: SparkSession, limits: CleanConfig) -> None:
    events = local_rows(spark, [("u3",), ("u3",)], "user_id string")
    assert [tuple(row) for row in clean_users(None, events, limits).collect()] == [("u3", False, False, {}, None)]


def test_who_buys_many_of_an_item_in_most_lines_is_a_reseller(spark: SparkSession, limits: CleanConfig) -> None:
    bought = {"shop": (12, 10, 1, 2), "few": (12, 12, 12), "person": (10, 1, 1, 1)}
    rows = [(user, "purchase", float(units)) for user, lines in bought.items() for units in lines]
    rows += [("person", "view", None)] * 3
    events = local_rows(spark, rows, "user_id string, event_type string, quantity double")
    asked = replace(limits, reseller_quantity=10, reseller_share=0.5, reseller_lines=4)
    found = {row[c.USER_ID]: row[c.IS_RESELLER] for row in clean_users(None, events, asked).collect()}
    assert found == {"shop": True, "few": False, "person": False}
