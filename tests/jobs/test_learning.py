import json

from jobs._learning import curve_of, figures_of
from recsys import columns as c
from recsys.config import load_config
from recsys.training.position import EpochFigures
from recsys.training.run import Trained


def epoch(number: int, ndcg: float) -> EpochFigures:
    validation = {"validation_recall": ndcg, "validation_ndcg": ndcg}
    system = {"cpu_cores": 1.5, "peak_memory_gib": 0.25}
    return EpochFigures(epoch=number, train_loss=0.5, validation=validation, rows_per_s=10.0, system=system)


def trained(*ndcg: float) -> Trained:
    curve = tuple(epoch(number, value) for number, value in enumerate(ndcg, start=1))
    return Trained(state=b"", best_epoch=2, curve=curve, seconds={})


def test_figures_are_those_of_the_best_epoch_and_of_all_rows() -> None:
    found = figures_of(trained(0.1, 0.3, 0.2), load_config([]).train, 20)
    assert (found["best_epoch"], found["validation_ndcg"], found["epochs"], found[c.ROWS]) == (2, 0.3, 3, 20)
    assert found["rows_per_s"] == 10


def test_without_rows_to_validate_on_a_record_is_json_all_the_same() -> None:
    """Spark reads no key of a text that holds NaN."""
    nothing = trained(float("nan"), float("nan"))
    found = figures_of(nothing, load_config([]).train, 20)
    assert "validation_ndcg" not in json.loads(json.dumps(found, allow_nan=False))
    assert curve_of(nothing)[0] == {
        "train/loss": 0.5,
        "train/rows_per_s": 10.0,
        "system/leader_cpu_cores": 1.5,
        "system/leader_peak_memory_gib": 0.25,
    }
