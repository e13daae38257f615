"""All scenes on the lake of the whole pipeline, twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import score_scenes
from recsys import columns as c
from recsys import tables
from recsys.config import SCENES
from tests.e2e.conftest import Finished, contents, frame

ALL = f"score.scenes=[{','.join(SCENES)}]"


@pytest.mark.long
def test_all_scenes_twice(finished_lake: tuple[Path, Finished], job: Callable[..., Finished]) -> None:
    lake, _ = finished_lake
    first = job("score_scenes", lake, ALL)
    assert first.code == 0, first.err
    written = {table: contents(lake, table) for table in score_scenes.STAGE.writes}
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


def test_a_scene_that_is_none_and_no_scene_at_all_are_refused(job: Callable[..., Finished], tmp_path: Path) -> None:
    unknown = job("score_scenes", tmp_path / "lake", "score.scenes=[basket]")
    assert unknown.code == 2
    assert "['basket']" in unknown.err
    assert "'cart', 'substitutes', 'buy_again', 'new_items', 'anonymous'" in unknown.err
