from pathlib import Path

from recsys import catalog
from recsys import columns as c

DOCS = Path(__file__).parents[1] / "docs" / "features.md"


def test_docs_features_is_what_the_catalogue_says() -> None:
    found = DOCS.read_text(encoding="utf-8")
    assert found == catalog.as_markdown(), "run: python -m recsys.catalog > docs/features.md"


def test_the_page_lists_every_feature_once() -> None:
    lines = catalog.as_markdown().splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == [f.name for f in catalog.FEATURES]
    assert (
        f"| `{c.USER_RECENCY_DAYS}` | int |  | Days from the last purchase to the cut-off, 1 for the day before it "
        "| log(1 + value); 730 for null |"
    ) in lines


def test_names_are_unique_and_grains_known() -> None:
    names = [feature.name for feature in catalog.FEATURES]
    assert len(set(names)) == len(names)
    assert {feature.grain for feature in catalog.FEATURES} == {grain.name for grain in catalog.GRAINS}


def test_the_window_is_the_one_in_the_name_unless_the_line_says_another() -> None:
    windows = {feature.name: feature.window_days for feature in catalog.FEATURES}
    assert windows[c.USER_ITEM_PURCHASES_365D] == 365
    assert windows[c.STORE_ITEM_MAIL_DAYS_7D] == 7
    assert windows[c.USER_HEAT_28D] == 365  # 28 is the half-life
    assert windows[c.USER_USUAL_HOUR] is None
