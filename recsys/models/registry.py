"""Every network by its name in the configuration. A new one: its file, a line here, conf/models/<name>.yaml."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from recsys.config import build_section
from recsys.errors import ConfigError
from recsys.manifest import Inputs
from recsys.models.dcn import Dcn, DcnConfig
from recsys.models.deepfm import DeepFm, DeepFmConfig
from recsys.models.mlp import Mlp, MlpConfig
from recsys.models.wide_and_deep import WideAndDeep, WideAndDeepConfig


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """`build` takes the typed configuration and the inputs; forward takes ids_BI and numeric_BF, returns logit_B."""

    config: type[Any]
    build: Callable[[Any, Inputs], nn.Module]


MODELS: dict[str, ModelKind] = {
    "dcn": ModelKind(config=DcnConfig, build=Dcn),
    "deepfm": ModelKind(config=DeepFmConfig, build=DeepFm),
    "mlp": ModelKind(config=MlpConfig, build=Mlp),
    "wide_and_deep": ModelKind(config=WideAndDeepConfig, build=WideAndDeep),
}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A registered name with its settings, checked."""

    name: str
    config: Any

    def build(self, inputs: Inputs) -> nn.Module:
        return MODELS[self.name].build(self.config, inputs)


def require_known(name: str) -> None:
    if name not in MODELS:
        raise ConfigError(f"train.model: unknown model {name!r}; known models: {sorted(MODELS)}")


def model_spec(name: str, settings: Mapping[str, Any]) -> ModelSpec:
    """Raises ConfigError for an unknown name, an unknown key or a value out of range."""
    require_known(name)
    return ModelSpec(name=name, config=build_section(MODELS[name].config, settings, f"models/{name}"))
