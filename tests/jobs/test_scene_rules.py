"""Rules over the lists of the scenes: whatever a scene ranks, none of its tables shows what a rule blocks."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs import _scene_rules, score_scenes
from jobs._day_rules import excluded_pairs
from jobs._rules import write_audit
from jobs._scene_rules import SceneRules, scene_rules, under_rules
from recsys import columns as c
from recsys import tables
from recsys.config import CART, CONF_FOLDER, load_config
from recsys.errors import ConfigError, DataQualityError, InputError
from recsys.frames.local_rows import local_rows
from recsys.lake.store import Lake
from recsys.scoring.scene_lists import is_of_items, list_key, listed_item, require_none_hidden
from recsys.stages import Run
from recsys.tables import Table
from tests.feature_rows import rows_of, write_rows
from tests.small_lake import RUN_DATE, purchases
from tests.trained_lake import copied

# Lists of three, ranked twice as long.
N, DEPTH = 3, 2
BLOCK = {c.RULE_ID: "gone", c.KIND: "block", c.ITEM_IDS: ["i01"]}
PIN = {c.RULE_ID: "top", c.KIND: "pin", c.ITEM_IDS: ["i09"], c.RANK: 2}
FEW = {c.RULE_ID: "few", c.KIND: "at_most", c.ATTRIBUTE: c.CATEGORY, c.K: 2}  # i00, i02 … are dairy, the others bakery
TABLES = [table for scene in score_scenes.SCENES.values() for table in scene.writes if is_of_items(table)]


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("scene_rules") / "lake")


def run_of(lake: Lake, *overrides: str) -> Run:
    lengths = [f"score.top_n={N}", f"scenes.complements={N}", f"scenes.similar_items={N}", f"score.rank_depth={DEPTH}"]
    config = load_config([], [*lengths, "features.countries={s2: DE}", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def rules_of(lake: Lake, *rules: dict[str, Any]) -> tuple[Run, SceneRules]:
    write_rows(lake, tables.BUSINESS_RULES, rules)
    run = run_of(lake)
    return run, scene_rules(run, score_scenes.SCENES)


def scene_of(table: Table) -> str:
    return next(name for name, scene in score_scenes.SCENES.items() if table in scene.writes)


def keys_of(table: Table) -> list[dict[str, Any]]:
    """Of two lists."""
    if table is tables.ANONYMOUS:
        return [{c.LEVEL: "all"}, {c.LEVEL: "store", c.STORE_ID: "s2"}]
    (name,) = list_key(table)
    return [{name: value} for value in (("u00", "u01") if name == c.USER_ID else ("i00", "i15"))]


def written(run: Run, rules: SceneRules, table: Table, items: Sequence[str]) -> dict[str, list[Any]]:
    """The rows of each list by its key, of lists that rank these items."""
    given = [
        {**key, c.RANK: rank, listed_item(table): item, c.SCORE: 1 / rank}
        for key in keys_of(table)
        for rank, item in enumerate(items, start=1)
    ]
    drop = (c.RUN_DATE, c.RUN_ID, c.RULES, c.RANK_BEFORE_RULES)
    found = under_rules(run, rules, scene_of(table), table, rows_of(run.spark, table, given).drop(*drop)).rows
    assert {*found.columns} == {*table.column_names} - {c.RUN_DATE, c.RUN_ID}
    rows = found.orderBy(c.RANK).collect()
    return {
        str(list(key.values())): [row for row in rows if all(row[name] == key.get(name) for name in list_key(table))]
        for key in keys_of(table)
    }


@pytest.mark.long
def test_no_table_of_a_scene_shows_what_is_blocked_and_each_obeys_pins_and_limits(lake: Lake) -> None:
    run, rules = rules_of(lake, BLOCK, PIN, FEW)
    assert len(TABLES) == 6
    for table in TABLES:
        found = written(run, rules, table, ["i01", "i03", "i05", "i07", "i02", "i04"])
        assert len(found) == 2
        for rows in found.values():
            told = [(row[c.RANK], row[listed_item(table)], row[c.RULES], row[c.RANK_BEFORE_RULES]) for row in rows]
            # The pinned one and i03 are two of bakery: then comes one of dairy.
            assert told == [(1, "i03", [], 2), (2, "i09", ["top"], None), (3, "i02", [], 5)], table.name
            assert [row[c.SCORE] for row in rows] == [1 / 2, None, 1 / 5], table.name


@pytest.mark.long
def test_what_rules_did_in_a_scene_is_counted_over_its_tables(lake: Lake) -> None:
    """Two lists of each: i01 is kept away from all four, i09 put into all four, and i05 not the third of bakery."""
    run, rules = rules_of(lake, BLOCK, PIN, FEW)
    parts = []
    for table in (tables.COMPLEMENTS, tables.CART):
        given = [
            {**key, c.RANK: rank, listed_item(table): item}
            for key in keys_of(table)
            for rank, item in enumerate(["i01", "i03", "i05", "i02"], start=1)
        ]
        rows = rows_of(run.spark, table, given).drop(c.RUN_DATE, c.RUN_ID, c.RULES, c.RANK_BEFORE_RULES)
        parts.append(under_rules(run, rules, CART, table, rows).audited)
    write_audit(run, CART, parts[0].unionByName(parts[1]), rules.of_scene[CART])
    told = {row[c.RULE_ID]: row for row in lake.read(tables.RULE_AUDIT).where(f"{c.SCENE} = '{CART}'").collect()}
    counted = (c.NUM_USERS_CHANGED, c.NUM_ROWS, c.NUM_USERS_RELAXED)
    assert {name: tuple(row[count] for count in counted) for name, row in told.items()} == {
        "gone": (4, 0, 0), "top": (4, 4, 0), "few": (4, 0, 0)
    }  # fmt: skip


@pytest.mark.long
def test_rules_for_some_users_hold_in_their_lists_and_in_no_list_of_items(lake: Lake) -> None:
    in_store = {**BLOCK, c.RULE_ID: "store", c.STORE_ID: "s2", c.ITEM_IDS: ["i03"]}
    write_rows(
        lake,
        tables.USER_FEATURES,
        [
            {c.AS_OF_DATE: RUN_DATE, c.USER_ID: user, c.USER_MAIN_STORE_ID: f"s{1 + n}"}
            for n, user in enumerate(("u00", "u01"))
        ],
    )
    adults = {c.RULE_ID: "adults", c.KIND: "age_limit", c.ITEM_IDS: ["i05"], c.MIN_AGE: 18}
    germans = {**in_store, c.RULE_ID: "country", c.STORE_ID: None, c.COUNTRY: "DE", c.ITEM_IDS: ["i02"]}
    run, rules = rules_of(lake, in_store, germans, adults)
    items = ["i03", "i05", "i02", "i04"]
    for table in (tables.BUY_AGAIN, tables.ANONYMOUS):
        first, second = ([row[c.ITEM_ID] for row in rows] for rows in written(run, rules, table, items).values())
        assert first == ["i03", "i02", "i04"], table.name
        assert second == ["i04"], f"{table.name}: in s2, and so in DE"
    for rows in written(run, rules, tables.COMPLEMENTS, items).values():
        assert [row[c.NEIGHBOUR_ID] for row in rows] == ["i03", "i02", "i04"], "nobody is known to be old enough"


@pytest.mark.long
def test_an_item_is_not_pinned_into_its_own_list_and_rules_of_other_scenes_do_not_hold(lake: Lake) -> None:
    own = {**PIN, c.ITEM_IDS: ["i00"], c.SCENE: "substitutes"}
    run, rules = rules_of(lake, own, {**BLOCK, c.SCENE: "home"})
    of_i00, of_i15 = written(run, rules, tables.SIMILAR_ITEMS, ["i01", "i03", "i05", "i07"]).values()
    assert [row[c.NEIGHBOUR_ID] for row in of_i00] == ["i01", "i03", "i05"]
    assert [row[c.NEIGHBOUR_ID] for row in of_i15] == ["i01", "i00", "i03"]
    assert all(row[c.RANK_BEFORE_RULES] == row[c.RANK] for row in written(run, rules, tables.CART, ["i01"])["['u00']"])


def test_what_cannot_hold_in_a_scene_is_refused_before_any_list_is_made(lake: Lake) -> None:
    with pytest.raises(ConfigError, match=r"'top' pins at rank 7, lists have 3"):
        rules_of(lake, {**PIN, c.RANK: 7, c.SCENE: "cart"})
    with pytest.raises(InputError, match=r"\['stock'\] ask what is in stock, and the lake has no rules.stock"):
        rules_of(lake, {c.RULE_ID: "stock", c.KIND: "in_stock", c.SCENE: "buy_again"})
    of_home = {c.RULE_ID: "stock", c.KIND: "in_stock", c.SCENE: "home"}
    assert not any(rules_of(lake, of_home)[1].of_scene.values()), "the score job's own"


def test_a_blocked_item_in_a_scenes_list_would_end_the_job(lake: Lake) -> None:
    rows = local_rows(lake.spark, [("u00", 1, "i01")], "user_id string, rank int, item_id string")
    hidden = local_rows(lake.spark, [("i01",)], "item_id string")
    require_none_hidden(rows, tables.CART, None)
    with pytest.raises(DataQualityError, match=r"recs.cart would show 'i01' to \['u00'\], which a rule blocks"):
        require_none_hidden(rows, tables.CART, hidden)


EXCLUDING = ("score.exclude_bought_days={buy_again: 5, home: 365}", "score.exclude_viewed_days={buy_again: 3, cart: 3}")


@pytest.fixture
def viewed_lake(lake: Lake, tmp_path: Path) -> Lake:
    """u00 bought i10 on the 14th and i02 on the 6th, u01 i11 on the 16th; u00 viewed i04 on the 15th and i06 on the
    14th."""
    copy = copied(lake, tmp_path / "viewed")
    views = [
        {c.USER_ID: "u00", c.ITEM_ID: item, c.EVENT_TYPE: c.VIEW, c.EVENT_DATE: date(2017, 12, day)}
        for item, day in (("i04", 15), ("i06", 14))
    ]
    write_rows(copy, tables.EVENTS, [*purchases(), *views])
    write_rows(copy, tables.BUSINESS_RULES, [])
    return copy


def test_what_users_bought_or_viewed_in_a_scenes_days_is_left_out_for_it(viewed_lake: Lake) -> None:
    run = run_of(viewed_lake, *EXCLUDING)
    pairs = {scene: excluded_pairs(run, scene) for scene in ("buy_again", "cart", "new_items")}
    assert pairs["new_items"] is None
    found = {scene: rows.collect() for scene, rows in pairs.items() if rows is not None}
    assert {(row[c.USER_ID], row[c.ITEM_ID]) for row in found["buy_again"] if row[c.USER_ID] in ("u00", "u01")} == {
        ("u00", "i10"), ("u00", "i04"), ("u01", "i11"),
    }  # fmt: skip
    assert [tuple(row) for row in found["cart"]] == [("u00", "i04")]


@pytest.mark.long
def test_lists_of_a_scene_leave_out_what_its_users_bought_or_viewed(viewed_lake: Lake) -> None:
    run = run_of(viewed_lake, *EXCLUDING)
    rules = scene_rules(run, score_scenes.SCENES)
    assert _scene_rules.depth(run, rules, "buy_again") == DEPTH
    of_u00, of_u01 = written(run, rules, tables.BUY_AGAIN, ["i10", "i04", "i02", "i06", "i11"]).values()
    assert [(row[c.RANK], row[c.ITEM_ID], row[c.RANK_BEFORE_RULES]) for row in of_u00] == [
        (1, "i02", 3), (2, "i06", 4), (3, "i11", 5),
    ]  # fmt: skip
    assert [row[c.ITEM_ID] for row in of_u01] == ["i10", "i04", "i02"]
    of_i00 = written(run, rules, tables.COMPLEMENTS, ["i04", "i10", "i02", "i06"])["['i00']"]
    assert [row[c.NEIGHBOUR_ID] for row in of_i00] == ["i04", "i10", "i02"], "of no user, and cut to its length"


def test_rows_are_longer_only_where_rules_choose_from_them(lake: Lake) -> None:
    run, rules = rules_of(lake, {**BLOCK, c.SCENE: "cart"})
    depths = {name: _scene_rules.depth(run, rules, name) for name in score_scenes.SCENES}
    assert depths == {"cart": DEPTH, "substitutes": 1, "buy_again": 1, "new_items": 1, "anonymous": 1, "coupons": 1}
