from collections import Counter
from pathlib import Path

import pytest

from recsys import catalog, tables
from recsys import columns as c
from recsys.tables import ALL_TABLES, Table

JOBS = Path(__file__).parents[1] / "jobs"


def test_every_table_of_the_module_is_listed_once() -> None:
    defined = {value.name for value in vars(tables).values() if isinstance(value, Table)}
    assert {table.name for table in ALL_TABLES} == defined
    assert len(ALL_TABLES) == len(defined) == 56


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_keys_partitions_and_comments(table: Table) -> None:
    names = table.column_names
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert table.key
    assert set(table.key) <= set(names)
    assert set(table.partition_by) <= set(names)
    assert [column.name for column in table.columns if not column.comment.strip()] == []
    assert table.name.count(".") == 1


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_the_writer_is_a_job(table: Table) -> None:
    assert table.writer == "every job" or (JOBS / f"{table.writer}.py").is_file()


def test_column_names_are_those_of_the_vocabulary() -> None:
    vocabulary = {value for name, value in vars(c).items() if name.isupper()}
    used = {column.name for table in ALL_TABLES for column in table.columns}
    assert used <= vocabulary


def test_a_feature_table_is_its_grain_the_cut_off_and_the_catalogue_in_order() -> None:
    for grain in catalog.GRAINS:
        (table,) = (table for table in ALL_TABLES if table.name == f"features.{grain.name}")
        features = tuple(feature.name for feature in catalog.features_of(grain))
        assert table.key == (*grain.key, c.AS_OF_DATE)
        assert table.column_names == (*table.key, *features)
        assert table.partition_by == (c.AS_OF_DATE,)


def test_examples_have_every_model_input() -> None:
    types = {column.name: column.type for column in tables.EXAMPLES.columns}
    assert {name: types.get(name) for name in (f.name for f in catalog.MODEL_INPUTS)} == {
        f.name: f.input_type for f in catalog.MODEL_INPUTS
    }
    assert len(catalog.MODEL_INPUTS) == 50
