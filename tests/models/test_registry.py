import pytest

from recsys.config import CONF_FOLDER
from recsys.errors import ConfigError
from recsys.models.mlp import MlpConfig
from recsys.models.registry import MODELS, model_settings, model_spec

MLP = {"id_dim": 2, "category_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0}


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'fm'; known models: \['als', 'bsarec', .*'mf', 'mlp'"):
        model_spec("fm", {})


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


WIDE = {**MLP, "crosses": [["user_idx", "category_idx"]], "cross_buckets": 8}
DCN = {**MLP, "cross_layers": 1, "rank": 0, "experts": 1, "structure": "stacked"}
DEEPFM = {"field_dim": 2, "hidden": [4], "dropout": 0.0, "hidden_ids": 0.0}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("wide_and_deep", {**WIDE, "crosses": [["user_idx"]]}, r"two or more different ones of .* got \['user_idx'\]"),
        (
            "wide_and_deep",
            {**WIDE, "crosses": [["user_idx", "shoe"]]},
            r"of \['user_idx', 'item_idx', 'category_idx'\]",
        ),
        ("wide_and_deep", {**WIDE, "crosses": [["item_idx", "item_idx"]]}, r"two or more different ones"),
        ("wide_and_deep", {**WIDE, "cross_buckets": 0}, r"wide_and_deep: dimensions must be at least 1"),
        ("dcn", {**DCN, "structure": "beside"}, r"dcn.structure must be stacked or parallel, got 'beside'"),
        ("dcn", {**DCN, "rank": -1}, r"dcn.rank must be 0 \(full matrices\) or more, got -1"),
        ("dcn", {**DCN, "dropout": 1.5}, r"dcn.dropout must be from 0 to below 1, got 1.5"),
        ("deepfm", {**DEEPFM, "field_dim": 0}, r"deepfm: dimensions must be at least 1"),
    ],
)
def test_settings_of_the_other_networks_out_of_range_are_refused(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        model_spec(name, settings)


def test_every_model_has_a_configuration_file_that_loads() -> None:
    files = {name: CONF_FOLDER / "models" / f"{name}.yaml" for name in MODELS}
    specs = {name: model_spec(name, model_settings(file)[0]) for name, file in files.items()}
    assert isinstance(specs["mlp"].config, MlpConfig)


def test_every_file_of_a_model_is_of_a_registered_one() -> None:
    files = sorted((CONF_FOLDER / "models").glob("*.yaml"))
    assert [file.stem for file in files] == sorted(MODELS)
