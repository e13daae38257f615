import json
from dataclasses import replace

import pytest

from recsys import columns as c
from recsys import manifest
from recsys.catalog import ID_INPUTS, NUMERIC_INPUTS
from recsys.errors import SchemaError
from recsys.manifest import Inputs, Manifest, NumericInput, RowGroup, SplitFiles, Vocabulary

INPUTS = Inputs(
    ids=tuple(Vocabulary(name=i.name, size=3) for i in ID_INPUTS),
    numeric=tuple(NumericInput(name=f.name, transform=f.transform, mean=0.5, std=1.0) for f in NUMERIC_INPUTS),
)
MANIFEST = Manifest(
    run_date="2017-12-18",
    inputs=INPUTS,
    train=SplitFiles(
        row_groups=(RowGroup(file="train/00000.parquet", rows=3), RowGroup(file="train/00002.parquet", rows=4)),
        positives=2,
    ),
    validation=SplitFiles(row_groups=(), positives=0),
    versions={"examples.pairs": 4},
)


def changed_text(**changes: object) -> str:
    return json.dumps({**json.loads(manifest.to_json(MANIFEST)), **changes})


def test_what_is_written_is_read_back() -> None:
    assert manifest.from_json(manifest.to_json(MANIFEST), "here") == MANIFEST
    assert MANIFEST.train.rows == 7


def test_the_hash_changes_with_the_content() -> None:
    assert replace(MANIFEST, versions={"examples.pairs": 5}).hash != MANIFEST.hash


def test_a_changed_manifest_is_refused() -> None:
    text = changed_text(versions={"examples.pairs": 5})
    with pytest.raises(SchemaError, match=r"here was changed: it says hash \w+, .*run build_examples again"):
        manifest.from_json(text, "here")


def test_another_format_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"here has format 0, expected 2.*run build_examples again"):
        manifest.from_json(changed_text(format=0), "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"here is not JSON: .*run build_examples again"),
        ("[]", r"here must hold an object, found list.*run build_examples again"),
        (changed_text(colour="red"), r"here is not a manifest: unknown keys .*'colour'.*run build_examples again"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        manifest.from_json(text, "here")


def test_inputs_of_another_catalogue_are_refused_with_the_difference() -> None:
    other = (*INPUTS.numeric[1:], NumericInput(name="user_shoe_size", transform="none", mean=0.0, std=1.0))
    text = manifest.to_json(replace(MANIFEST, inputs=replace(INPUTS, numeric=other)))
    expected = r"it lacks \[\('user_purchases_7d', 'log1p'\)\] and has \[\('user_shoe_size', 'none'\)\] too many"
    with pytest.raises(SchemaError, match=expected):
        manifest.from_json(text, "here")


def test_only_inputs_that_need_further_event_types_may_be_left_out() -> None:
    kept = tuple(n for n in INPUTS.numeric if n.name != c.USER_VIEWS_7D)
    without_views = replace(MANIFEST, inputs=replace(INPUTS, numeric=kept, left_out=(c.USER_VIEWS_7D,)))
    assert manifest.from_json(manifest.to_json(without_views), "here") == without_views
    without_purchases = replace(INPUTS, numeric=INPUTS.numeric[1:], left_out=(INPUTS.numeric[0].name,))
    expected = r"it lacks \[\('user_purchases_7d', 'log1p'\)\] and has \[\('user_purchases_7d', 'left out'\)\] too many"
    with pytest.raises(SchemaError, match=expected):
        manifest.from_json(manifest.to_json(replace(MANIFEST, inputs=without_purchases)), "here")


def test_inputs_in_another_order_are_refused() -> None:
    swapped = replace(INPUTS, numeric=tuple(reversed(INPUTS.numeric)))
    with pytest.raises(SchemaError, match=r"other model inputs than recsys/catalog.py: their order differs. Cure"):
        manifest.from_json(manifest.to_json(replace(MANIFEST, inputs=swapped)), "here")
