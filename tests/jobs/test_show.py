from datetime import date, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.show import user_lines
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.lake.store import Lake
from recsys.stages import Run
from tests.feature_rows import write_rows

DAY = date(2017, 12, 18)


def test_what_rules_added_to_a_list_is_shown_without_a_score(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    at = datetime(2017, 12, 17, 9)
    bought = {c.USER_ID: "u", c.ITEM_ID: "tea", c.EVENT_TYPE: c.PURCHASE, c.EVENT_TS: at, c.EVENT_DATE: at.date()}
    write_rows(lake, tables.EVENTS, [bought])
    write_rows(lake, tables.ITEMS, [{c.ITEM_ID: "tea", c.NAME: "Green tea"}])
    scores = [("own", 0.25), ("rule", None), ("fill", None)]
    lists = [
        {
            c.RUN_DATE: DAY, c.SCENE: "home", c.USER_ID: "u", c.RANK: rank, c.ITEM_ID: "tea", c.SOURCE: source,
            c.SCORE: score, c.REASON_EN: "Because.",
        }
        for rank, (source, score) in enumerate(scores, start=1)
    ]  # fmt: skip
    write_rows(lake, tables.TOP_N, lists)
    run = Run(spark=spark, lake=lake, config=load_config([]), conf_folder=CONF_FOLDER, run_date=DAY)
    shown = [" ".join(line.split()) for line in user_lines(run, DAY)]
    assert shown == [
        "user u",
        "bought 2017-12-17 Green tea #tea",
        "1. Green tea #tea 0.2500 Because.",
        "2. Green tea #tea – Because.",
        "3. Green tea #tea – Because.",
    ]
