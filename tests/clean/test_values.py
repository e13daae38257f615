from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.clean import values
from recsys.clean.mapping import AmountMapping, FlagMapping, TimeMapping

Records = Callable[..., DataFrame]


def read(records: Records, texts: list[str | None], value: Column) -> list[object]:
    frame = records(["x"], *([text] for text in texts))
    return [row["value"] for row in frame.orderBy(c.SOURCE_ROW).select(value.alias("value")).collect()]


def test_text_is_trimmed_and_blank_is_null(records: Records) -> None:
    assert read(records, [" a b\t", "\u00a0", "", None], values.text("x")) == ["a b", None, None, None]
    ends = ["", " ", "\t", " \t", "\t ", "\u00a0", "\r\n", " \u00a0 "]
    texts: list[str | None] = [f"{start}a\tb{end}" for start in ends for end in ends]
    assert read(records, texts, values.text("x")) == ["a\tb"] * len(texts)


def test_whole_numbers_lose_their_fraction_and_other_text_stays(records: Records) -> None:
    texts = ["17850.0", "1.785E4", "17850", "007", "1.5", "A1.0", None]
    expected = ["17850", "17850", "17850", "007", "1.5", "A1.0", None]
    assert read(records, texts, values.whole_number_text(values.text("x"))) == expected


def test_amounts_are_exact_and_text_that_is_no_number_is_null(records: Records) -> None:
    texts = ["1.15", "-0.005", "1e2", "NaN", "Infinity", "1,5", "9" * 30]
    price = AmountMapping(column="x", unit="whole")
    cents = AmountMapping(column="x", unit="hundredths")
    found = values.text("x")
    assert read(records, texts, values.amount_cents(found, price, F.lit(9))) == [115, -1, 10_000, *[None] * 4]
    assert read(records, ["115", "1.4"], values.amount_cents(found, cents, F.lit(9))) == [115, 1]


def test_a_unit_price_is_multiplied_by_the_quantity(records: Records) -> None:
    unit_price = AmountMapping(column="x", unit="whole", multiply_by_quantity=True)
    quantity = values.quantity(F.lit("3"))
    assert read(records, ["0.57", None], values.amount_cents(values.text("x"), unit_price, quantity)) == [171, None]


NINE = datetime(2024, 7, 3, 9, 0)
TEN = datetime(2024, 7, 3, 10, 0)


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("iso", "2024-07-03 10:00:00", NINE),  # London's summer clock is an hour ahead of UTC
        ("iso", "2024-07-03T10:00:00Z", TEN),
        ("iso", "2024-07-03T12:00:00.000+02:00", TEN),
        ("iso", "2024-07-03T12:00:00-02:00", TEN.replace(hour=14)),
        ("iso", "2024-7-3 10:00:00", None),
        ("iso", "+2024-07-03 10:00:00", None),
        ("iso", "2024-07-03", datetime(2024, 7, 2, 23, 0)),
        ("iso", "2024", None),
        ("iso", "10:00", None),
        ("iso", "2024-07-32", None),
        ("iso", "2024-03-31 01:30:00", None),  # the clock went from one to two
        ("iso", "2024-03-31 02:00:00", datetime(2024, 3, 31, 1)),
        ("iso", "2024-10-27 01:30:00", datetime(2024, 10, 27, 0, 30)),  # shown twice: the first time
        ("dd/MM/yyyy HH:mm", "03/07/2024 10:00", NINE),
        ("dd/MM/yyyy HH:mm", "2024-07-03 10:00", None),
        ("dd/MM/yyyy HH:mm XXX", "03/07/2024 10:00 +00:00", TEN),
        ("yyyy-MM-dd'XX'HH", "2024-07-03XX10", NINE),  # quoted letters are no offset
        ("unix_seconds", "1720000800", TEN),
        ("unix_seconds", "1720000800.25", TEN.replace(microsecond=250_000)),
        ("unix_milliseconds", "1720000800250", TEN.replace(microsecond=250_000)),
        ("unix_microseconds", "1720000800000001", TEN.replace(microsecond=1)),
        ("unix_nanoseconds", "1720000800000001999", TEN.replace(microsecond=1)),
        ("unix_seconds", "soon", None),
        ("unix_seconds", "9" * 25, None),
    ],
)
def test_instants(records: Records, time_format: str, text: str, expected: datetime | None) -> None:
    mapping = TimeMapping(column="x", format=time_format, zone="Europe/London")
    assert read(records, [text, None], values.instant(values.text("x"), mapping)) == [expected, None]


MIXED = ("dd/MM/yyyy HH:mm", "d/M/yyyy H:mm XXX", "iso", "d MMM yyyy HH:mm:ss")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("03/07/2024 10:00", NINE),
        ("3/7/2024 12:00 +02:00", TEN),
        ("2024-07-03 10:00:00", NINE),
        ("2024-07-03T10:00:00Z", TEN),
        ("3 Jul 2024 10:00:00", NINE),
        ("3/7/2024 10:00", None),  # none of them fits it whole
        ("03/07/2024 10:00 ", NINE),
        ("03/07/2024 10:00:00", None),
        ("07/13/2024 10:00", None),
        ("31/03/2024 01:30", None),  # the clock went from one to two, in each way to write it
        ("2024-03-31 01:30:00", None),
        ("31 Mar 2024 01:30:00", None),
        ("31/3/2024 1:30 +00:00", datetime(2024, 3, 31, 1, 30)),
        ("27/10/2024 01:30", datetime(2024, 10, 27, 0, 30)),  # shown twice: the first time
        ("1720000800", None),
    ],
)
def test_of_several_formats_the_first_that_fits_whole_counts(
    records: Records, text: str, expected: datetime | None
) -> None:
    mapping = TimeMapping(column="x", format=MIXED, zone="Europe/London")
    assert read(records, [text, None], values.instant(values.text("x"), mapping)) == [expected, None]


def test_days(records: Records) -> None:
    texts = ["2024-02-29", "2023-02-29", "29.02.2024", None]
    assert read(records, texts, values.day(values.text("x"))) == [date(2024, 2, 29), None, None, None]


def test_a_flag_is_true_unless_blank_or_one_of_the_false_values(records: Records) -> None:
    flag = FlagMapping(column="x", false_values=("0", "no"))
    assert read(records, ["yes", "no", " 0 ", "", None], values.flag(flag)) == [True, False, False, False, False]
    assert read(records, ["yes"], values.flag(None)) == [False]
