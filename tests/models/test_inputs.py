import math

import pytest
import torch

from recsys.manifest import Inputs, NumericInput, Vocabulary
from recsys.models.inputs import IdEmbeddings, NormalizedNumbers


def numeric(transform: str, mean: float, std: float) -> NumericInput:
    return NumericInput(name="any", transform=transform, mean=mean, std=std)


def test_numbers_are_transformed_then_centred_and_scaled() -> None:
    numbers = NormalizedNumbers(
        Inputs(ids=(), numeric=(numeric("log1p", 1.0, 2.0), numeric("none", 1.0, 2.0), numeric("none", 5.0, 0.0)))
    )
    actual = numbers(torch.tensor([[math.e**3 - 1, 7.0, 9.0]]))
    # (3 - 1) / 2; (7 - 1) / 2; a constant input has no spread.
    assert actual[0].tolist() == pytest.approx([1.0, 3.0, 0.0])


def test_below_zero_log1p_takes_zero() -> None:
    numbers = NormalizedNumbers(Inputs(ids=(), numeric=(numeric("log1p", 0.0, 1.0),)))
    assert numbers(torch.tensor([[-5.0]])).tolist() == [[0.0]]


def test_ids_outside_the_vocabulary_embed_as_zeros() -> None:
    embeddings = IdEmbeddings(Inputs(ids=(Vocabulary(name="user_idx", size=2),), numeric=()), (3,), hidden=0.0)
    (embedded_BD,) = embeddings(torch.tensor([[-1], [0], [1], [2]]))
    assert embedded_BD[0].tolist() == embedded_BD[3].tolist() == [0.0, 0.0, 0.0]
    assert (embedded_BD[1:3] != 0).all()
    assert embedded_BD[1].tolist() != embedded_BD[2].tolist()


def test_ids_are_hidden_in_training_only() -> None:
    torch.manual_seed(1)
    embeddings = IdEmbeddings(Inputs(ids=(Vocabulary(name="user_idx", size=1),), numeric=()), (1,), hidden=0.25)
    known_BI = torch.zeros(4000, 1, dtype=torch.int64)
    hidden = (embeddings.train()(known_BI)[0] == 0).float().mean()
    assert float(hidden) == pytest.approx(0.25, abs=0.03)
    assert (embeddings.eval()(known_BI)[0] != 0).all()
