"""The registered models that evaluate and score use: the newest, or the newest of each that score.models names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from recsys import columns as c
from recsys.errors import InputError
from recsys.families import FACTORS, FEATURES, HISTORIES, RANKING_CANDIDATES, TOWERS
from recsys.lake.runs import newest_figures, newest_trainings
from recsys.scoring.fusion import JOINED
from recsys.stages import Run
from recsys.tracking import registered_name


@dataclass(frozen=True, kw_only=True)
class Model:
    """A version in the model registry.

    `history`: how many events of `history_events` a model of histories reads; `item_words`: buckets and words that two
    towers read of an item's text; `neighbours`: how many of a user and of an item a model of neighbourhoods reads.
    """

    name: str
    version: int
    family: str = FEATURES
    history: int = 0
    history_events: tuple[str, ...] = ()
    item_words: tuple[int, ...] = ()
    neighbours: int = 0

    @property
    def ranks_all_items(self) -> bool:
        """A network of features ranks candidates."""
        return self.family not in RANKING_CANDIDATES

    @property
    def has_vectors(self) -> bool:
        """Of items, whose product with a user's is the score."""
        return self.family in (FACTORS, HISTORIES, TOWERS)


def newest_model(run: Run) -> Model:
    """That of the newest training for the run date or a day before. Raises InputError where there is none."""
    figures = newest_figures(run.lake, "train", run.day)
    if figures is None:
        raise InputError(
            f"no training is recorded in {run.lake.root} for {run.day} or a day before. Cure: run the jobs "
            "build_features, build_examples and train for this run date first, or jobs/run_pipeline.py"
        )
    return _model_of(figures)


def served_models(run: Run) -> tuple[Model, ...]:
    """The newest training of each of score.models for the run date or a day before, in their order; where none is
    named, the newest of all. Raises InputError where there is none."""
    if not run.config.score.models:
        return (newest_model(run),)
    trained = newest_trainings(run.lake, run.day)
    _require_trained(run, run.config.score.models, trained, run.day)
    return tuple(_model_of(trained[registered_name(name)]) for name in run.config.score.models)


def require_trained(run: Run) -> None:
    """Before the stages that come first in a pipeline have run: of score.models, all but the one that this pipeline
    trains have a training."""
    others = [name for name in run.config.score.models if name != run.config.train.model]
    if others:
        _require_trained(run, others, newest_trainings(run.lake, run.run_date or date.max), run.run_date)


def model_inputs(run: Run) -> tuple[str, ...]:
    """What a stage that uses the models depends on outside its tables."""
    return tuple(text for model in served_models(run) for text in (model.name, str(model.version)))


def names_of(models: Sequence[Model]) -> list[str]:
    """Registered names with their versions, as in recsys-mlp/3."""
    return [f"{model.name}/{model.version}" for model in models]


def model_columns(models: Sequence[Model]) -> dict[str, Any]:
    """Values of model_name and model_version: of several models the name tells their versions too, and the version,
    which would be that of one of them, is null."""
    if len(models) == 1:
        return {c.MODEL_NAME: models[0].name, c.MODEL_VERSION: models[0].version}
    return {c.MODEL_NAME: JOINED.join(names_of(models)), c.MODEL_VERSION: None}


def _model_of(figures: Mapping[str, Any]) -> Model:
    return Model(
        name=figures[c.MODEL_NAME],
        version=int(figures[c.MODEL_VERSION]),
        family=figures.get(c.FAMILY, FEATURES),
        history=figures.get(c.HISTORY, 0),
        history_events=tuple(figures.get(c.HISTORY_EVENTS, ())),
        item_words=tuple(figures.get(c.ITEM_WORDS, ())),
        neighbours=figures.get(c.NEIGHBOURS, 0),
    )


def _require_trained(run: Run, names: Sequence[str], trained: Mapping[str, Any], day: date | None) -> None:
    missing = [name for name in names if registered_name(name) not in trained]
    if missing:
        there = [name.removeprefix(registered_name("")) for name in sorted(trained)]
        until = "" if day is None else f" for {day} or a day before"
        raise InputError(
            f"score.models names {missing}, of which no training is recorded in {run.lake.root}{until}; models with "
            f"one: {there}. Cure: run the job train with train.model={missing[0]} for this run date (after "
            "build_features and build_examples), or take the name out of score.models"
        )
