"""Two models of one lake, fused: a network of candidates and a model of interactions that ranks all items."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import evaluate, score, train
from jobs._models import newest_model, require_trained, served_models
from recsys import columns as c
from recsys import tables
from recsys.errors import ConfigError, InputError
from recsys.evaluation.list_quality import LIST_METRICS
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.lake.store import Lake
from recsys.metrics import METRICS
from recsys.stages import Figures, Run, fingerprint, run_stage
from recsys.training import interactions
from recsys.training import run as training_run
from recsys.training.workers import OneWorker
from tests.feature_rows import write_rows
from tests.jobs import test_interactions
from tests.small_lake import ITEMS, USERS
from tests.trained_lake import COLD, copied, register_model

BOTH = ("score.models=[mlp,item_knn]", "score.top_n=4")
BLOCKED = ITEMS[8]  # which every other user bought, and not lately


@pytest.fixture(scope="module")
def lake(trained_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With a training of another model for the same day, after that of mlp."""

    def in_this_process(_: Any, arguments: Sequence[Any], **__: Any) -> list[Any]:
        return [interactions.train_on_pairs(*arguments, OneWorker())]

    lake = copied(trained_lake, tmp_path_factory.mktemp("fusion") / "lake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "run_on_spark", in_this_process)
        run_stage(train.STAGE, run_of(lake, "train.model=item_knn"))
    return lake


def run_of(lake: Lake, *overrides: str) -> Run:
    return test_interactions.run_of(lake, "mlp", *overrides)


@pytest.fixture(scope="module")
def ruled(lake: Lake) -> Run:
    """Under a rule that blocks an item, and without what users bought in the last label window."""
    write_rows(lake, tables.BUSINESS_RULES, [{c.RULE_ID: "gone", c.KIND: "block", c.ITEM_IDS: [BLOCKED]}])
    return run_of(lake, *BOTH, "score.exclude_bought_days={home: 28}")


@pytest.fixture(scope="module")
def first(ruled: Run) -> Figures:
    return run_stage(score.STAGE, ruled).figures


def lists_of(lake: Lake) -> DataFrame:
    return lake.read(tables.TOP_N).drop(c.RUN_ID)


@pytest.mark.long
def test_the_lists_of_both_models_are_one_and_say_so(lake: Lake, first: Figures) -> None:
    known, all_users = len(USERS), len(USERS) + 1
    assert (first[c.ROWS], first["users"]) == (4 * all_users, all_users)
    lately = 4 * known  # left out: what each user bought in the last two windows, which item_knn counts all the same
    assert first["pairs"] == all_users * len(ITEMS) - lately + known * len(ITEMS)
    rows = lists_of(lake).collect()
    assert {(row[c.MODEL_NAME], row[c.MODEL_VERSION]) for row in rows} == {("recsys-mlp/1+recsys-item_knn/1", None)}
    assert {row[c.SOURCE] for row in rows if row[c.USER_ID] == COLD} == {"mlp"}, "item_knn does not know the user"
    sources = {row[c.SOURCE] for row in rows if row[c.USER_ID] != COLD}
    assert "mlp+item_knn" in sources <= {"mlp", "item_knn", "mlp+item_knn"}
    assert {(row[c.REASON], row[c.REASON_EN], tuple(row[c.EVIDENCE])) for row in rows} == {
        ("similar_taste", "We expect that you like it.", ())
    }
    assert all(0 < row[c.SCORE] <= 2 / 61 + 1e-9 for row in rows)


@pytest.mark.long
@pytest.mark.usefixtures("first")
def test_no_blocked_item_and_nothing_left_out_comes_in_by_fusion(lake: Lake, ruled: Run) -> None:
    since = ruled.day - timedelta(days=28)
    events = lake.read(tables.EVENTS).where(F.col(c.EVENT_DATE) >= F.lit(since)).collect()
    bought = {(row[c.USER_ID], row[c.ITEM_ID]) for row in events}
    listed = {(row[c.USER_ID], row[c.ITEM_ID]) for row in lists_of(lake).collect()}
    assert {user for user, _ in listed} == {*USERS, COLD}
    assert BLOCKED not in {item for _, item in listed}
    assert bought
    assert not bought & listed
    (told,) = lake.read(tables.RULE_AUDIT).collect()
    assert (told[c.RULE_ID], told[c.NUM_ROWS]) == ("gone", 0)
    assert told[c.NUM_USERS_CHANGED] > 3, "without the rule the item would be listed"


@pytest.mark.long
def test_a_second_run_gives_equal_lists_whatever_the_number_of_partitions(
    lake: Lake, ruled: Run, first: Figures
) -> None:
    lists = lists_of(lake).localCheckpoint()
    lake.spark.conf.set("spark.sql.shuffle.partitions", "7")
    again = run_stage(score.STAGE, ruled).figures
    lake.spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert_df_equality(lists_of(lake), lists, ignore_row_order=True)
    assert {**first, "pairs_per_s": 0} == {**again, "pairs_per_s": 0}


@pytest.mark.long
def test_a_training_of_another_model_leaves_the_one_before(lake: Lake, tmp_path: Path) -> None:
    run = run_of(lake, *BOTH)
    assert newest_model(run).name == "recsys-item_knn"
    assert [(one.name, one.version, one.family) for one in served_models(run)] == [
        ("recsys-mlp", 1, "features"),
        ("recsys-item_knn", 1, "closed_form"),
    ]
    assert served_models(run_of(lake, "score.models=[item_knn]")) == (newest_model(run),)
    assert [one.name for one in served_models(run_of(lake, "score.models=[mlp]"))] == ["recsys-mlp"]

    other = copied(lake, tmp_path / "lake")
    assert register_model(other, seed=2) == 2
    again = run_of(other, *BOTH)
    assert [(one.name, one.version) for one in served_models(again)] == [("recsys-mlp", 2), ("recsys-item_knn", 1)]
    for stage in (score.STAGE, evaluate.STAGE):
        assert fingerprint(stage, again) != fingerprint(stage, run), "a stage runs again for a new version of either"


def test_evaluation_depends_on_how_models_are_fused_and_on_nothing_else_of_scoring(lake: Lake) -> None:
    known = fingerprint(evaluate.STAGE, run_of(lake, *BOTH))
    assert fingerprint(evaluate.STAGE, run_of(lake, BOTH[0], "score.top_n=9")) == known
    assert fingerprint(evaluate.STAGE, run_of(lake, BOTH[0], "score.fusion=vote")) != known
    assert fingerprint(evaluate.STAGE, run_of(lake, "score.models=[item_knn,mlp]")) != known


def test_a_model_without_a_training_is_refused_with_those_that_have_one(lake: Lake) -> None:
    run = run_of(lake, "score.models=[mlp,lightgcn]")
    message = (
        r"score.models names \['lightgcn'\], of which no training is recorded in .* for 2017-12-18 or a day before; "
        r"models with one: \['item_knn', 'mlp'\]. Cure: run the job train with train.model=lightgcn"
    )
    for refused in (lambda: run_stage(score.STAGE, run), lambda: run_stage(evaluate.STAGE, run)):
        with pytest.raises(InputError, match=message):
            refused()
    too_early = replace(run_of(lake, *BOTH), run_date=run.day - timedelta(days=1))
    with pytest.raises(InputError, match=r"\['mlp', 'item_knn'\], of which .* models with one: \[\]"):
        run_stage(score.STAGE, too_early)


def test_a_pipeline_is_refused_at_its_start_but_for_the_model_that_it_trains(lake: Lake, tmp_path: Path) -> None:
    empty = Lake(lake.spark, str(tmp_path / "lake"))
    require_trained(replace(run_of(empty, "score.models=[mlp]"), run_date=None))
    with pytest.raises(InputError, match=r"names \['item_knn'\], of which no training .*lake; models with one: \[\]"):
        score.STAGE.check(replace(run_of(empty, *BOTH), run_date=None))


@pytest.mark.long
def test_fused_lists_are_measured_beside_those_of_each_model(lake: Lake) -> None:
    figures = run_stage(evaluate.STAGE, run_of(lake, *BOTH)).figures
    fused = measured(lake)
    # Fused, two models and two baselines; differences from four; what the lists of five are like; candidate recall.
    assert figures[c.ROWS] == 3 * (9 * len(METRICS) + 5 * len(LIST_METRICS) + 1)
    assert figures["candidates"].startswith("own 250, category 150, popular 150 and all items")
    assert figures["models"] == ["recsys-mlp/1", "recsys-item_knn/1"]
    assert fused["model"][c.MODEL_NAME] == fused["model-model_mlp"][c.MODEL_NAME] == "recsys-mlp/1+recsys-item_knn/1"
    assert (fused["model_mlp"][c.MODEL_NAME], fused["model_mlp"][c.MODEL_VERSION]) == ("recsys-mlp", 1)
    assert fused["popular"][c.MODEL_NAME] is None
    difference = fused["model"]["ndcg"] - fused["model_mlp"]["ndcg"]
    assert fused["model-model_mlp"]["ndcg"] == pytest.approx(difference, abs=2e-6)
    published = run_stage(score.STAGE, run_of(lake, *BOTH)).figures
    assert published["candidate_recall"] == figures["candidate_recall"] == 1.0
    for name in ("mlp", "item_knn"):
        run_stage(evaluate.STAGE, run_of(lake, f"score.models=[{name}]"))
        alone = measured(lake)["model"]
        assert {metric: alone[metric] for metric in METRICS} == {m: fused[f"model_{name}"][m] for m in METRICS}


def measured(lake: Lake) -> dict[str, dict[str, Any]]:
    """By recommender, its values of lists with repeats, and the model."""
    found: dict[str, dict[str, Any]] = {}
    for row in lake.read(tables.METRICS).where(F.col(c.LIST_KIND) == REPEATS_ALLOWED).collect():
        named = {name: row[name] for name in (c.MODEL_NAME, c.MODEL_VERSION)}
        found.setdefault(row[c.RECOMMENDER], named)[row[c.METRIC]] = row[c.VALUE]
    return found


@pytest.mark.long
@pytest.mark.parametrize("fusion", ["mean", "weighted", "vote"])
def test_every_fusion_goes_through_the_job(lake: Lake, fusion: str) -> None:
    weights = ["score.fusion_weights={mlp: 1, item_knn: 3}"] if fusion == "weighted" else []
    shaping = ("score.diversity=mmr", "score.scene=other")
    run_stage(score.STAGE, run_of(lake, *BOTH, f"score.fusion={fusion}", *weights, *shaping))
    rows = lake.read(tables.TOP_N).where(F.col(c.SCENE) == "other").collect()
    assert len(rows) == 4 * (len(USERS) + 1)
    assert all(0 <= row[c.SCORE] <= (2.5 if fusion == "vote" else 1) for row in rows)


def test_diversity_by_vectors_of_models_without_is_refused(lake: Lake) -> None:
    run = run_of(lake, *BOTH, "score.diversity=mmr", "score.diversity_by=vector")
    with pytest.raises(ConfigError, match=r"the model recsys-mlp and recsys-item_knn has no vectors of items"):
        run_stage(score.STAGE, run)
