"""Checkpoints on any filesystem that fsspec knows: each a whole file or none, and only the newest is kept."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import fsspec
import numpy as np
import torch
from torch import Tensor

from recsys.errors import InputError

_NAME = "step-{:010d}.pt"
_UNFINISHED = ".writing"


class Folder:
    """Small files under a local path or a URI; the folder is made when something is written."""

    def __init__(self, uri: str) -> None:
        plain = uri if "://" in uri else uri.removeprefix("file:")
        self._fs, self._root = fsspec.core.url_to_fs(plain)
        self.uri = uri

    def names(self) -> list[str]:
        if not self._fs.isdir(self._root):
            return []
        return sorted(PurePosixPath(path).name for path in self._fs.ls(self._root, detail=False))

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        """Written beside its place, then renamed: nobody ever reads half of it."""
        path = f"{self._root}/{name}"
        self._fs.makedirs(self._root, exist_ok=True)
        with self._fs.open(path + _UNFINISHED, "wb") as file:
            fill(file)
            file.flush()
            with suppress(AttributeError, OSError):  # only local files have a number
                os.fsync(file.fileno())
        self._fs.mv(path + _UNFINISHED, path)

    def open(self, name: str) -> BinaryIO:
        file: BinaryIO = self._fs.open(f"{self._root}/{name}", "rb")
        return file

    def delete(self, name: str) -> None:
        self._fs.rm_file(f"{self._root}/{name}")


class Checkpoints:
    """Numbered by the steps taken since the training began; 0: none yet."""

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri)

    def newest(self) -> int:
        return max(self._numbers(), default=0)

    def save(self, number: int, contents: dict[str, Any]) -> None:
        """Tensors, numbers, text, lists and dictionaries. Older checkpoints are deleted once this one is whole."""
        self._folder.write(_NAME.format(number), lambda file: torch.save(contents, file))
        for older in self._numbers():
            if older < number:
                self._folder.delete(_NAME.format(older))

    def load(self, number: int) -> dict[str, Any]:
        """On the CPU. Raises InputError for a file that is no checkpoint: it may come from elsewhere."""
        name = _NAME.format(number)
        try:
            with self._folder.open(name) as file:
                loaded: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                f"the checkpoint {self._folder.uri}/{name} cannot be read: {error}. Cure: delete that folder; "
                "training then starts anew"
            ) from error
        return loaded

    def _numbers(self) -> list[int]:
        stems = (name.removeprefix("step-").removesuffix(".pt") for name in self._folder.names())
        return [int(stem) for stem in stems if stem.isdigit()]


def random_state(device: torch.device) -> Tensor:
    """Of torch's generators that a worker uses: the CPU's and, on a GPU, that one's; bytes."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def set_random_state(state: Tensor, device: torch.device) -> None:
    size = len(torch.get_rng_state())
    # Cloned: torch reads a view's memory from its storage's start, another worker's state, or crashes.
    torch.set_rng_state(state[:size].clone())
    if device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:].clone(), device)


def seed_random_state(seed: Sequence[int]) -> None:
    torch.manual_seed(int(np.random.SeedSequence(list(seed)).generate_state(1)[0]))
