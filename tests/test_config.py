import dataclasses
from pathlib import Path

import pytest
import yaml

from recsys.clean.mapping import load_mapping
from recsys.config import CONF_FOLDER, Config, load_config
from recsys.errors import ConfigError
from recsys.models.registry import model_settings, model_spec

MODEL_FILES = sorted((CONF_FOLDER / "models").glob("*.yaml"))
SOURCE_FILES = sorted((CONF_FOLDER / "sources").glob("*.yaml"))
CONFIG_FILES = sorted(CONF_FOLDER.glob("*.yaml"))


def written(folder: Path, text: str, name: str = "my.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_file_in_conf_loads() -> None:
    for file in CONFIG_FILES:
        load_config([file])
    for file in MODEL_FILES:
        settings, train = model_settings(file)
        model_spec(file.stem, settings)
        load_config([], [f"train.{key}={value}" for key, value in train.items()])
    for file in SOURCE_FILES:
        load_mapping(file)
        load_config([], [f"source.name={file.stem}"])
    assert [file.stem for file in CONFIG_FILES] == ["base", "cluster", "local"]
    assert (len(MODEL_FILES), len(SOURCE_FILES)) == (34, 3)
    loaded = {*CONFIG_FILES, *MODEL_FILES, *SOURCE_FILES}
    assert loaded == set(CONF_FOLDER.rglob("*.yaml"))


def test_base_yaml_holds_every_key_and_each_has_a_comment() -> None:
    base = yaml.safe_load((CONF_FOLDER / "base.yaml").read_text(encoding="utf-8"))
    fields = {section.name: section.type for section in dataclasses.fields(Config)}
    assert set(base) == set(fields)
    for name, values in base.items():
        assert set(values) == {key.name for key in dataclasses.fields(fields[name])}, name
    lines = (CONF_FOLDER / "base.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if line.startswith("  ") and ":" in line and not line.strip().startswith("#")]
    assert [line for line in keys if "#" not in line] == []
    assert len(keys) == sum(len(values) for values in base.values())


def test_later_files_win_and_set_wins_over_all_files(tmp_path: Path) -> None:
    first = written(tmp_path, "train: {epochs: 11, workers: 5}", "first.yaml")
    second = written(tmp_path, "train: {epochs: 12}", "second.yaml")
    assert load_config([first, second]).train.epochs == 12
    assert load_config([second, first]).train.epochs == 11
    config = load_config([first, second], ["train.epochs=13", "lake.root=s3a://bucket/lake"])
    assert (config.train.epochs, config.train.workers, config.lake.root) == (13, 5, "s3a://bucket/lake")
    assert config.train.batch_size == load_config([]).train.batch_size


def test_a_base_yaml_beside_the_first_file_is_the_base(tmp_path: Path) -> None:
    written(
        tmp_path,
        (CONF_FOLDER / "base.yaml").read_text(encoding="utf-8").replace("top_n: 10 ", "top_n: 77 "),
        "base.yaml",
    )
    assert load_config([written(tmp_path, "")]).score.top_n == 77
    assert load_config([]).score.top_n == 10


def test_what_a_source_says_of_cleaning_lies_between_base_yaml_and_what_is_given(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    mapping = "clean: {max_quantity: 7, alarm_min_rows: 8}"
    file = written(tmp_path / "sources", mapping, "shop.yaml")
    given = [written(tmp_path, "source: {name: shop}\nclean: {alarm_min_rows: 9}")]
    found = load_config(given).clean
    assert (found.max_quantity, found.alarm_min_rows) == (7, 9)
    assert load_config(given, ["clean.max_quantity=6"]).clean.max_quantity == 6
    assert load_config(given, ["source.name=other"]).clean.max_quantity == load_config([]).clean.max_quantity
    file.write_text("examples: {label_days: 3}")
    assert load_config(given).examples.label_days == 3
    file.write_text("features: {countries: {s1: Norway}}")
    assert load_config(given).features.countries == {"s1": "Norway"}
    assert load_config(given, ["features.countries={}"]).features.countries == {}
    file.write_text("clean: 5")
    with pytest.raises(ConfigError, match=r"shop.yaml: section 'clean' must hold keys, found 5"):
        load_config(given)


def test_the_logs_with_a_known_country_say_it_and_its_holidays() -> None:
    said = {file.stem: load_config([], [f"source.name={file.stem}"]).features for file in SOURCE_FILES}
    assert {name: features.countries for name, features in said.items()} == {
        "complete_journey": {"all": "United States"}, "online_retail": {}, "retailrocket": {},
    }  # fmt: skip
    assert [name for name, features in said.items() if features.stores_are_countries] == ["online_retail"]
    holidays = {name: features.holidays for name, features in said.items()}
    assert "2011-04-29" in holidays["online_retail"]["United Kingdom"]
    assert holidays["complete_journey"] == {}
    assert [len(days) for days in holidays["online_retail"].values()] == [11]


def test_a_model_may_lay_settings_of_features_over_those_of_base_yaml() -> None:
    own, given = (
        load_config([], ["train.model=graphsage"]),
        load_config([], ["train.model=graphsage", "features.grains=[edge]"]),
    )
    assert (own.features.grains, given.features.grains) == (("user_neighbours", "item_neighbours"), ("edge",))
    assert load_config([]).features.grains == ()


@pytest.mark.parametrize("named", ["recsys-mlp", "recsys-mlp/newest", "/3"])
def test_a_start_names_a_model_and_its_version(named: str) -> None:
    with pytest.raises(
        ConfigError, match=r"train.start_from must be a registered name and version such as recsys-mlp/3"
    ):
        load_config([], [f"train.start_from={named}"])


def test_training_settings_of_a_source_lie_over_the_models_own(tmp_path: Path) -> None:
    for folder in ("sources", "models"):
        (tmp_path / folder).mkdir()
    source = written(tmp_path / "sources", "train: {batch_size: 64, epochs: 20}", "shop.yaml")
    written(tmp_path / "models", "train: {batch_size: 128, patience: 3}", "gru.yaml")
    given = [written(tmp_path, "source: {name: shop}\ntrain: {epochs: 5}")]

    def found(*overrides: str) -> tuple[str, int, int, int]:
        train = load_config(given, overrides).train
        return train.model, train.batch_size, train.patience, train.epochs

    assert found("train.model=gru") == ("gru", 64, 3, 5)
    assert found("train.model=gru", "train.batch_size=7") == ("gru", 7, 3, 5)
    assert found() == ("mlp", 64, 0, 5)
    source.write_text("train: {model: gru, batch_size: 64}")
    assert found() == ("gru", 64, 3, 5)
    assert found("train.model=mlp") == ("mlp", 2048, 0, 5), "what was chosen for gru says nothing of others"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {epochs: 1}", r"my.yaml: unknown section 'trian'; known sections: \['lake', 'spark'"),
        (
            "train: {batchsize: 5}",
            r"unknown keys in 'train': \['batchsize'\]; known keys: \['batch_size', .*'workers'",
        ),
        ("train: {epochs: many}", r"train.epochs must be of type int, got 'many' \(str\)"),
        ("train: {epochs: 1.5}", r"train.epochs must be of type int, got 1.5 \(float\)"),
        ("train: {epochs: true}", r"train.epochs must be of type int, got True \(bool\)"),
        ("train: {epochs: null}", r"train.epochs must be of type int, got None"),
        ("train: {learning_rate: fast}", r"train.learning_rate must be of type float, got 'fast'"),
        ("train: {workers: 0}", r"train.workers must be between 1 and 4096, got 0"),
        ("train: {epochs: 0}", r"train.epochs must be at least 1, got 0"),
        ("train: {learning_rate: .nan}", r"train.learning_rate must be between .* got nan"),
        ("train: {optimizer: lion}", r"train.optimizer must be adamw, adam or sgd, got 'lion'"),
        ("train: {decay: step}", r"train.decay must be none, linear or cosine, got 'step'"),
        ("train: {precision: half}", r"train.precision must be float32, bfloat16 or auto, got 'half'"),
        ("train: {best_by: recall}", r"train.best_by must be validation_loss, .* or validation_ndcg, got 'recall'"),
        ("train: {momentum: 1}", r"train.momentum must be between 0 and 0.9999, got 1"),
        ("train: {warmup_share: 2}", r"train.warmup_share must be between 0 and 0.9999, got 2"),
        ("train: {label_smoothing: -0.1}", r"train.label_smoothing must be between 0 and .* got -0.1"),
        ("train: {l1: -1}", r"train.l1 must be at least 0, got -1"),
        ("train: {clip_norm: -1}", r"train.clip_norm must be at least 0, got -1"),
        ("train: {batches_a_step: 0}", r"train.batches_a_step must be at least 1, got 0"),
        ("train: {max_restarts: -1}", r"train.max_restarts must be between 0 and 1000, got -1"),
        ("train: {step_timeout_s: 0}", r"train.step_timeout_s must be at least 1, got 0"),
        ("train: {max_loss: 0}", r"train.max_loss must be at least 1e-09, got 0"),
        ("train: {device: tpu}", r"train.device must be auto, cpu or cuda, got 'tpu'"),
        ("evaluation: {popular_window_days: 30}", r"popular_window_days must be 28 or 91 .* got 30"),
        ("clean: {first_event_date: yesterday}", r'must be a day such as "2017-12-18", got \'yesterday\''),
        ("candidates: {own_items: 0, category_items: 0, popular_items: 0}", r"candidates: all quotas are 0; give at"),
        (
            "candidates: {factor_items: 100}",
            r"candidates.factor_items is 100 and candidates.factors_model is None: give both, such as 100 and mf",
        ),
        (
            "candidates: {factors_model: mf}",
            r"candidates.factor_items is 0 and candidates.factors_model is mf: give both",
        ),
        ("candidates: {new_item_days: 0}", r"candidates.new_item_days must be between 1 and 10000, got 0"),
        (
            "{candidates: {neighbour_items: 50}, features: {grains: [edge]}}",
            r"candidates.neighbour_items is 50, .* come from features.item_item then, which features.grains, "
            r"\['edge'\], does not name. Cure: --set features.grains=\[edge,item_item\], or candidates.neighbour",
        ),
        ("spark: {settings: {spark.ui.port: 4040}}", r"spark.settings.spark.ui.port must be of type str, got 4040"),
        ("features: {grains: [edge, egde]}", r"features.grains: unknown \['egde'\]; known: \['sequence', 'edge',"),
        ("features: {as_known_on: soon}", r'features.as_known_on must be a day such as "2017-12-18", got \'soon\''),
        ("features: {holidays: {all: [xmas]}}", r"features.holidays.all must be a day such as .*, got \'xmas\'"),
        (
            "features: {stores_are_countries: true, countries: {all: Norway}}",
            r"takes each store that features.countries does not list .* says 'Norway' of all of them",
        ),
        ("examples: {gap_days: -1}", r"examples.gap_days must be between 0 and 365, got -1"),
        ("features: {neighbours: 0}", r"features.neighbours must be between 1 and 10000, got 0"),
        (
            "examples: {negatives: random}",
            r"examples.negatives: unknown \['random'\]; known: \['candidates', 'uniform',",
        ),
        (
            "examples: {schemes: [time]}",
            r"examples.schemes: unknown \['time'\]; known: \['global_time', 'rolling_time',",
        ),
        (
            "examples: {core: 5, schemes: [global_time, rolling_time]}",
            r"examples.core is 5, and none of examples.schemes, \['global_time', 'rolling_time'\], goes by it",
        ),
        ("examples: {labels: {view: 1.0}}", r"must grade purchase, .* such as .*; got {'view': 1.0}"),
        ("examples: {labels: {cart: 1.0, purchase: 1.0}}", r"rising in the order \['view', 'cart', 'purchase'\]"),
        ("examples: {labels: {view: 0, purchase: 1.0}}", r"above 0 and up to 1"),
        ("examples: {labels: {purchase: 2}}", r"above 0 and up to 1, .* got {'purchase': 2.0}"),
        ("examples: {labels: {purchase: 1, like: 1}}", r"may grade view and cart.* got .*'like': 1.0"),
        ("scenes: {coupon_days: 0}", r"scenes.coupon_days must be between 1 and 10000, got 0"),
        ("scenes: {coupon_prior_buyers: 0}", r"scenes.coupon_prior_buyers must be at least 1, got 0"),
        ("scenes: {coupon_budget: -1}", r"scenes.coupon_budget must be at least 0, got -1"),
        (
            "scenes: {coupon_budgets: {k: -1}}",
            r"scenes.coupon_budgets: offers of a campaign, at least 0, got {'k': -1}",
        ),
        (
            "score: {fusion: borda}",
            r"score.fusion must be reciprocal_rank, mean, weighted or vote, got 'borda'",
        ),
        (
            "score: {models: [mlp, ease, mlp]}",
            r"score.models has \['mlp'\] more than once; .* got \['mlp', 'ease', 'mlp'\]",
        ),
        (
            "score: {models: [mlp, ease], fusion: mean, fusion_weights: {mlp: 1}}",
            r"fusion_weights hold for score.fusion weighted alone, got mean with {'mlp': 1.0}; give",
        ),
        (
            "score: {models: [mlp, ease], fusion: weighted, fusion_weights: {mlp: 1, ease: 1, mf: 1}}",
            r"score.fusion_weights has \['mf'\], which score.models, \['mlp', 'ease'\], does not name",
        ),
        (
            "score: {models: [mlp, ease], fusion: weighted, fusion_weights: {mlp: 1}}",
            r"a weight for each of them .* got models \['mlp', 'ease'\] and weights {'mlp': 1.0}",
        ),
        (
            "score: {exclude_bought_days: {cart: 9, coupons: 9, anonymous: 9}}",
            r"exclude_bought_days names \['anonymous', 'coupons'\], whose lists hold no .* \['cart', 'buy_again'",
        ),
        ("score: {exclude_viewed_days: {home: -1}}", r"exclude_viewed_days: days lie between .* got {'home': -1}"),
        ("score: {fusion: weighted}", r"score.fusion weighted needs models, .* got models \[\] and weights {}"),
        (
            "score: {models: [mlp, ease], fusion: weighted, fusion_weights: {mlp: 1, ease: 0}}",
            r"score.fusion_weights must be above 0 and finite, got {'ease': 0.0}",
        ),
        ("train: 5", r"section 'train' must hold keys, found 5"),
        ("[train]", r"my.yaml must hold sections with keys, found list"),
        ("train: {epochs: 1", r"(?s)my.yaml is not valid YAML: .*line 1"),
    ],
)
def test_a_wrong_file_is_refused_with_what_was_found_and_expected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config([written(tmp_path, text)])


def test_one_model_and_weights_of_all_models_are_fine() -> None:
    assert load_config([], ["score.models=[mlp]"]).score.models == ("mlp",)
    weighted = ["score.models=[mlp,ease]", "score.fusion=weighted", "score.fusion_weights={mlp: 2, ease: 0.5}"]
    assert load_config([], weighted).score.fusion_weights == {"mlp": 2.0, "ease": 0.5}
    assert load_config([]).score.models == ()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", r"--set takes section.key=value, got 'train.epochs'"),
        ("epochs=5", r"--set takes section.key=value, got 'epochs=5'"),
        ("train.=5", r"--set takes section.key=value, got 'train.=5'"),
        ("trian.epochs=5", r"--set trian.epochs=5: unknown section 'trian'"),
        ("train.batchsize=5", r"unknown keys in 'train': \['batchsize'\]"),
        ("train.epochs=", r"train.epochs must be of type int, got None"),
        ("train.epochs=[1", r"--set train.epochs=\[1 is not valid YAML"),
    ],
)
def test_a_wrong_set_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config([], [override])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot read the configuration file .*none.yaml: No such file.*existing YAML"
    ):
        load_config([tmp_path / "none.yaml"])


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_bytes(b"train: {model: \xff\xfe}")
    with pytest.raises(ConfigError, match=r"my.yaml is not UTF-8 text"):
        load_config([file])


def test_a_number_without_a_point_and_a_small_one_in_yaml_1_1_are_floats() -> None:
    config = load_config([], ["train.weight_decay=0", "train.learning_rate=1e-3"])
    assert (config.train.weight_decay, config.train.learning_rate) == (0.0, 0.001)
    assert isinstance(config.train.weight_decay, float)


def test_a_day_may_be_written_without_quotes() -> None:
    config = load_config([], ["features.as_known_on=2017-12-18", "features.holidays={all: [2017-12-25]}"]).features
    assert config.as_known_on == "2017-12-18"
    assert config.holidays == {"all": ("2017-12-25",)}


def test_settings_of_has_only_the_named_sections() -> None:
    settings = load_config([], ["examples.label_days=21"]).settings_of(("examples",))
    assert set(settings) == {"examples"}
    assert settings["examples"]["label_days"] == 21
