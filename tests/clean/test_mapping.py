from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.clean.mapping import KnownMapping, input_folder, load_mapping, mapping_file
from recsys.config import CONF_FOLDER
from recsys.errors import ConfigError, InputError

SOURCES = sorted((CONF_FOLDER / "sources").glob("*.yaml"))
SMALLEST = """
note: made up
local_time_zone: Europe/London
events:
  files: "*.csv"
  format: csv
  columns: {user_id: user, item_id: item}
  time: {column: at}
  event_type: {constant: view}
items: {files: items.csv, format: csv, columns: {item_id: item}}
"""


DAY_IN_PATH = r"(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)"


def known(more: str) -> str:
    return f"format: csv\n  known: {{pattern: '{DAY_IN_PATH}', {more}}}\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "shop.yaml"
    file.write_text(text)
    return file


def test_every_mapping_of_the_project_loads_and_says_what_its_data_is() -> None:
    assert [file.stem for file in SOURCES] == ["complete_journey", "online_retail", "retailrocket"]
    for file in SOURCES:
        assert len(load_mapping(file).note) > 20


def test_the_smallest_mapping_needs_no_users_and_no_promotions(tmp_path: Path) -> None:
    assert list(load_mapping(write(tmp_path, SMALLEST)).tables) == ["items", "events"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("column: at}", "column: at, formt: iso}", r"unknown keys in 'shop.yaml.events.time': \['formt'\]; known keys"),
        ("user_id: user,", "", r"'columns' lacks \['user_id'\]"),
        ("user_id: user", "user: user", r"unknown names in 'columns': \['user'\]; known names: .*'user_id'"),
        ("format: csv\n", "format: excel\n", r"'format': \['excel'\]; known names: \['csv', 'json', 'parquet'\]"),
        ("Europe/London", "Europe/Londn", r"local_time_zone must be a time zone such as Europe/London, got 'Europe/Lo"),
        ("constant: view", "constant: look", r"'event_type': \['look'\]; known names: \['cart', 'impression', 'purch"),
        ("format: csv\n", "format: csv\n  known: {pattern: '(['}\n", r"known.pattern must be a regular expr.*'\(\['"),
        (
            "format: csv\n",
            "format: csv\n  known: {pattern: '(?P<year>....)(?P<day>..)'}\n",
            r"known.pattern '.*' lacks the groups \['month'\]; give it as '\(\?P<year>",
        ),
        ("format: csv\n", known("delay_days: -1"), r"known.delay_days must be at least 0, got -1"),
        ("format: csv\n", known("zone: Londn"), r"known.zone must be a time zone"),
        ("constant: view", "constant: view, column: kind", r"either 'constant', or 'column' with 'values'"),
        ("{constant: view}", "{constant: view}\n  key: [basket]", r"unknown names in 'key': \['basket'\]"),
        (
            "{constant: view}",
            "{constant: view}\n  amount: {column: p, unit: whole, multiply_by_quantity: true}",
            r"multiply_by_quantity needs a column for 'quantity'",
        ),
        (
            "items: {",
            "promotions: {files: p, format: csv, columns: {item_id: i, store_id: s}, period: {week: w}}\nitems: {",
            r"period takes either 'week' with 'first_week_starts'.*found \['week'\]",
        ),
        (
            "items: {",
            "offers_sent: {files: s, format: csv, columns: {campaign_id: k, user_id: u}}\nitems: {",
            r"maps all of \['campaigns', 'offers', 'offers_sent', 'redemptions'\].*lacks \['campaigns', 'offers', 'red",
        ),
    ],
)
def test_a_contradiction_names_the_file_and_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMALLEST
    with pytest.raises(ConfigError, match=rf"shop.yaml: .*{message}"):
        load_mapping(write(tmp_path, SMALLEST.replace(old, new, 1)))


def test_an_unknown_source_lists_the_known_ones() -> None:
    known = r"\['complete_journey', 'online_retail', 'retailrocket'\]"
    with pytest.raises(ConfigError, match=rf"'shop' is unknown.*known sources: {known}"):
        mapping_file(CONF_FOLDER, "shop")


def test_the_input_is_what_was_given_or_lies_in_a_package(tmp_path: Path) -> None:
    mapping = load_mapping(CONF_FOLDER / "sources" / "complete_journey.yaml")
    assert input_folder(mapping, str(tmp_path)) == str(tmp_path)
    assert input_folder(mapping, "s3a://bucket/logs") == "s3a://bucket/logs"
    assert (Path(input_folder(mapping, None)) / "transactions.parquet").is_file()


def test_a_missing_package_and_a_missing_folder_name_the_cure(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, SMALLEST))
    with pytest.raises(InputError, match=r"no folder of its own; give one with --set source.input="):
        input_folder(mapping, None)
    with pytest.raises(InputError, match=r"'no_such_shop', which is not installed.*pip install no-such-shop"):
        input_folder(mapping, "package://no_such_shop/data")


def test_columns_of_items_in_the_event_files_are_no_news_to_the_events() -> None:
    mappings = {
        name: load_mapping(CONF_FOLDER / "sources" / f"{name}.yaml") for name in ("online_retail", "complete_journey")
    }
    assert mappings["online_retail"].events.ignored == ("StockCode", "Description")
    assert "week" in mappings["complete_journey"].events.ignored


def test_a_path_tells_when_a_file_became_known() -> None:
    """On the clock of the zone: London's day begins an hour early in summer."""
    of_london = KnownMapping(pattern=rf"day={DAY_IN_PATH}/", delay_days=2, zone="Europe/London")
    assert of_london.known_ms("day=20240501/part-0.csv") == instant_ms(datetime(2024, 5, 2, 23))
    assert KnownMapping(pattern=DAY_IN_PATH).known_ms("sales-2024-02-29.csv") == instant_ms(datetime(2024, 3, 1))
    for path, found in (("day=now/part-0.csv", "nothing"), ("day=20240230/part-0.csv", "day=20240230/")):
        with pytest.raises(InputError, match=rf"{path}: its name does not say .* finds '{found}', exp.*Cure"):
            of_london.known_ms(path)


def instant_ms(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


def test_items_of_the_event_files_become_known_with_them(tmp_path: Path) -> None:
    shared = SMALLEST.replace("format: csv\n", known("delay_days: 0")).replace("files: items.csv,", 'files: "*.csv",')
    mapping = load_mapping(write(tmp_path, shared))
    assert mapping.items.known == mapping.events.known == KnownMapping(pattern=DAY_IN_PATH, delay_days=0)
