from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys import tables
from recsys.lake.store import Lake
from recsys.lake.told import told_by
from tests.feature_rows import write_rows
from tests.purchase_rows import Row, purchase

AT = datetime(2017, 12, 5, 9, 15)
BOUGHT = purchase("u", "milk", AT)
VIEWED_BY_PHONE = purchase("u", "milk", AT, event_type="view", device="phone")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([BOUGHT], {"purchase"}),
        ([VIEWED_BY_PHONE], {"purchase", "view"}),  # the context counts purchases: their device alone tells it
        ([BOUGHT, purchase("u", "milk", AT, device="phone")], {"purchase", "device"}),
        ([BOUGHT, purchase("u", "milk", AT, event_type="cart"), VIEWED_BY_PHONE], {"purchase", "cart", "view"}),
    ],
)
def test_views_carts_and_devices_of_purchases_are_told_by_the_rows(
    spark: SparkSession, tmp_path: Path, rows: list[Row], told: set[str]
) -> None:
    lake = Lake(spark, str(tmp_path))
    write_rows(lake, tables.EVENTS, rows)
    assert told_by(lake) == told
