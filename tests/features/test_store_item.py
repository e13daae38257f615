from datetime import date

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from recsys import tables
from recsys.features.store_item import store_item_features
from recsys.frames.local_rows import local_rows
from tests.feature_rows import rows_of
from tests.purchase_rows import Row

AS_OF = date(2017, 12, 18)


def promotion(item: str, starts_on: date, ends_before: date, *, displayed: bool | None, mailed: bool | None) -> Row:
    return {
        "store_id": "s1",
        "item_id": item,
        "starts_on": starts_on,
        "ends_before": ends_before,
        "is_displayed": displayed,
        "is_mailed": mailed,
    }


def test_days_of_the_last_week_on_display_and_in_the_mailer(spark: SparkSession) -> None:
    promotions = [
        promotion("over", date(2017, 12, 4), date(2017, 12, 11), displayed=True, mailed=True),  # ended the day before
        promotion("ending", date(2017, 12, 5), date(2017, 12, 12), displayed=True, mailed=False),
        promotion("last_day", date(2017, 12, 17), date(2017, 12, 24), displayed=False, mailed=True),
        promotion("future", date(2017, 12, 18), date(2017, 12, 25), displayed=True, mailed=True),
        promotion("long", date(2017, 11, 1), date(2018, 1, 1), displayed=True, mailed=None),
        promotion("hidden", date(2017, 12, 12), date(2017, 12, 19), displayed=False, mailed=None),
        # Three and four days that share one.
        promotion("twice", date(2017, 12, 11), date(2017, 12, 14), displayed=True, mailed=True),
        promotion("twice", date(2017, 12, 13), date(2017, 12, 17), displayed=True, mailed=False),
    ]
    actual = store_item_features(rows_of(spark, tables.PROMOTIONS, promotions), [AS_OF])
    expected = local_rows(
        spark,
        [
            ("s1", "ending", AS_OF, 1, 0),
            ("s1", "last_day", AS_OF, 0, 1),
            ("s1", "long", AS_OF, 7, 0),
            ("s1", "twice", AS_OF, 6, 3),
        ],
        "store_id string, item_id string, as_of_date date, store_item_display_days_7d int, store_item_mail_days_7d int",
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
