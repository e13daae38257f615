"""Every network of histories by its name in the configuration.

A new one: its file, a line here, conf/models/<name>.yaml.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsys.config import build_section
from recsys.errors import ConfigError
from recsys.models.bsarec import BsaRec, BsaRecConfig
from recsys.models.caser import Caser, CaserConfig
from recsys.models.gru import Gru
from recsys.models.lstm import Lstm
from recsys.models.recurrent import RecurrentConfig
from recsys.models.sasrec import SasRec
from recsys.models.sequences import SequenceNetwork
from recsys.models.transformer import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class SequenceKind:
    """`build` takes the typed configuration and the number of items."""

    config: type[Any]
    build: Callable[[Any, int], SequenceNetwork]


SEQUENCE_MODELS: dict[str, SequenceKind] = {
    "bsarec": SequenceKind(config=BsaRecConfig, build=BsaRec),
    "caser": SequenceKind(config=CaserConfig, build=Caser),
    "gru": SequenceKind(config=RecurrentConfig, build=Gru),
    "lstm": SequenceKind(config=RecurrentConfig, build=Lstm),
    "sasrec": SequenceKind(config=TransformerConfig, build=SasRec),
}


@dataclass(frozen=True, kw_only=True)
class SequenceSpec:
    """A registered name with its settings, checked."""

    name: str
    config: Any

    def build(self, items: int) -> SequenceNetwork:
        return SEQUENCE_MODELS[self.name].build(self.config, items)


def sequence_spec(name: str, settings: Mapping[str, Any]) -> SequenceSpec:
    """Raises ConfigError for an unknown name, an unknown key or a value out of range."""
    if name not in SEQUENCE_MODELS:
        raise ConfigError(f"no model of sequences is named {name!r}; known ones: {sorted(SEQUENCE_MODELS)}")
    config = build_section(SEQUENCE_MODELS[name].config, settings, f"models/{name}")
    return SequenceSpec(name=name, config=config)
