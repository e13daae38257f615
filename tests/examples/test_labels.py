from datetime import date

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from recsys.examples.labels import labels_in_windows, purchases_in_windows, with_label
from recsys.frames.local_rows import local_rows

AS_OF, LATER = date(2017, 11, 20), date(2017, 12, 4)
PAIRS = "as_of_date date, user_id string, item_id string"


def events_of(spark: SparkSession, *rows: tuple[str, str, str, date]) -> DataFrame:
    return local_rows(spark, rows, "user_id string, item_id string, event_type string, event_date date")


def test_the_window_begins_with_the_cut_off_and_ends_before_its_last_day_plus_one(spark: SparkSession) -> None:
    events = events_of(
        spark,
        ("u", "day before", "purchase", date(2017, 11, 19)),
        ("u", "first day", "purchase", date(2017, 11, 20)),
        ("u", "last day", "purchase", date(2017, 12, 3)),
        ("u", "day after", "purchase", date(2017, 12, 4)),
    )
    expected = local_rows(spark, [(AS_OF, "u", "first day"), (AS_OF, "u", "last day")], PAIRS)
    actual = purchases_in_windows(events, [AS_OF], label_days=14)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_only_purchases_count_and_each_once_a_window(spark: SparkSession) -> None:
    events = events_of(
        spark,
        ("u", "viewed", "view", date(2017, 11, 21)),
        ("u", "twice", "purchase", date(2017, 11, 21)),
        ("u", "twice", "purchase", date(2017, 11, 22)),
        ("u", "twice", "purchase", date(2017, 12, 5)),
    )
    expected = local_rows(spark, [(AS_OF, "u", "twice"), (LATER, "u", "twice")], PAIRS)
    actual = purchases_in_windows(events, [AS_OF, LATER], label_days=14)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_windows_that_overlap_both_count(spark: SparkSession) -> None:
    events = events_of(spark, ("u", "i", "purchase", date(2017, 12, 4)))
    expected = local_rows(spark, [(AS_OF, "u", "i"), (LATER, "u", "i")], PAIRS)
    actual = purchases_in_windows(events, [AS_OF, LATER], label_days=15)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_a_pair_is_labelled_for_its_own_cut_off_only(spark: SparkSession) -> None:
    pairs = local_rows(
        spark,
        [(AS_OF, "u", "bought", "own"), (LATER, "u", "bought", "own"), (AS_OF, "u", "not", "popular")],
        f"{PAIRS}, source string",
    )
    labels = local_rows(
        spark,
        [(AS_OF, "u", "bought", 1.0, AS_OF), (AS_OF, "u", "no candidate", 1.0, AS_OF)],
        f"{PAIRS}, label float, label_date date",
    )
    expected = local_rows(
        spark,
        [(AS_OF, "u", "bought", "own", 1.0), (LATER, "u", "bought", "own", 0.0), (AS_OF, "u", "not", "popular", 0.0)],
        f"{PAIRS}, source string, label float",
    )
    assert_df_equality(with_label(pairs, labels), expected, ignore_nullable=True, ignore_row_order=True)


def test_no_purchases_label_everything_0(spark: SparkSession) -> None:
    pairs = local_rows(spark, [(AS_OF, "u", "i")], PAIRS)
    labelled = with_label(pairs, local_rows(spark, [], f"{PAIRS}, label float"))
    assert [row["label"] for row in labelled.collect()] == [0.0]


def test_the_highest_grade_of_the_window_counts_and_the_day_of_the_first_graded_event(spark: SparkSession) -> None:
    events = events_of(
        spark,
        ("u", "bought", "purchase", date(2017, 11, 25)),
        ("u", "bought", "view", date(2017, 11, 21)),
        ("u", "bought", "impression", date(2017, 11, 20)),
        ("u", "bought", "view", date(2017, 12, 5)),
        ("u", "in cart", "cart", date(2017, 11, 22)),
        ("u", "in cart", "view", date(2017, 11, 23)),
        ("u", "shown", "impression", date(2017, 11, 23)),
    )
    expected = local_rows(
        spark,
        [
            (AS_OF, "u", "bought", 1.0, date(2017, 11, 21)),
            (AS_OF, "u", "in cart", 0.5, date(2017, 11, 22)),
            (LATER, "u", "bought", 0.25, date(2017, 12, 5)),
        ],
        f"{PAIRS}, label float, label_date date",
    )
    actual = labels_in_windows(events, [AS_OF, LATER], 14, {"purchase": 1.0, "view": 0.25, "cart": 0.5})
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
