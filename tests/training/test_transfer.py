"""Known ids keep their vectors, new items begin by their words or as the mean of their category; what does not fit is
refused."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from recsys import columns as c
from recsys.config import CONF_FOLDER, load_config
from recsys.errors import ConfigError, InputError
from recsys.families import FACTORS, FEATURES, HISTORIES, TOWERS
from recsys.manifest import Inputs
from recsys.models.interactions import interaction_matrix, known_of
from recsys.models.nodes import edges_alone
from recsys.models.popular import Popular
from recsys.models.registry import Spec, model_settings, model_spec, names_of
from recsys.training.export import save_model, state_bytes
from recsys.training.history_ranker import save_history_model
from recsys.training.interactions import PairTask, train_on_pairs
from recsys.training.pair_files import write_pair_files
from recsys.training.recommenders import save_recommender
from recsys.training.run import TrainingTask, train_with
from recsys.training.sequence_files import write_sequence_files
from recsys.training.sequences import SequenceTask, train_on_sequences
from recsys.training.transfer import Items, Start, copy_weights, grown, require_startable, started, table_of, take_over
from recsys.training.workers import OneWorker
from tests.example_sets import inputs_of, write_random_set

OLD, NEW = (4, 5, 2), (6, 8, 3)  # users, items, categories
SIZES = dict(zip((c.USER_IDX, c.ITEM_IDX, c.CATEGORY_IDX), NEW, strict=True))
CATEGORY_I = np.array([0, 0, 1, 1, -1, 0, -1, 2])  # of the eight items; the last three are new
# The last one says what the fourth says, the others say nothing.
WORDS_IW = np.array([[0, 0], [0, 0], [0, 0], [3, 9], [0, 0], [0, 0], [0, 0], [9, 3]])
MLP = {"id_dim": 4, "category_dim": 2, "hidden": [3], "dropout": 0.0, "hidden_ids": 0.0}
EVERY_MODEL = pytest.mark.parametrize("name", names_of(FEATURES, TOWERS, FACTORS, HISTORIES))


def shipped(name: str, **changes: Any) -> Spec:
    settings, _ = model_settings(CONF_FOLDER / "models" / f"{name}.yaml")
    small = {"initial": "random", "teacher": None} if name in names_of(FACTORS) else {}
    if name == "ultragcn":
        small = {"initial": "random", "item_neighbours": 2}
    return model_spec(name, {**settings, **small, **changes})


def network_of(spec: Spec, size: tuple[int, int, int]) -> nn.Module:
    users, items, categories = size
    if spec.family == HISTORIES:
        of_histories: nn.Module = spec.build(items)
        return of_histories
    if spec.family != FACTORS:
        built: nn.Module = spec.build(inputs_of(*size, neighbours=2 if spec.reads_neighbours else 0))
        return built
    both = np.arange(min(users, items))
    matrix = interaction_matrix(both, both, users=users, items=items)
    graph = edges_alone(matrix)
    nodes = replace(graph.nodes, categories=categories)
    return spec.build(replace(graph, nodes=nodes) if spec.reads_nodes else matrix)


def exported(folder: Path, spec: Spec, network: nn.Module, inputs: Inputs | None = None) -> Path:
    if inputs is not None:
        save_model(folder, spec, inputs, state_bytes(network))
    elif spec.family == HISTORIES:
        save_history_model(folder, spec, state_bytes(network), np.ones(5, dtype=np.bool_))
    else:
        matrix = interaction_matrix(np.arange(4), np.arange(4), users=4, items=5)
        save_recommender(folder, spec.name, network.fitted(), known_of(matrix), state_bytes(network))
    return folder


def test_new_rows_are_means_of_their_group_or_of_all() -> None:
    known_XD = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0], [8.0, 0.0], [6.0, 6.0], [7.0, 8.0]])
    whole_XD = grown(known_XD, 9, CATEGORY_I, before=1)
    # Category 0 has the rows (1, 2) and (3, 4); no category, and category 2, which no known item has: of all five.
    assert whole_XD[:6].equal(known_XD)
    assert whole_XD[6:].tolist() == [[2.0, 3.0], [5.0, 4.0], [5.0, 4.0]]


def test_ids_beyond_the_groups_and_tables_without_known_rows_have_a_start_too() -> None:
    assert grown(torch.tensor([[2.0], [4.0]]), 4, np.array([0]), before=0).tolist() == [[2.0], [4.0], [3.0], [3.0]]
    assert grown(torch.zeros(1, 2), 3, np.empty(0, dtype=np.int64), before=1).tolist() == [[0.0, 0.0]] * 3


@EVERY_MODEL
def test_every_model_starts_from_a_smaller_one_of_its_kind(name: str) -> None:
    torch.manual_seed(1)
    spec = shipped(name)
    old, new = network_of(spec, OLD), network_of(spec, NEW)
    take_over(new, old.state_dict(), Items(CATEGORY_I, WORDS_IW))
    parameters, tables = dict(new.named_parameters()), 0
    for parameter, known in old.named_parameters():
        assert parameters[parameter][: len(known)].equal(known), parameter
        table = table_of(parameter)
        assert (table is not None) == (known.shape != parameters[parameter].shape), parameter
        tables += table is not None
        if table is not None and table.vocabulary == c.ITEM_IDX:
            of_category = known[table.before :][[0, 1]].mean(dim=0)
            assert torch.allclose(parameters[parameter][table.before + 5], of_category, atol=1e-6), parameter
            alike = known[table.before + 3]
            assert torch.allclose(parameters[parameter][table.before + 7], alike, atol=1e-6), parameter
    assert tables >= (1 if spec.family == HISTORIES else 2)


@EVERY_MODEL
def test_every_model_that_fits_is_taken(name: str, tmp_path: Path) -> None:
    spec = shipped(name)
    inputs = (
        None if spec.family in (FACTORS, HISTORIES) else inputs_of(*OLD, neighbours=2 if spec.reads_neighbours else 0)
    )
    folder = exported(tmp_path / "model", spec, network_of(spec, OLD), inputs)
    require_startable(folder, spec, SIZES, inputs)


@pytest.mark.parametrize(
    ("name", "changes", "sizes", "error", "message"),
    [
        (
            "wide_and_deep",
            {},
            {},
            ConfigError,
            r"names a model mlp, expected wide_and_deep. Cure: train.start_from of a",
        ),
        (
            "mlp",
            {"id_dim": 8},
            {},
            ConfigError,
            r"embeddings.tables.0.weight is \(5, 4\), expected \(2, 8\), where the width",
        ),
        (
            "mlp",
            {"hidden": [7]},
            {},
            ConfigError,
            r"layers.0.weight is \(3, \d+\), expected \(7, \d+\), where its shape",
        ),
        ("mlp", {}, {c.ITEM_IDX: 4}, InputError, r"knows 5 values of item_idx, expected at most the 4 of this lake"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, changes: dict[str, Any], sizes: Mapping[str, int], error: type[Exception], message: str, tmp_path: Path
) -> None:
    spec, inputs = model_spec("mlp", MLP), inputs_of(*OLD)
    folder = exported(tmp_path / "model", spec, network_of(spec, OLD), inputs)
    wanted = model_spec("mlp", {**MLP, **changes}) if name == "mlp" else shipped(name)
    with pytest.raises(error, match=message):
        require_startable(folder, wanted, {**SIZES, **sizes}, inputs)


def test_vectors_of_another_width_are_refused_for_interactions_too(tmp_path: Path) -> None:
    spec = shipped("mf", dim=4)
    folder = exported(tmp_path / "model", spec, network_of(spec, OLD))
    with pytest.raises(
        ConfigError, match=r"whose user_UD is \(4, 4\), expected \(2, 8\), where the width of its vectors"
    ):
        require_startable(folder, shipped("mf", dim=8), SIZES)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    spec, inputs = model_spec("mlp", MLP), inputs_of(*OLD)
    folder = exported(tmp_path / "model", spec, network_of(spec, OLD), inputs)
    last = inputs.numeric[-1].name
    fewer = replace(inputs, numeric=inputs.numeric[:-1], left_out=(last,))
    with pytest.raises(ConfigError, match=rf"other columns than the example files: it lacks \[\] and has \['{last}'\]"):
        require_startable(folder, spec, SIZES, fewer)


def test_a_version_without_weights_is_refused(tmp_path: Path) -> None:
    matrix = interaction_matrix(np.arange(2), np.arange(2), users=2, items=2)
    save_recommender(tmp_path, "popular", Popular(degree_I=np.ones(2, dtype=np.float32)), known_of(matrix))
    with pytest.raises(InputError, match=r"names a version without weights.pt. Cure: train that version again, or"):
        require_startable(tmp_path, shipped("mf"), SIZES)


def test_files_that_hold_code_are_refused_instead_of_run(tmp_path: Path) -> None:
    spec, inputs = model_spec("mlp", MLP), inputs_of(*OLD)
    folder = exported(tmp_path / "model", spec, network_of(spec, OLD), inputs)
    torch.save({"anything": Path("code")}, folder / "weights.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        require_startable(folder, spec, SIZES, inputs)


def start_of(folder: Path, exported_folder: Path) -> Start:
    """As the train job hands it to the workers."""
    copy_weights(exported_folder, str(folder / "start"))
    copy_weights(exported_folder, str(folder / "start"))  # again, after a training that broke
    words = pa.array(WORDS_IW.tolist(), pa.list_(pa.int32()))
    table = pa.table({c.ITEM_IDX: np.arange(len(CATEGORY_I)), c.CATEGORY_IDX: CATEGORY_I, c.ITEM_WORDS: words})
    for part, rows in (("first", table.slice(0, 3)), ("second", table.slice(3))):
        pq.write_table(rows, folder / f"{part}.parquet")
    return Start(folder=str(folder / "start"), items=(str(folder / "first.parquet"), str(folder / "second.parquet")))


def test_without_a_start_nothing_changes() -> None:
    network = network_of(model_spec("mlp", MLP), OLD)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert all(tensor.equal(before[name]) for name, tensor in started(None, network).state_dict().items())


STILL = replace(load_config([]).train, epochs=1, learning_rate=1e-9, weight_decay=0.0, device="cpu", workers=1)


def test_a_training_of_features_begins_where_the_earlier_one_ended(tmp_path: Path) -> None:
    """With next to no learning rate it also ends there; statistics of the inputs are those of the new files."""
    spec = model_spec("mlp", MLP)
    manifest = write_random_set(tmp_path / "set", [40, 40], [20])
    inputs = inputs_of(80, 40, 3)
    older = replace(inputs, ids=tuple(replace(i, size=s) for i, s in zip(inputs.ids, (70, 5, 3), strict=True)))
    torch.manual_seed(3)
    old: nn.Module = spec.build(older)
    start = start_of(tmp_path, exported(tmp_path / "old", spec, old, older))
    task = TrainingTask(spec=spec, config=STILL, folder=str(tmp_path / "set"), manifest=manifest, start=start)
    state = torch.load(io.BytesIO(train_with(task, OneWorker()).state), weights_only=True)
    items = "embeddings.tables.1.weight"
    assert state[items].shape == (41, 4)
    assert torch.allclose(state[items][:6], old.state_dict()[items], atol=1e-6)
    assert torch.allclose(state[items][6], old.state_dict()[items][1:3].mean(dim=0), atol=1e-6)
    assert torch.allclose(state["layers.0.weight"], old.state_dict()["layers.0.weight"], atol=1e-6)


@pytest.mark.parametrize("name", ["mf", "gcn"])
def test_a_training_of_interactions_begins_where_the_earlier_one_ended(name: str, tmp_path: Path) -> None:
    spec = shipped(name, dim=4, negatives=4)
    torch.manual_seed(3)
    old = network_of(spec, (4, 5, 0))
    start = start_of(tmp_path, exported(tmp_path / "old", spec, old))
    row_groups = write_pair_files(tmp_path / "pairs", np.arange(6), np.arange(6), row_groups=1, seed=1)
    config = replace(STILL, best_by="validation_ndcg")
    task = PairTask(
        spec=spec, config=config, folder=str(tmp_path / "pairs"), row_groups=row_groups, users=6, items=8, start=start
    )
    trained = train_on_pairs(task, OneWorker())
    state = torch.load(io.BytesIO(trained.state), weights_only=True)
    known_ID, known_UD = old.state_dict()["item_ID"], old.state_dict()["user_UD"]
    assert torch.allclose(state["item_ID"][:5], known_ID, atol=1e-6)
    assert torch.allclose(
        state["item_ID"][5:], torch.stack([known_ID[:2].mean(0), known_ID.mean(0), known_ID[3]]), atol=1e-6
    )
    assert torch.allclose(state["user_UD"][4:], known_UD.mean(dim=0).expand(2, 4), atol=1e-6)


def test_a_training_of_histories_begins_where_the_earlier_one_ended(tmp_path: Path) -> None:
    spec = shipped("gru", dim=4, hidden=4, history=3, negatives=2)
    torch.manual_seed(3)
    old = network_of(spec, OLD)
    start = start_of(tmp_path, exported(tmp_path / "old", spec, old))
    rows = np.array([[1, 8, 3, 4], [5, 6, 0, 0], [7, 2, 1, 0]])
    train, validation = (
        write_sequence_files(tmp_path, part, rows, row_groups=1, seed=1) for part in ("train", "validation")
    )
    task = SequenceTask(
        spec=spec, config=replace(STILL, best_by="validation_ndcg"), folder=str(tmp_path), train=train,
        validation=validation, items=8, targets=6, start=start,
    )  # fmt: skip
    state = torch.load(io.BytesIO(train_on_sequences(task, OneWorker()).state), weights_only=True)
    known = old.state_dict()["item_vectors.weight"]
    assert torch.allclose(state["item_vectors.weight"][:6], known, atol=1e-6)
    # The new items 5 and 7: of category 0 items 0 and 1 are known; the other says what item 3 does.
    assert torch.allclose(state["item_vectors.weight"][6], known[1:3].mean(dim=0), atol=1e-6)
    assert torch.allclose(state["item_vectors.weight"][8], known[4], atol=1e-6)
