from collections.abc import Callable
from datetime import date, datetime

from pyspark.sql import DataFrame, SparkSession

from recsys import columns as c
from recsys.clean.duplicates import part
from recsys.clean.mapping import FlagMapping, PeriodMapping, PromotionsMapping
from recsys.clean.promotions import clean_promotions, judged_promotions, with_first_known_promotion
from recsys.config import CleanConfig
from recsys.frames.local_rows import local_rows
from recsys.tables import PROMOTIONS
from tests.clean.conftest import KNOWN_TS

COLUMNS = {"item_id": "sku", "store_id": "shop"}
PERIOD = "starts_on date, ends_before date, is_displayed boolean, is_mailed boolean, known_ts timestamp"
MAY_1, JUNE_1 = datetime(2024, 5, 1, 9), datetime(2024, 6, 1, 9)


def test_week_numbers_become_days_and_codes_become_flags(
    spark: SparkSession, records: Callable[..., DataFrame], limits: CleanConfig
) -> None:
    mapping = PromotionsMapping(
        files="*",
        format="csv",
        columns=COLUMNS,
        period=PeriodMapping(week="week", first_week_starts="2016-12-26"),
        is_displayed=FlagMapping(column="shelf", false_values=("0",)),
    )
    rows = records(
        ("sku", "shop", "week", "shelf"),
        ("i1", "s1", "1", "A"),
        ("i1", "s1", "53", "0"),
        ("i1", "s1", "1", "B"),  # the same store, item and week
        ("i1", "s1", "0", "A"),
        ("i1", "s1", "2000000000", "A"),
        ("i1", "s1", None, "A"),
    )
    parted = part(judged_promotions(rows, mapping, limits), PROMOTIONS.key)
    assert {tuple(row) for row in clean_promotions(spark, parted.kept).collect()} == {
        ("s1", "i1", date(2016, 12, 26), date(2017, 1, 2), True, False, KNOWN_TS),
        ("s1", "i1", date(2017, 12, 25), date(2018, 1, 1), False, False, KNOWN_TS),
    }
    left_out = {row[c.SOURCE_ROW]: row[c.REASONS] for row in parted.left_out.collect()}
    assert left_out == {3: ["key_duplicate"], 4: ["bad_period"], 5: ["bad_period"], 6: ["missing_time"]}


def test_days_may_be_given_themselves(
    spark: SparkSession, records: Callable[..., DataFrame], limits: CleanConfig
) -> None:
    period = PeriodMapping(starts_on="from", ends_before="to")
    mapping = PromotionsMapping(files="*", format="csv", columns=COLUMNS, period=period)
    rows = records(("sku", "shop", "from", "to"), ("i1", "s1", "2024-02-29", "2024-03-01"))
    kept = part(judged_promotions(rows, mapping, limits), PROMOTIONS.key).kept
    expected = ("s1", "i1", date(2024, 2, 29), date(2024, 3, 1), False, False, KNOWN_TS)
    assert [tuple(row) for row in clean_promotions(spark, kept).collect()] == [expected]


def test_a_promotion_that_stays_as_it_was_keeps_when_it_became_known(spark: SparkSession) -> None:
    def table(at: datetime, *ends: date) -> DataFrame:
        rows = [(f"i{n}", "s1", date(2024, 5, 1), end, True, False, at) for n, end in enumerate(ends)]
        return local_rows(spark, rows, f"item_id string, store_id string, {PERIOD}")

    past = table(MAY_1, date(2024, 5, 8), date(2024, 5, 8))
    now = table(JUNE_1, date(2024, 5, 8), date(2024, 5, 9), date(2024, 5, 8))
    found = {row[c.ITEM_ID]: row[c.KNOWN_TS] for row in with_first_known_promotion(now, past).collect()}
    assert found == {"i0": MAY_1, "i1": JUNE_1, "i2": JUNE_1}
    assert with_first_known_promotion(now, None) is now


def test_a_source_without_promotions_has_an_empty_table(spark: SparkSession) -> None:
    assert clean_promotions(spark, None).collect() == []
