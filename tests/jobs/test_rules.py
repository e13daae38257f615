"""Business rules from a file into the lake, and from there into the lists of the score job."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import load_rules
from jobs.score import STAGE
from recsys import columns as c
from recsys import tables
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.lake.store import Lake
from recsys.stages import Run, run_stage
from tests.small_lake import ITEMS, RUN_DATE
from tests.trained_lake import copied, tracking_uri

RULES = """
- {rule_id: gone, kind: block, item_ids: [BLOCKED]}
- {rule_id: first_i05, kind: pin, item_ids: [i05], rank: 1}
- {rule_id: two_of_each, kind: at_most, attribute: category, k: 2}
- {rule_id: in_summer, kind: block, item_ids: [i01], valid_from: 2018-06-01}
"""


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return copied(trained_lake, tmp_path_factory.mktemp("rules") / "lake")


def run_of(lake: Lake, *overrides: str, **options: Any) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", "score.top_n=4", *overrides])
    return Run(
        spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE,
        options={load_rules.RULES_OPTION: None, load_rules.STOCK_OPTION: None, **options},
    )  # fmt: skip


def load(lake: Lake, folder: Path, text: str, name: str = "rules.yaml") -> None:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    run_stage(load_rules.STAGE, run_of(lake, rules=str(file)))


def lists_of(lake: Lake) -> dict[str, Sequence[Any]]:
    rows = lake.read(tables.TOP_N).orderBy(c.USER_ID, c.RANK).collect()
    return {user: [row for row in rows if row[c.USER_ID] == user] for user in {row[c.USER_ID] for row in rows}}


@pytest.mark.long
def test_lists_are_under_the_rules_of_the_day_and_say_so(lake: Lake, tmp_path: Path) -> None:
    run_stage(STAGE, run_of(lake))
    before = lists_of(lake)
    users_of = Counter(row[c.ITEM_ID] for rows in before.values() for row in rows if row[c.ITEM_ID] != "i05")
    ((blocked, num_users),) = users_of.most_common(1)
    rules = RULES.replace("BLOCKED", blocked)
    assert all((row[c.RULES], row[c.RANK_BEFORE_RULES]) == ([], row[c.RANK]) for row in before["u00"])

    load(lake, tmp_path, rules)
    run_stage(STAGE, run_of(lake))
    after = lists_of(lake)
    assert after.keys() == before.keys()
    for rows in after.values():
        assert [row[c.RANK] for row in rows] == [1, 2, 3, 4]
        assert rows[0][c.ITEM_ID] == "i05"
        assert "first_i05" in rows[0][c.RULES]
        assert blocked not in {row[c.ITEM_ID] for row in rows}
        assert Counter(ITEMS.index(row[c.ITEM_ID]) % 2 for row in rows) == {0: 2, 1: 2}
    audited = {row[c.RULE_ID]: row for row in lake.read(tables.RULE_AUDIT).collect()}
    assert audited.keys() == {"gone", "first_i05", "two_of_each"}, "the fourth does not hold yet"
    assert audited["first_i05"][c.NUM_ROWS] == len(after)
    assert audited["gone"][c.NUM_USERS_CHANGED] >= num_users

    load(lake, tmp_path, rules + f"- {{rule_id: back, kind: pin, item_ids: [{blocked}], rank: 2}}")
    published = lake.version(tables.TOP_N)
    with pytest.raises(ConfigError, match=rf"'back' pins '{blocked}', which 'gone' \(block\) hides"):
        run_stage(STAGE, run_of(lake))
    assert lake.version(tables.TOP_N) == published


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rules.yaml", "a: 1", r"must hold a list of rules, each with rule_id and kind"),
        ("rules.yaml", "- [", r"is not valid YAML"),
        (
            "rules.yaml",
            "- {rule_id: x, sort: block}",
            r"rule 1 has 'sort'; expected columns of rules.rules",
        ),
        ("rules.csv", "rule_id,kind,rank\nx,pin,first\n", r"rules.csv, rule 1: rank must be int, found 'first'"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_rules.rule_rows(tmp_path / name)


def test_rules_of_a_csv_file_are_those_of_yaml(tmp_path: Path) -> None:
    yaml_file, csv_file = tmp_path / "rules.yaml", tmp_path / "rules.csv"
    yaml_file.write_text("- {rule_id: x, kind: block, item_ids: [a, b], valid_from: 2018-06-01, priority: 3}\n")
    csv_file.write_text("rule_id,kind,item_ids,valid_from,priority\nx,block,a;b,2018-06-01,3\n")
    assert load_rules.rule_rows(csv_file) == load_rules.rule_rows(yaml_file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,units\na,1\n", r"columns \['item', 'units'\]; expected item_id and units"),
        ("item_id,units\na,many\n", r"stock.csv, row 1: units must be a number, found 'many'"),
        ("item_id,units\na,1\na,2\n", r"has 2 rows for 1 items; expected one a row"),
    ],
)
def test_a_stock_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "stock.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_rules.stock_rows(tmp_path / "stock.csv")


def test_no_file_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("item_id,units\na,1\nb,0\n", encoding="utf-8")
    assert load_rules.stock_rows(tmp_path / "stock.csv") == {"a": 1.0, "b": 0.0}
    with pytest.raises(InputError, match=r"cannot read .*nothing.csv: No such file"):
        load_rules.stock_rows(tmp_path / "nothing.csv")
