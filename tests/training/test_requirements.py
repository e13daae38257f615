from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import columns as c
from recsys.config import CONF_FOLDER, TrainConfig, load_config
from recsys.errors import ConfigError, InputError, SchemaError
from recsys.families import FACTORS, FEATURES, TOWERS
from recsys.manifest import Inputs, Manifest, Vocabulary
from recsys.models.interactions import interaction_matrix
from recsys.models.nodes import Graph, edges_alone
from recsys.models.registry import model_settings, model_spec, names_of
from recsys.training.objective import require_users_to_rank
from recsys.training.requirements import require_files, require_memory
from recsys.training.transfer import shapes_of_factors
from tests.example_sets import inputs_of, write_random_set

SPEC = model_spec("mlp", {"id_dim": 64, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0})


def config(**changes: Any) -> TrainConfig:
    return replace(load_config([]).train, **changes)


def sizes_of(inputs: Inputs) -> dict[str, int]:
    return {vocabulary.name: vocabulary.size for vocabulary in inputs.ids}


@pytest.mark.parametrize(("optimizer", "needed_mb"), [("adamw", "12,207"), ("sgd", "9,766")])
def test_tables_too_large_for_memory_are_refused_with_the_estimate(optimizer: str, needed_mb: str) -> None:
    # Ten million rows of 64 numbers of four bytes: 2,441 MiB of weights; in all five times that, four with sgd.
    inputs = inputs_of(9_000_000, 1_000_000, 3)
    message = rf"take 2,441 MiB \(.*user_idx 9,000,000.*needs {needed_mb} MiB.*may need 9,000 MiB.*Cure: smaller dim"
    with pytest.raises(ConfigError, match=message):
        require_memory(SPEC, inputs, sizes_of(inputs), config(worker_memory_mb=9000, optimizer=optimizer))
    require_memory(SPEC, inputs, sizes_of(inputs), config(worker_memory_mb=12_300, optimizer=optimizer))


def test_tables_that_are_only_read_count_once() -> None:
    inputs = inputs_of(9_000_000, 1_000_000, 3)
    require_memory(SPEC, inputs, sizes_of(inputs), config(worker_memory_mb=12_300), 90)
    with pytest.raises(ConfigError, match=r"needs 12,307 MiB.*; 100 MiB of it are for text vectors \(none: text_v"):
        require_memory(SPEC, inputs, sizes_of(inputs), config(worker_memory_mb=12_300), 100)


def test_without_a_setting_workers_share_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Free", (), {"available": 100 << 20})
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    inputs = inputs_of(50_000, 1, 1)  # 12 MiB of weights, 61 in all
    require_memory(SPEC, inputs, sizes_of(inputs), config(workers=1))
    with pytest.raises(ConfigError, match=r"may need 50 MiB \(its share of this machine's free memory\)"):
        require_memory(SPEC, inputs, sizes_of(inputs), config(workers=2))


def test_every_model_is_estimated_without_taking_memory() -> None:
    inputs = inputs_of(10**12, 1, 1)
    for name in names_of(FEATURES, TOWERS):
        spec = model_spec(name, model_settings(CONF_FOLDER / "models" / f"{name}.yaml")[0])
        with pytest.raises(ConfigError, match=rf"the parameters of {name} take [\d,]+ MiB"):
            require_memory(spec, inputs, sizes_of(inputs), config(worker_memory_mb=1000))


@pytest.mark.parametrize("name", names_of(FACTORS))
def test_models_of_interactions_are_estimated_by_their_vocabularies_alone(name: str) -> None:
    settings, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    sizes = {c.USER_IDX: 10**9, c.ITEM_IDX: 10**9, c.CATEGORY_IDX: 10**9}
    with pytest.raises(ConfigError, match=rf"the parameters of {name} take [\d,]+ MiB"):
        require_memory(model_spec(name, settings), None, sizes, config(worker_memory_mb=1000))
    small = {**settings, "initial": "random", "teacher": None}
    spec = model_spec(name, small if "teacher" in settings else {**settings, "initial": "random"})
    matrix = interaction_matrix(np.array([0, 4]), np.array([1, 2]), users=5, items=7)
    nodes = replace(edges_alone(matrix).nodes, categories=3)
    network = spec.build(Graph(matrix_UI=matrix, nodes=nodes) if spec.reads_nodes else matrix)
    expected = [tuple(parameter.shape) for parameter in network.parameters()]
    assert shapes_of_factors(spec, {c.USER_IDX: 5, c.ITEM_IDX: 7, c.CATEGORY_IDX: 3}) == expected


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write_random_set(tmp_path, [30, 11], [20])


def test_files_that_hold_what_is_planned_pass(tmp_path: Path, manifest: Manifest) -> None:
    require_files(str(tmp_path), manifest)
    require_files(f"file:{tmp_path}", manifest)


def test_ids_outside_the_vocabulary_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    ids = (replace(manifest.inputs.ids[0], size=40), *manifest.inputs.ids[1:])
    smaller = replace(manifest, inputs=replace(manifest.inputs, ids=ids))
    message = r"train/00001.parquet has user_idx up to 40, outside the vocabulary of 40 \(0 to 39; -1.*Cure: run build"
    with pytest.raises(InputError, match=message):
        require_files(str(tmp_path), smaller)


def test_unknown_ids_and_files_without_statistics_pass(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / manifest.train.row_groups[1].file
    table = pq.read_table(path)
    unknown = pa.array(np.full(11, -1, dtype=np.int32))
    changed = table.set_column(table.schema.get_field_index(c.ITEM_IDX), c.ITEM_IDX, unknown)
    pq.write_table(changed, path, write_statistics=False)
    ids = (Vocabulary(name=c.USER_IDX, size=30), *manifest.inputs.ids[1:])
    require_files(str(tmp_path), replace(manifest, inputs=replace(manifest.inputs, ids=ids)))


def test_a_file_that_lacks_a_feature_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / manifest.validation.row_groups[0].file
    pq.write_table(pq.read_table(path).drop_columns([c.USER_HEAT_28D]), path)
    with pytest.raises(SchemaError, match=r"validation/00000.parquet lacks \['user_heat_28d'\]; it has .*Cure: run"):
        require_files(str(tmp_path), manifest)


def test_a_file_of_another_length_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / manifest.train.row_groups[0].file
    pq.write_table(pq.read_table(path).slice(0, 29), path)
    with pytest.raises(InputError, match=r"train/00000.parquet has 29 rows where the manifest plans 30. Cure: run"):
        require_files(str(tmp_path), manifest)


def test_a_missing_file_is_named(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / manifest.train.row_groups[0].file).unlink()
    with pytest.raises(InputError, match=r"train/00000.parquet cannot be read: .*Cure: run build_examples again"):
        require_files(str(tmp_path), manifest)


def test_a_ranking_without_users_to_rank_is_refused() -> None:
    message = (
        r"train.best_by is validation_ndcg, but examples.ranked_users is 0, .*Cure: .* or train.best_by=validation_"
    )
    for family in (FEATURES, TOWERS):
        with pytest.raises(ConfigError, match=message):
            require_users_to_rank(family, "validation_ndcg", 0)
        require_users_to_rank(family, "validation_ndcg", 1)
        require_users_to_rank(family, "validation_auc", 0)
    require_users_to_rank(FACTORS, "validation_ndcg", 0)
