"""A trained network as a folder without pickled code: `weights.pt` (tensors only) and `model.json`; and its scorer.

Shapes: B batch, I id inputs, F numeric inputs.
"""

import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.catalog import MODEL_INPUTS, NEIGHBOUR_INPUTS
from recsys.errors import SchemaError
from recsys.manifest import Inputs, inputs_from, require_catalog
from recsys.models.halves import Halves
from recsys.models.inputs import NormalizedNumbers
from recsys.models.registry import Spec, model_spec
from recsys.training.description import FORMAT, read_description

WEIGHTS = "weights.pt"
DESCRIPTION = "model.json"
# Every call scores batches of just this many rows, padded, so that a row's score never depends on its company.
SCORE_BATCH_ROWS = 2048
# What a process holds of the halves of all items at most: 136 floats an item for the default mlp, so 490,000 items.
MOST_HALVES_BYTES = 256 * 2**20
_FLOAT_BYTES = 4

Scorer = Callable[[Mapping[str, "NDArray[Any]"]], "NDArray[np.float64]"]


def state_bytes(network: torch.nn.Module) -> bytes:
    """Parameters and buffers, wherever they lie, as torch.save writes them."""
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, buffer)
    return buffer.getvalue()


def network_with(spec: Spec, inputs: Inputs, arrays: Mapping[str, "NDArray[Any]"]) -> torch.nn.Module:
    """Of a model that was fitted elsewhere: `arrays` by the names of the network's buffers."""
    network: torch.nn.Module = spec.build(inputs)
    given = {name: torch.tensor(array) for name, array in arrays.items()}
    network.load_state_dict({**network.state_dict(), **given})
    return network.eval()


def save_model(folder: Path, spec: Spec, inputs: Inputs, state: bytes) -> None:
    """`state` comes from state_bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(state)
    description = {
        "format": FORMAT,
        "model": spec.name,
        "config": dataclasses.asdict(spec.config),
        "inputs": dataclasses.asdict(inputs),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_scorer(folder: str | Path) -> Scorer:
    """A function from columns of catalog.MODEL_INPUTS to the probability of a purchase, row for row.

    Where the network reads neighbourhoods, the lists of catalog.NEIGHBOUR_INPUTS are among the columns.

    Uses one thread of the CPU. Raises SchemaError where the model was trained on other inputs than the catalogue's.
    """
    torch.set_num_threads(1)
    network, inputs = load_network(Path(folder))
    id_names, number_names = inputs.columns
    needed = dict.fromkeys((*(i.name for i in MODEL_INPUTS), *id_names, *number_names))

    def score(columns: Mapping[str, "NDArray[Any]"]) -> "NDArray[np.float64]":
        _require_columns(columns, list(needed))
        ids = _stacked(columns, id_names, np.int64)
        numeric = _stacked(columns, number_names, np.float32)
        scores = [
            _score_batch(network, ids[first : first + SCORE_BATCH_ROWS], numeric[first : first + SCORE_BATCH_ROWS])
            for first in range(0, len(ids), SCORE_BATCH_ROWS)
        ]
        return np.concatenate(scores) if scores else np.empty(0, dtype=np.float64)

    return score


# Equal to itself alone: what is made for a scorer is kept by it.
@dataclass(frozen=True, kw_only=True, eq=False)
class PairScorer:
    """The same in two steps, for pairs whose users and items come again and again.

    `id_columns` and `number_columns`: where each input stands in the network's two tensors. `batch_rows`: every call
    of `score` has so many. `numbers`: what the network itself has left to its caller.
    """

    network: torch.nn.Module
    numbers: NormalizedNumbers | None
    id_columns: Mapping[str, slice]
    number_columns: Mapping[str, slice]

    batch_rows = SCORE_BATCH_ROWS

    def has_halves(self, num_rows: int) -> bool:
        """Whether the network can make halves, and those of so many rows fit."""
        network = self.network
        return isinstance(network, Halves) and num_rows * network.half_width * _FLOAT_BYTES <= MOST_HALVES_BYTES

    @torch.no_grad()
    def prepared(self, columns: slice, values_XC: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Raw numbers of these columns, as `score` takes them: row for row, so once a user or an item is enough."""
        if self.numbers is None or columns.start >= len(self.numbers.mean_F):
            return values_XC
        prepared: NDArray[np.float32] = self.numbers.of(columns, torch.from_numpy(values_XC)).numpy()
        return prepared

    @torch.no_grad()
    def score(self, ids_BI: "NDArray[np.int64]", numeric_BF: "NDArray[np.float32]") -> "NDArray[np.float64]":
        return _probabilities(self.network(torch.from_numpy(ids_BI), torch.from_numpy(numeric_BF)))

    @torch.no_grad()
    def half_of(
        self, ids_BI: "NDArray[np.int64]", numeric_BF: "NDArray[np.float32]", *, of_users: bool
    ) -> "NDArray[np.float32]":
        """See recsys/models/halves.py; asked for where has_halves says so."""
        network, ids, numeric = cast(Halves, self.network), torch.from_numpy(ids_BI), torch.from_numpy(numeric_BF)
        half: NDArray[np.float32] = network.half_of(ids, numeric, of_users=of_users).numpy()
        return half

    @torch.no_grad()
    def score_halves(
        self,
        user_BW: "NDArray[np.float32]",
        item_BW: "NDArray[np.float32]",
        number_BK: "NDArray[np.float32]",
        places_K: Sequence[int],
    ) -> "NDArray[np.float64]":
        """As `score`, to within float32's rounding; `user_BW` is written over."""
        network, user, item, number = cast(Halves, self.network), *map(torch.from_numpy, (user_BW, item_BW, number_BK))
        return _probabilities(network.logits_of_halves(user, item, number, places_K))


def _probabilities(logit_B: torch.Tensor) -> "NDArray[np.float64]":
    scores: NDArray[np.float64] = torch.sigmoid(logit_B.double()).numpy()
    return scores


def load_pair_scorer(folder: str | Path) -> PairScorer:
    """See load_scorer."""
    torch.set_num_threads(1)
    network, inputs = load_network(Path(folder))
    numbers = getattr(network, "numbers", None)
    if isinstance(numbers, NormalizedNumbers):
        network.numbers = torch.nn.Identity()
    else:
        numbers = None
    id_names, number_names = inputs.columns
    return PairScorer(
        network=network,
        numbers=numbers,
        id_columns=_places(id_names, inputs.neighbours),
        number_columns=_places(number_names, inputs.neighbours),
    )


def _places(names: Sequence[str], neighbours: int) -> dict[str, slice]:
    widths = [neighbours if name in NEIGHBOUR_INPUTS else 1 for name in names]
    stops = [sum(widths[: number + 1]) for number in range(len(names))]
    return {name: slice(stop - width, stop) for name, width, stop in zip(names, widths, stops, strict=True)}


def load_network(folder: Path) -> tuple[torch.nn.Module, Inputs]:
    """The network in evaluation mode, and its inputs."""
    path = folder / DESCRIPTION
    description = read_description(
        path, what="exported model", cure="run the train job", cure_of_format="train the model again"
    )
    inputs = inputs_from(description["inputs"], str(path))
    require_catalog(inputs, str(path), cure="Cure: train the model again, or use the code it was trained with")
    network = model_spec(description["model"], description["config"]).build(inputs)
    # weights_only: a file that holds anything but tensors is refused instead of run.
    network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    return network.eval(), inputs


def _require_columns(columns: Mapping[str, Any], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise SchemaError(f"rows to score lack {missing}; they have {sorted(columns)}. Cure: pass every model input")


def _stacked(columns: Mapping[str, "NDArray[Any]"], names: Sequence[str], dtype: type) -> "NDArray[Any]":
    return np.column_stack([np.asarray(columns[name], dtype=dtype) for name in names])


@torch.no_grad()
def _score_batch(network: torch.nn.Module, ids: "NDArray[Any]", numeric: "NDArray[Any]") -> "NDArray[np.float64]":
    rows = len(ids)
    ids_BI = torch.from_numpy(_padded(ids))
    numeric_BF = torch.from_numpy(_padded(numeric))
    score_B = torch.sigmoid(network(ids_BI, numeric_BF).double())
    return score_B[:rows].numpy()


def _padded(rows: "NDArray[Any]") -> "NDArray[Any]":
    full = np.zeros((SCORE_BATCH_ROWS, rows.shape[1]), dtype=rows.dtype)
    full[: len(rows)] = rows
    return full


class PyfuncModel:
    """What MLflow's generic loader expects: predict on a pandas DataFrame of model inputs."""

    def __init__(self, score: Scorer) -> None:
        self._score = score

    def predict(self, model_input: Any, params: Any = None) -> "NDArray[np.float64]":  # noqa: ARG002  # MLflow's signature
        return self._score({name: _whole(name, model_input[name].to_numpy()) for name in model_input.columns})


def _whole(name: str, values: "NDArray[Any]") -> "NDArray[Any]":
    """pandas gives lists as objects."""
    return np.stack([np.asarray(row) for row in values]) if name in NEIGHBOUR_INPUTS and len(values) else values


def _load_pyfunc(data_path: str) -> PyfuncModel:
    return PyfuncModel(load_scorer(data_path))
