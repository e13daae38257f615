from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from jobs._countries import countries_of
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.lake.read_features import FEATURE_TABLES
from recsys.lake.store import Lake
from recsys.scoring.rules import BLOCK, Rule
from recsys.stages import Run
from tests.feature_rows import write_rows

RUN_DATE = date(2017, 12, 18)


def test_where_stores_are_countries_a_rule_may_name_each_that_is_not_listed(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    of_day = {c.AS_OF_DATE: RUN_DATE}
    rows = {
        tables.USER_FEATURES: [
            {**of_day, c.USER_ID: user, c.USER_MAIN_STORE_ID: store}
            for user, store in {"u": "Malta", "v": "EIRE", "w": None}.items()
        ],
        tables.CONTEXT_FEATURES: [{**of_day, c.STORE_ID: "Cyprus"}],
    }
    for table in FEATURE_TABLES:
        write_rows(lake, table, rows.get(table, []))
    settings = ["source.name=online_retail", "features.countries={EIRE: Ireland}"]
    run = Run(spark=spark, lake=lake, config=load_config([], settings), conf_folder=CONF_FOLDER, run_date=RUN_DATE)
    everywhere = Rule(rule_id="gone", kind=BLOCK, item_ids=("milk",))
    there = Rule(rule_id="there", kind=BLOCK, item_ids=("milk",), country="Malta")
    assert countries_of(run, [everywhere]) == {"EIRE": "Ireland"}
    assert countries_of(run, [everywhere, there]) == {"Malta": "Malta", "Cyprus": "Cyprus", "EIRE": "Ireland"}
