import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.errors import InputError, SchemaError
from recsys.models.registry import model_spec
from recsys.training.export import DESCRIPTION, WEIGHTS, PyfuncModel, load_scorer, save_model, state_bytes
from tests.example_sets import columns_of, inputs_of, random_columns

SPEC = model_spec("mlp", {"id_dim": 2, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0})
INPUTS = inputs_of(5, 5, 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_model(tmp_path, SPEC, INPUTS, state_bytes(SPEC.build(INPUTS)))
    return tmp_path


def test_scores_are_probabilities_in_float64(folder: Path) -> None:
    scores = load_scorer(folder)(random_columns(10, users=5, items=5))
    assert scores.dtype == np.float64
    assert ((scores > 0) & (scores < 1)).all()


def test_no_rows_give_no_scores(folder: Path) -> None:
    assert load_scorer(folder)(columns_of(0)).shape == (0,)


def test_rows_that_lack_an_input_are_refused(folder: Path) -> None:
    columns = {name: column for name, column in columns_of(1).items() if name != "item_idx"}
    with pytest.raises(SchemaError, match=r"rows to score lack \['item_idx'\]; they have \['category_idx'"):
        load_scorer(folder)(columns)


def test_a_folder_without_a_model_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no exported model in .*model.json is missing. Cure: run the train job"):
        load_scorer(tmp_path / "empty")


def test_another_format_is_refused(folder: Path) -> None:
    change_description(folder, format=99)
    with pytest.raises(SchemaError, match=r"has format 99, expected 1. Cure: train the model again"):
        load_scorer(folder)


def test_a_model_of_another_catalogue_is_refused(folder: Path) -> None:
    inputs = json.loads((folder / DESCRIPTION).read_text())["inputs"]
    inputs["numeric"][0]["name"] = "user_shoe_size"
    change_description(folder, inputs=inputs)
    with pytest.raises(SchemaError, match=r"lacks \[\('user_purchases_7d', 'log1p'\)\] and has .*'user_shoe_size'"):
        load_scorer(folder)


def change_description(folder: Path, **changes: object) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**description, **changes}))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


def test_weights_that_hold_code_are_refused_and_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"layers.0.weight": Evil()}, folder / WEIGHTS)
    with pytest.raises(Exception, match="Weights only load failed"):
        load_scorer(folder)
    assert "code ran" not in capsys.readouterr().out


def test_the_pyfunc_model_predicts_on_a_data_frame(folder: Path) -> None:
    columns = random_columns(10, users=5, items=5)
    predicted = PyfuncModel(load_scorer(folder)).predict(pd.DataFrame(columns))
    assert np.array_equal(predicted, load_scorer(folder)(columns))
