"""The scene cart on the small lake: whose carts are completed, and what becomes of them where another scene fails."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import score_scenes
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import DataQualityError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.feature_rows import rows_of, write_rows
from tests.small_lake import RUN_DATE, purchases, write_small_lake

OPTED_OUT = "gone"


def event(user: str, item: str, kind: str, day: date, number: int) -> dict[str, Any]:
    return {
        c.USER_ID: user, c.ITEM_ID: item, c.EVENT_TYPE: kind, c.EVENT_DATE: day, c.SOURCE_FILE: "more",
        c.SOURCE_ROW: number,
    }  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Users buy i00 and i02 together in both of the last windows, and others i15 alone; i00 lies in two carts."""
    gone = {c.USER_ID: OPTED_OUT, c.IS_OPTED_OUT: True}
    lake = write_small_lake(spark, str(tmp_path_factory.mktemp("cart") / "lake"), more_users=[gone])
    days = [RUN_DATE - timedelta(days=days) for days in (3, 20)]
    pairs = [("u00", "i00"), ("u00", "i02"), ("u02", "i00"), ("u02", "i02"), ("u04", "i00"), ("u04", "i02")]
    bought = [(user, item, c.PURCHASE, day) for day in days for user, item in pairs]
    bought += [(f"u{number:02d}", "i15", c.PURCHASE, RUN_DATE - timedelta(days=30)) for number in range(1, 12)]
    carts = [(user, "i00", c.CART, RUN_DATE - timedelta(days=1)) for user in ("u01", OPTED_OUT)]
    more = [event(*row, number) for number, row in enumerate([*bought, *carts], start=1)]
    write_rows(
        lake,
        tables.EVENTS,
        [{**row, c.EVENT_TS: datetime.combine(row[c.EVENT_DATE], time(9))} for row in [*purchases(), *more]],
    )
    return lake


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], ["score.scenes=[cart]", "evaluation.bootstrap_samples=100", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


@pytest.mark.long
def test_open_carts_are_completed_of_users_who_have_not_opted_out_and_stay_where_a_later_scene_fails(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run_stage(score_scenes.STAGE, run_of(lake))
    rows = [(row[c.USER_ID], row[c.RANK], row[c.ITEM_ID]) for row in lake.read(tables.CART).collect()]
    assert rows == [("u01", 1, "i02")]
    assert outcome.figures["cart_rows"] > 0

    def twice_the_same(run: Run, depth: int) -> Mapping[tables.Table, DataFrame]:
        row = {c.USER_ID: "u01", c.ITEM_ID: "i00", c.SCORE: 0.5}
        rows = rows_of(run.spark, tables.BUY_AGAIN, [{**row, c.RANK: rank} for rank in (1, 1 + depth)])
        return {tables.BUY_AGAIN: rows.drop(c.RUN_DATE, c.RUN_ID, c.RULES, c.RANK_BEFORE_RULES)}

    before = lake.versions(tables.ALL_TABLES)
    broken = replace(score_scenes.SCENES["buy_again"], rows=twice_the_same)
    monkeypatch.setitem(score_scenes.SCENES, "buy_again", broken)
    with pytest.raises(DataQualityError, match=r"recs.buy_again: {\"user_id\":\"u01\"} has an item more than once"):
        run_stage(score_scenes.STAGE, run_of(lake, "score.scenes=[cart,buy_again]"))
    assert lake.versions(tables.ALL_TABLES) == before, "not even written and taken back"
