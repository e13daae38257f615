"""All scenes on the lake of the whole pipeline, twice, and then under rules."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import score_scenes
from recsys import columns as c
from recsys import tables
from recsys.config import SCENES
from recsys.scoring.scene_lists import is_of_items, listed_item
from tests.e2e.conftest import Finished, command, contents, frame, run

WRITTEN = [table for table in tables.ALL_TABLES if table.writer == score_scenes.STAGE.name]
ALL = f"score.scenes=[{','.join(SCENES)}]"


@pytest.mark.long
def test_all_scenes_twice(finished_lake: tuple[Path, Finished], job: Callable[..., Finished]) -> None:
    lake, _ = finished_lake
    first = job("score_scenes", lake, ALL)
    assert first.code == 0, first.err
    written = {table: contents(lake, table) for table in WRITTEN}
    # The log has no carts that could be open on the run date.
    assert {table.name for table, rows in written.items() if not rows} == {tables.CART.name}
    for table in written:
        keys = frame(lake, table)[list(table.key)]
        assert not keys.duplicated().any(), table.name
    eligible = frame(lake, tables.ITEMS).query(c.IS_ELIGIBLE)[c.ITEM_ID]
    for table in (tables.BUY_AGAIN, tables.NEW_ITEMS, tables.ANONYMOUS):
        assert set(frame(lake, table)[c.ITEM_ID]) <= set(eligible), table.name
    metrics = frame(lake, tables.SCENE_METRICS)
    assert set(metrics[c.SCENE]) == set(SCENES)
    assert (metrics[c.NUM_CASES] > 0).all()
    assert all(scene in first.out for scene in SCENES)

    again = job("score_scenes", lake, ALL)
    assert again.code == 0, again.err
    assert {table: contents(lake, table) for table in written} == written


@pytest.mark.long
def test_no_table_of_any_scene_shows_what_a_rule_blocks(
    finished_lake: tuple[Path, Finished], job: Callable[..., Finished], tmp_path: Path
) -> None:
    lake, _ = finished_lake
    before = job("score_scenes", lake, ALL)
    assert before.code == 0, before.err
    written = {table: contents(lake, table) for table in WRITTEN}
    ruled = Path(shutil.copytree(lake, tmp_path / "ruled"))
    lists = {table: listed_item(table) for table in written if is_of_items(table)}
    blocked = {frame(lake, table)[item].mode()[0] for table, item in lists.items() if written[table]}
    rules = tmp_path / "rules.yaml"
    few = {"rule_id": "few", "kind": "at_most", "attribute": "category", "k": 2, "scene": "buy_again"}
    rules.write_text(json.dumps([{"rule_id": "gone", "kind": "block", "item_ids": sorted(blocked)}, few]))
    loaded = run([*command("load_rules", ruled), "--rules", str(rules)], tmp_path)
    assert loaded.code == 0, loaded.err
    under_rules = job("score_scenes", ruled, ALL)
    assert under_rules.code == 0, under_rules.err
    for table, item in lists.items():
        rows = frame(ruled, table)
        assert not set(rows[item]) & blocked, table.name
        assert bool(len(rows)) == bool(written[table]), table.name
    mine = frame(ruled, tables.BUY_AGAIN).merge(frame(ruled, tables.ITEMS), on=c.ITEM_ID)
    assert mine.groupby([c.USER_ID, c.CATEGORY]).size().max() == 2


def test_a_scene_that_is_none_and_no_scene_at_all_are_refused(job: Callable[..., Finished], tmp_path: Path) -> None:
    unknown = job("score_scenes", tmp_path / "lake", "score.scenes=[basket]")
    assert unknown.code == 2
    assert "['basket']" in unknown.err
    assert "'cart', 'substitutes', 'buy_again', 'new_items', 'anonymous', 'coupons'" in unknown.err
