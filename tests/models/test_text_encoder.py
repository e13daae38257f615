import importlib.util

import numpy as np
import pytest

from recsys.errors import EnvironmentProblem
from recsys.models import text_encoder
from recsys.models.text_encoder import DIMENSIONS, PACKAGES, load_text_encoder, require_text_extra

HAS_EXTRA = all(importlib.util.find_spec(package) for package in PACKAGES)


@pytest.mark.skipif(not HAS_EXTRA, reason="the optional extra `text` is not installed: make setup-text")
def test_texts_of_like_meaning_are_near_whatever_they_are_encoded_beside() -> None:
    encode = load_text_encoder()
    texts = ["green tea, 20 bags", "black tea, loose", "garden hose, 15 m", "绿茶", "tea " * 400]
    found = encode(texts)
    assert found.shape == (5, DIMENSIONS)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    green, black, hose = found[:3]
    assert green @ black > green @ hose + 0.2
    assert encode(texts[1:2])[0] == pytest.approx(black, abs=1e-5)


def test_without_the_extra_the_error_names_what_is_missing_and_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder, "PACKAGES", ("numpy", "no_such_encoder"))
    with pytest.raises(
        EnvironmentProblem,
        match=r"item_vectors, whose encoder needs the Python packages \['no_such_encoder'\].*Cure: `make setup-text`",
    ):
        require_text_extra()
