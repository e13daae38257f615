from datetime import date

from pyspark.sql import SparkSession

from recsys.examples.split import cutoffs, with_example_key, with_split
from recsys.frames.local_rows import local_rows

DAYS = cutoffs(date(2017, 12, 18), label_days=14, train_windows=2, gap_days=0)


def test_label_windows_end_one_after_the_other() -> None:
    assert DAYS.train == (date(2017, 10, 23), date(2017, 11, 6))
    assert DAYS.validation == date(2017, 11, 20)
    assert DAYS.test == date(2017, 12, 4)


def test_a_gap_lies_between_the_splits_and_not_between_train_windows() -> None:
    days = cutoffs(date(2017, 12, 18), label_days=14, train_windows=2, gap_days=3)
    assert days.test == date(2017, 12, 4)
    assert days.validation == date(2017, 11, 17)
    assert days.train == (date(2017, 10, 17), date(2017, 10, 31))


def test_the_split_follows_from_the_cut_off(spark: SparkSession) -> None:
    pairs = local_rows(spark, [(day,) for day in (*DAYS.train, DAYS.validation)], "as_of_date date")
    found = {row["as_of_date"]: row["split"] for row in with_split(pairs, DAYS).collect()}
    assert found == {DAYS.train[0]: "train", DAYS.train[1]: "train", DAYS.validation: "validation"}


def test_every_part_of_an_examples_key_changes_its_number(spark: SparkSession) -> None:
    rows = [
        ("train", DAYS.train[0], "u", "i"),
        ("validation", DAYS.train[0], "u", "i"),
        ("train", DAYS.train[1], "u", "i"),
        ("train", DAYS.train[0], "v", "i"),
        ("train", DAYS.train[0], "u", "j"),
    ]
    pairs = local_rows(spark, rows, "split string, as_of_date date, user_id string, item_id string")
    first, again = (
        {tuple(row)[:4]: row["example_key"] for row in with_example_key(pairs.repartition(number)).collect()}
        for number in (1, 3)
    )
    assert first == again
    assert len(set(first.values())) == 5
