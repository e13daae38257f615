"""Lists are seen once all else is measured and written: no failure takes them back, no kill leaves half a run."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import functions as F

import jobs.score
from recsys import columns as c
from recsys import stages, tables
from recsys.config import CONF_FOLDER, load_config
from recsys.lake.store import Lake
from recsys.stages import Figures, Run, run_stage
from tests.feature_rows import write_rows
from tests.small_lake import DAYS, RUN_DATE
from tests.trained_lake import copied, register_factors, tracking_uri

# Several score jobs a test.
pytestmark = pytest.mark.long

TOMORROW = RUN_DATE + timedelta(days=1)
LISTS = (tables.TOP_N, tables.RULE_AUDIT, tables.SCORED_INPUTS, tables.PUBLISHING)
RULES = [{c.RULE_ID: "gone", c.KIND: "block", c.ITEM_IDS: ["i03"]}]
BEFORE_THE_COMMIT = (
    "jobs.score.require_publishable",
    "jobs.score.record",
    "jobs.score.write_audit",
    "jobs.score.list_quality",
    "jobs.score.later_recall",
    "jobs.score.search_recall",
    "jobs._publishing._record",
    "jobs._publishing.name_latest",
)


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With the lists of one day, and features of the next, on which one user had bought more."""
    lake = copied(trained_lake, tmp_path_factory.mktemp("one_commit") / "lake")
    register_factors(lake, seed=1)
    write_rows(lake, tables.BUSINESS_RULES, RULES)
    scored(lake)
    for table in (tables.USER_FEATURES, tables.ITEM_FEATURES, tables.USER_ITEM_FEATURES):
        of_days = lake.read(table).where(F.col(c.AS_OF_DATE).isin(RUN_DATE, DAYS.test))
        later = {c.AS_OF_DATE: F.date_add(c.AS_OF_DATE, 1)}
        if table is tables.USER_ITEM_FEATURES:
            later[c.USER_ITEM_PURCHASES_365D] = F.when(F.col(c.USER_ID) == "u03", 7).otherwise(2).cast("bigint")
        lake.append(table, of_days.withColumns(later).localCheckpoint())
    return lake


@pytest.fixture
def as_it_was(lake: Lake) -> Iterator[None]:
    versions = {table: lake.version(table) for table in LISTS}
    yield
    back(lake, versions)


def back(lake: Lake, versions: dict[tables.Table, int | None]) -> None:
    for table, version in versions.items():
        assert version is not None
        if lake.version(table) != version:
            lake.restore(table, version)


def scored(lake: Lake, *overrides: str, days: int = 0) -> Figures:
    given = [f"tracking.uri={tracking_uri(lake)}", "score.top_n=4", "publishing.min_overlap=0", *overrides]
    run_date = RUN_DATE + timedelta(days=days)
    run = Run(spark=lake.spark, lake=lake, config=load_config([], given), conf_folder=CONF_FOLDER, run_date=run_date)
    return run_stage(jobs.score.STAGE, run).figures


class BrokenError(Exception):
    pass


def broken(*_: Any, **__: Any) -> None:
    raise BrokenError


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("place", BEFORE_THE_COMMIT)
def test_what_fails_in_a_run_leaves_the_lists_without_a_commit(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    published = lake.version(tables.TOP_N)
    monkeypatch.setattr(place, broken)
    with pytest.raises(BrokenError):
        scored(lake, "score.incremental=false")
    assert lake.version(tables.TOP_N) == published


@pytest.mark.usefixtures("as_it_was")
def test_files_that_cannot_be_deleted_leave_the_lists_published(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    published = lake.version(tables.TOP_N)
    monkeypatch.setattr("jobs.score.delete_vector_files", broken)
    scored(lake)
    assert lake.version(tables.TOP_N) == (published or 0) + 1
    assert f"files of this run are left under {lake.root}: BrokenError" in caplog.text


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module")
def unbroken(lake: Lake) -> dict[str, list[Any]]:
    before = {table: lake.version(table) for table in LISTS}
    written = killed_at(lake, None)
    assert set(written[:-2]) == {table.name for table in LISTS if table is not tables.TOP_N}
    assert written[-2:] == [tables.TOP_N.name, tables.RUNS.name]
    rows = rows_of_all(lake)
    back(lake, before)
    return rows


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("number", range(len(LISTS) + 1))
def test_a_run_that_is_killed_before_any_of_its_commits_and_started_again_ends_as_an_unbroken_one(
    lake: Lake, unbroken: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patch:
        # Nobody takes back what a killed process wrote.
        patch.setattr(stages, "_take_back", lambda *_: None)
        assert len(killed_at(lake, number)) == number
    scored(lake, days=1)
    assert rows_of_all(lake) == unbroken


def killed_at(lake: Lake, number: int | None) -> list[str]:
    """Names of the tables that were written before the process was gone."""
    written: list[str] = []
    overwrite = Lake.overwrite

    def counted(self: Lake, table: tables.Table, *args: Any, **kwargs: Any) -> int:
        if len(written) == number:
            raise KilledError
        version = overwrite(self, table, *args, **kwargs)
        written.append(table.name)
        return version

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "overwrite", counted)
        patch.setattr("jobs._publishing.at_once", one_after_the_other)
        if number is None:
            scored(lake, days=1)
        else:
            with pytest.raises(KilledError):
                scored(lake, days=1)
    return written


def one_after_the_other(_: Any, actions: list[Callable[[], Any]]) -> list[Any]:
    return [action() for action in actions]


def rows_of_all(lake: Lake) -> dict[str, list[Any]]:
    return {
        table.name: sorted((row.asDict(recursive=True) for row in lake.read(table).collect()), key=str)
        for table in LISTS
    }
