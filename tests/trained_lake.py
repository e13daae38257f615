"""The small lake with the features that evaluate and score read, and a tiny network in its model registry."""

import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from recsys import columns as c
from recsys import tables, tracking
from recsys.families import FACTORS
from recsys.lake import runs
from recsys.lake.store import Lake
from recsys.models.factors import FactorScores
from recsys.models.interactions import Known
from recsys.models.registry import model_spec
from recsys.tracking import Registry, TrainingRecord
from recsys.training.export import save_model, state_bytes
from recsys.training.recommenders import RANKER_RECORD, save_recommender
from tests.example_sets import inputs_of
from tests.small_lake import DAYS, ITEMS, RUN_DATE, USERS, write_small_lake

COLD = "cold"  # without history and without an index
OPTED_OUT = "gone"
MODEL_NAME = tracking.registered_name("mlp")


def write_trained_lake(spark: SparkSession, root: str) -> Lake:
    more_users = [{c.USER_ID: COLD, c.IS_OPTED_OUT: False}, {c.USER_ID: OPTED_OUT, c.IS_OPTED_OUT: True}]
    days = (*DAYS.train, DAYS.validation, DAYS.test, RUN_DATE)
    lake = write_small_lake(spark, root, feature_days=days, more_users=more_users)
    register_model(lake, seed=1)
    return lake


def copied(lake: Lake, root: Path) -> Lake:
    """A copy to write to; its registry reads the model files of the original."""
    shutil.copytree(lake.root, root)
    return Lake(lake.spark, str(root))


def require_lists_by_taste(lake: Lake) -> None:
    """In recs.top_n of the run date: each user's best is what the user likes; who is not known gets popular items."""
    lists = lake.read(tables.TOP_N).where(F.col(c.RUN_DATE) == F.lit(RUN_DATE))
    first = {row[c.USER_ID]: row[c.ITEM_ID] for row in lists.where(F.col(c.RANK) == 1).collect()}
    assert all(int(first[user][1:]) % 2 == int(user[1:]) % 2 for user in USERS), "even users like even items"
    rows = lists.collect()
    assert {(row[c.USER_ID] == COLD, row[c.SOURCE]) for row in rows} == {(False, "all"), (True, "popular")}
    require_true_reasons(lake, rows)
    assert first[COLD] == ITEMS[0]


def require_true_reasons(lake: Lake, rows: list[Row]) -> None:
    """Nothing is said that the user has not done, and each contribution is one; names are item ids here."""
    events = lake.read(tables.EVENTS).where(F.col(c.EVENT_DATE) < F.lit(RUN_DATE))
    done = {(row[c.USER_ID], row[c.ITEM_ID]) for row in events.collect()}
    features = lake.read(tables.USER_ITEM_FEATURES).collect()
    done |= {(row[c.USER_ID], row[c.ITEM_ID]) for row in features}
    for row in rows:
        own = [one for one in row[c.EVIDENCE] if one["kind"] in ("bought", "viewed", "taken")]
        assert {(row[c.USER_ID], one["id"]) for one in own} <= done
        assert all(one["id"] in row[c.REASON_EN] and one["id"] in row[c.REASON_ZH] for one in own)
        assert all(one[c.CONTRIBUTION] > 0 for one in own)
        assert row[c.REASON_EN]
        assert row[c.REASON_ZH]


def tracking_uri(lake: Lake) -> str:
    """Given by name, so that no test depends on the variable that MLflow sets for the whole process."""
    return f"sqlite:///{lake.root}/mlflow.db"


def register_factors(lake: Lake, seed: int) -> int:
    """A version of mf with random vectors; it knows all users but the last, and all items. Recorded as the training of
    the run date."""
    generator = np.random.default_rng(seed)
    user_UD, item_ID = (generator.normal(size=(len(ids), 4)).astype(np.float32) for ids in (USERS, ITEMS))
    known = Known(user_U=np.arange(len(USERS)) < len(USERS) - 1, item_I=np.ones(len(ITEMS), dtype=np.bool_))
    with TemporaryDirectory() as folder:
        exported, name = Path(folder) / "exported", tracking.registered_name("mf")
        save_recommender(exported, "mf", FactorScores(user_UD=user_UD, item_ID=item_ID), known)
        record = TrainingRecord(
            name=name, fingerprint=f"seed {seed}", params={}, tags={}, curve=[], model_folder=exported, **RANKER_RECORD
        )
        version = tracking.log_and_register(registry_of(lake), record).version
    figures = {c.MODEL_NAME: name, c.MODEL_VERSION: version, c.FAMILY: FACTORS}
    runs.record(lake, "train", RUN_DATE, f"seed {seed}", 1.0, {}, figures)
    return version


def registry_of(lake: Lake) -> Registry:
    return Registry(uri=tracking_uri(lake), artifact_root=f"{lake.root}/mlflow", experiment="recsys")


def register_model(lake: Lake, seed: int) -> int:
    """The next version, with random weights; recorded as the training of the run date."""
    config = {"id_dim": 2, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0}
    spec, inputs = model_spec("mlp", config), inputs_of(len(USERS), len(ITEMS), 2)
    torch.manual_seed(seed)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's remarks on type hints
        save_model(Path(folder) / "exported", spec, inputs, state_bytes(spec.build(inputs)))
        record = TrainingRecord(
            name=MODEL_NAME,
            fingerprint=f"seed {seed}",
            params={},
            tags={},
            curve=[],
            model_folder=Path(folder) / "exported",
        )
        version = tracking.log_and_register(registry_of(lake), record).version
    figures = {c.MODEL_NAME: MODEL_NAME, c.MODEL_VERSION: version}
    runs.record(lake, "train", RUN_DATE, f"seed {seed}", 1.0, {}, figures)
    return version
