import pytest

from jobs._candidate_sources import more_sources, sources_read
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import InputError
from recsys.lake.store import Lake
from recsys.stages import Run
from tests.small_lake import RUN_DATE
from tests.trained_lake import tracking_uri


def run_of(lake: Lake, *overrides: str) -> Run:
    config = load_config([], [f"tracking.uri={tracking_uri(lake)}", *overrides])
    return Run(spark=lake.spark, lake=lake, config=config, conf_folder=CONF_FOLDER, run_date=RUN_DATE)


def test_neighbours_that_the_lake_does_not_have_are_refused_before_anything_is_named(trained_lake: Lake) -> None:
    run = run_of(trained_lake, "candidates.neighbour_items=50", "features.grains=[item_item]")
    assert sources_read(run) == ()
    with pytest.raises(
        InputError,
        match=r"features.item_item has no rows as of \['2017-12-18'\], which candidates.neighbour_items=50 reads. "
        r"Cure: run build_features with features.grains=\[item_item\] among the settings",
    ):
        more_sources(run, [RUN_DATE])
