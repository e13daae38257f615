"""The earlier version that a training starts from: looked at here, handed to the workers through the lake."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import functions as F

from jobs._learning import checkpoints
from recsys import columns as c
from recsys import tables, tracking
from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.examples.assemble import UNKNOWN_IDX
from recsys.families import FACTORS, FEATURES, HISTORIES, TOWERS
from recsys.features.item_text import TEXTS
from recsys.features.item_words import item_words
from recsys.lake.interaction_files import write_start_files
from recsys.manifest import Inputs
from recsys.models.registry import Spec, names_of
from recsys.stages import Run
from recsys.training.transfer import Start, copy_weights, require_startable

READS = (tables.ITEMS, tables.ITEM_IDS, tables.CATEGORY_IDS)
# Of an item's text, the first ones; words share numbers by hash.
_WORDS, _WORD_BUCKETS = 12, 2**16
_FAMILIES = (FEATURES, FACTORS, HISTORIES, TOWERS)


def require_may_start(spec: Spec, config: TrainConfig) -> None:
    if config.start_from is not None and spec.family not in _FAMILIES:
        raise ConfigError(
            f"train.start_from is {config.start_from}, and {spec.name}, a model of {spec.family}, starts from nothing. "
            f"Cure: train.start_from=null, or one of {names_of(*_FAMILIES)}"
        )


def start_of(run: Run, spec: Spec, sizes: Mapping[str, int], inputs: Inputs | None = None) -> Start | None:
    """None where the settings name none. Raises a UserError, before anything is written, where it does not fit.

    What it writes lies beside the checkpoints, and is gone with them once the model is registered.
    """
    if run.config.train.start_from is None:
        return None
    name, _, version = run.config.train.start_from.partition("/")
    registry = tracking.registry_of(run.config.tracking, run.lake.root)
    target = f"{checkpoints(run)}/start"
    with tempfile.TemporaryDirectory() as folder:
        exported = tracking.download_model(registry, name, int(version), Path(folder) / "download")
        require_startable(exported, spec, sizes, inputs)
        copy_weights(exported, target)
    return Start(folder=target, items=_item_files(run, f"{target}/items"))


def sizes_of(inputs: Inputs) -> dict[str, int]:
    return {vocabulary.name: vocabulary.size for vocabulary in inputs.ids}


def _item_files(run: Run, folder: str) -> tuple[str, ...]:
    read = run.lake.read
    of_category = read(tables.ITEMS).join(read(tables.CATEGORY_IDS), on=c.CATEGORY, how="left")
    category_idx = F.coalesce(c.CATEGORY_IDX, F.lit(UNKNOWN_IDX)).cast("int").alias(c.CATEGORY_IDX)
    # Without a name an item says no more than its category does.
    is_named = F.col(c.NAME).isNotNull()
    texts = read(tables.ITEMS).withColumns({name: F.when(is_named, F.col(name)) for name in TEXTS})
    words = item_words(texts, buckets=_WORD_BUCKETS, count=_WORDS)
    rows = of_category.select(c.ITEM_ID, category_idx).join(words, on=c.ITEM_ID, how="inner")
    return write_start_files(run.lake, folder, rows.join(read(tables.ITEM_IDS), on=c.ITEM_ID, how="inner"))
