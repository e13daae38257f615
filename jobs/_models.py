"""The registered models that evaluate and score use: the newest, or the newest of each that score.models names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from recsys import columns as c
from recsys.errors import ConfigError, InputError
from recsys.families import FACTORS, FEATURES, HISTORIES, RANKING_CANDIDATES, TOWERS
from recsys.lake.runs import newest_figures, newest_trainings
from recsys.scoring.fusion import JOINED
from recsys.stages import Run
from recsys.tracking import registered_name

_SCORE_MODELS, _FACTORS_MODEL = "score.models", "candidates.factors_model"


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
    reads_text_vectors: bool = False
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
    _require_trained(run, _SCORE_MODELS, run.config.score.models, trained, run.day)
    return tuple(_model_of(trained[registered_name(name)]) for name in run.config.score.models)


def factors_model(run: Run) -> Model | None:
    """The newest training of candidates.factors_model for the run date or a day before; None where none is named.

    Raises InputError where there is no training, ConfigError where the model does not rank all items.
    """
    require_factors_model(run)
    return _factors_model(run, run.day)


def require_factors_model(run: Run) -> None:
    """Raises ConfigError unless candidates.factors_model ranks all items: by its name, before anything has run."""
    name = run.config.candidates.factors_model
    if name is None:
        return
    from recsys.models.registry import MODELS, names_of  # torch comes with it: only where a model is named

    able = names_of(*sorted({kind.family for kind in MODELS.values()} - set(RANKING_CANDIDATES)))
    if name not in able:
        what = (
            f"a model of {MODELS[name].family}, which ranks candidates itself" if name in MODELS else "no known model"
        )
        raise ConfigError(
            f"{_FACTORS_MODEL} is {name}, {what}; expected one that ranks all items: {able}. Cure: name one of them, "
            "such as mf, and train it"
        )


def require_trained(run: Run) -> None:
    """Before the stages that come first in a pipeline have run: of score.models and candidates.factors_model, all but
    the one that this pipeline trains have a training, and somebody takes the candidates of the latter."""
    require_factors_model(run)
    _require_candidates_taken(run)
    others = [name for name in run.config.score.models if name != run.config.train.model]
    if others:
        trained = newest_trainings(run.lake, run.run_date or date.max)
        _require_trained(run, _SCORE_MODELS, others, trained, run.run_date)
    if run.config.candidates.factors_model != run.config.train.model:
        _factors_model(run, run.run_date)


def model_inputs(run: Run) -> tuple[str, ...]:
    """What a stage that uses the models depends on outside its tables."""
    of_candidates = factors_model(run)
    models = (*served_models(run), *([of_candidates] if of_candidates else ()))
    return tuple(text for model in models for text in (model.name, str(model.version)))


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
        reads_text_vectors=figures.get(c.ITEM_VECTOR, False),
        neighbours=figures.get(c.NEIGHBOURS, 0),
    )


def _require_candidates_taken(run: Run) -> None:
    name, trained = run.config.candidates.factors_model, run.config.train.model
    if name is None or name != trained or set(run.config.score.models) - {name}:
        return
    raise ConfigError(
        f"{_FACTORS_MODEL} and train.model are both {name}, which ranks all items: nobody takes the candidates that it "
        f"would name. Expected a model that ranks candidates, such as mlp, as train.model or in {_SCORE_MODELS}. Cure: "
        f"train {name} first (train --set train.model={name}) and then run with train.model=mlp, or leave out "
        f"{_FACTORS_MODEL} and candidates.factor_items"
    )


def _factors_model(run: Run, day: date | None) -> Model | None:
    name = run.config.candidates.factors_model
    if name is None:
        return None
    trained = newest_trainings(run.lake, day or date.max)
    _require_trained(run, _FACTORS_MODEL, [name], trained, day)
    return _model_of(trained[registered_name(name)])


def _require_trained(
    run: Run, setting: str, names: Sequence[str], trained: Mapping[str, Any], day: date | None
) -> None:
    missing = [name for name in names if registered_name(name) not in trained]
    if missing:
        there = [name.removeprefix(registered_name("")) for name in sorted(trained)]
        until = "" if day is None else f" for {day} or a day before"
        raise InputError(
            f"{setting} names {missing}, of which no training is recorded in {run.lake.root}{until}; models with "
            f"one: {there}. Cure: run the job train with train.model={missing[0]} for this run date (after "
            f"build_features and build_examples), or take the name out of {setting}"
        )
