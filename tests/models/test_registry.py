import pytest

from recsys.config import CONF_FOLDER, load_yaml
from recsys.errors import ConfigError
from recsys.models.mlp import MlpConfig
from recsys.models.registry import MODELS, model_spec

MLP = {"id_dim": 2, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0}


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'two_tower'; known models: \['mlp'\]"):
        model_spec("two_tower", {})


def test_an_unknown_key_names_the_file_and_the_known_keys() -> None:
    with pytest.raises(ConfigError, match=r"unknown keys in 'models/mlp': \['depth'\]; known keys: .*'hidden'"):
        model_spec("mlp", {**MLP, "depth": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": []}, r"hidden must not be empty"),
        ({"id_dim": 0}, r"dimensions must be at least 1"),
        ({"dropout": 1.0}, r"mlp.dropout must be from 0 to below 1, got 1.0"),
        ({"hidden_ids": -0.1}, r"mlp.hidden_ids must be from 0 to below 1, got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_spec("mlp", {**MLP, **changes})


def test_every_model_has_a_configuration_file_that_loads() -> None:
    files = sorted((CONF_FOLDER / "models").glob("*.yaml"))
    assert [file.stem for file in files] == sorted(MODELS)
    specs = [model_spec(file.stem, load_yaml(file)) for file in files]
    assert isinstance(specs[0].config, MlpConfig)
