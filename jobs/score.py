"""Ranks items for every user with the newest model, or with several whose lists are fused, checks the lists and
publishes them in recs.top_n."""

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from jobs._candidates import lists_of_candidates, of_run_date, ranked_rows
from jobs._cold_users import with_cold_lists, with_longer_cold_lists
from jobs._day_rules import optional_inputs, optional_reads
from jobs._diverse import vectors_loader
from jobs._fusion import by_member, fused_lists
from jobs._incremental import Rescoring, record, rescoring
from jobs._models import Model, model_columns, model_inputs, require_trained, served_models
from jobs._publishing import Lists, publish
from jobs._reasons import features_of_few, with_reasons_of
from jobs._recall import exact_figures, exact_recall, later_recall, sampled_users, search_recall
from jobs._recommend import (
    Asking,
    all_items_lists,
    asking,
    longer_lists,
    reads_of,
)
from jobs._rules import Shaping, depth, facts_loader, hidden, shaped, shaping_of, write_audit
from jobs._taken import served_users
from recsys import columns as c
from recsys import tables
from recsys.app import main
from recsys.evaluation.list_quality import list_quality
from recsys.evaluation.lists import REPEATS_ALLOWED
from recsys.frames.caches import held
from recsys.lake.interaction_files import delete_vector_files
from recsys.scoring.checks import WithoutList, require_lists, require_publishable
from recsys.scoring.top_n import ALL
from recsys.stages import Figures, Run, Stage

logger = logging.getLogger(__name__)

PUBLISHED = "published"
_AUDITED = (c.USER_ID, c.RULES, c.KEPT_AWAY)
_TEXTS = "array<string>"


def run(run: Run) -> Figures:
    read = run.lake.read
    with held(read(tables.ITEMS), read(tables.ITEM_IDS), run.features.item):
        return _run(run)


def _run(run: Run) -> Figures:
    started = time.monotonic()
    models = served_models(run)
    shaping, served = shaping_of(run, models), served_users(run)
    asked = [_asked_by(asking(run, model, run.day), served) if model.ranks_all_items else None for model in models]
    change = rescoring(run, models, shaping, asked, served)
    scored = _scored(run, models, shaping, asked, change) if change.num_scored != 0 else None
    lists = _all_lists(run, models, change, scored)
    seconds = time.monotonic() - started
    # All that may fail comes before the lists are seen: where the stage fails, they would be taken back.
    quality = _quality(lists.new, run.lake.read(tables.ITEMS)) if change.kept is None else {}
    pairs = 0 if scored is None else _num_pairs_of(scored, change)
    recalls = _recalls(run, models, asked, scored)
    size = publish(run, lists, list(_written_beside(run, shaping, change, scored)))
    _clear(run, (*(scored.held if scored else ()), *change.held))
    without = 0 if scored is None else scored.without.num_users
    num_scored = size.users + without if change.num_scored is None else change.num_scored
    return {
        **asdict(size),
        "users_without_list": without,
        "users_scored": num_scored,
        "users_kept": size.users + without - num_scored,
        "why_all_users": change.why_all,
        **quality,
        **recalls,
        "pairs": pairs,
        "pairs_per_s": round(pairs / seconds),
    }


def _recalls(run: Run, models: Sequence[Model], asked: Sequence[Asking | None], scored: "Scored | None") -> Figures:
    """Of several models the lowest."""
    exact = [exact_recall(counted) for counted in scored.counting.exact.values()] if scored else []
    search = [search_recall(run, one) for one in asked]
    return {
        "candidate_recall": later_recall(run, models),
        "exact_recall": min((recall for recall in exact if recall is not None), default=None),
        "search_recall": min((recall for recall in search if recall is not None), default=None),
    }


def _clear(run: Run, frames: Sequence[DataFrame]) -> None:
    """What cannot be deleted goes with that of the next run: the lists, which are published, stay."""
    try:
        for frame in frames:
            frame.unpersist()
        delete_vector_files(run.lake)
    except Exception as error:
        logger.warning("files of this run are left under %s: %s", run.lake.root, type(error).__name__)


@dataclass(frozen=True, kw_only=True)
class Counting:
    """What Spark counts while lists are made: `pairs`, and of each model that ranks candidates, by its name, what these
    miss: of `sampled` users."""

    pairs: Observation
    exact: Mapping[str, Observation]
    sampled: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Of the users that were scored: rows of recs.top_n, checked, and what they were made from; `held`: in memory."""

    lists: DataFrame
    best: DataFrame
    counting: Counting
    without: WithoutList
    held: tuple[DataFrame, ...]


def _scored(
    run: Run, models: Sequence[Model], shaping: Shaping, asked: Sequence[Asking | None], change: Rescoring
) -> Scored:
    counting, users, features = _counting(run, models, change.users), change.users, run.features
    of_few: list[DataFrame] = []
    if change.kept is not None:
        asked = [_in_memory(_asked_by(one, users)) if one else None for one in asked]
        features = features_of_few(features, users)
        of_few = [*(one.users for one in asked if one), features.user_item, features.user_category]
    best = _best(run, models, asked, shaping, users, counting).persist()
    lists = _published(run, models, with_reasons_of(run, models, best, asked, features=features)).persist()
    items, n = run.lake.read(tables.ITEMS), run.config.score.top_n
    without = require_publishable(lists, items, users, n, hidden=hidden(run, shaping), excluded=shaping.excluded)
    if without.num_users:
        require_lists(without, served_users(run).count(), run.config.publishing.max_users_without_list)
    return Scored(lists=lists, best=best, counting=counting, without=without, held=(lists, best, *of_few))


def _counting(run: Run, models: Sequence[Model], users: DataFrame) -> Counting:
    exact = {model.name: Observation(f"exact-{model.name}") for model in models if not model.ranks_all_items}
    return Counting(pairs=Observation("scored"), exact=exact, sampled=sampled_users(run, users) if exact else [])


def _written_beside(
    run: Run, shaping: Shaping, change: Rescoring, scored: Scored | None
) -> Iterator[Callable[[], object]]:
    yield functools.partial(record, run, change, scored.best if scored else None)
    if shaping.rules:
        scene, rows = run.config.score.scene, _audited(change, scored)
        yield functools.partial(write_audit, run, scene, rows, shaping.rules)


def _all_lists(run: Run, models: Sequence[Model], change: Rescoring, scored: Scored | None) -> Lists:
    if change.kept is None:
        assert scored is not None, "all users are scored"
        return Lists(new=scored.lists)
    kept = _published(run, models, change.kept.lists)
    new = kept.limit(0) if scored is None else scored.lists
    return Lists(new=new, kept=kept, replaced=change.replaced, kept_day=change.kept.day)


def _audited(change: Rescoring, scored: Scored | None) -> DataFrame:
    """The rules that touched each row, and those that kept something away from each user."""
    parts = [] if scored is None else [scored.best.select(*_AUDITED)]
    if change.kept is not None:
        rows, users = change.kept.lists, change.kept.inputs
        parts.append(rows.withColumn(c.KEPT_AWAY, F.lit(None).cast(_TEXTS)).select(*_AUDITED))
        parts.append(users.withColumn(c.RULES, F.lit(None).cast(_TEXTS)).select(*_AUDITED))
    return functools.reduce(DataFrame.unionByName, parts)


def _quality(lists: DataFrame, items: DataFrame) -> Figures:
    one_kind = lists.withColumns({c.LIST_KIND: F.lit(REPEATS_ALLOWED), c.RECOMMENDER: F.lit(PUBLISHED)})
    return {row[c.METRIC]: row[c.VALUE] for row in list_quality(one_kind, items).collect()}


def _best(  # those of the scored, and who these are
    run: Run,
    models: Sequence[Model],
    asked: Sequence[Asking | None],
    shaping: Shaping,
    users: DataFrame,
    counting: Counting,
) -> DataFrame:
    """With `rules` and rank_before_rules; `asked`: of each model, None for one that ranks candidates."""
    if len(models) > 1:
        return _shaped_of_several(run, models, asked, shaping, users, counting)
    (model,), (of_model,) = models, asked
    if shaping.is_plain:
        best = (
            _best_of_candidates(run, model, users, counting)
            if of_model is None
            else _best_of_all(run, of_model, users, counting.pairs)
        )
        return best.withColumns({c.RULES: F.array().cast("array<string>"), c.RANK_BEFORE_RULES: F.col(c.RANK)})
    if of_model is None:
        return _shaped_candidates(run, model, shaping, counting)
    return _shaped_of_all(run, of_model, shaping, users, counting.pairs)


def _best_of_candidates(run: Run, model: Model, users: DataFrame, counting: Counting) -> DataFrame:
    lists = _counted_lists(run, model, run.config.score.top_n, counting)
    ranked = ranked_rows(lists.observe(counting.pairs, _num_pairs(F.col(c.NUM_ITEMS)))).drop(c.NUM_ITEMS)
    return with_cold_lists(run, ranked.persist(), users)


def _best_of_all(run: Run, asked: Asking, users: DataFrame, counted: Observation) -> DataFrame:
    n, of_user = run.config.score.top_n, F.when(F.col(c.RANK) == 1, F.col(c.NUM_ITEMS))
    best = all_items_lists(run, asked, n).observe(counted, _num_pairs(of_user))
    return with_cold_lists(run, best.drop(c.NUM_ITEMS).withColumn(c.SOURCE, F.lit(ALL)).persist(), users)


def _shaped_candidates(run: Run, model: Model, shaping: Shaping, counting: Counting) -> DataFrame:
    lists = _candidate_lists(run, model, shaping, counting).observe(counting.pairs, _num_pairs(F.col(c.NUM_ITEMS)))
    return shaped(run, shaping, lists, served_users(run), facts_loader(run, run.day))


def _shaped_of_all(run: Run, asked: Asking, shaping: Shaping, users: DataFrame, counted: Observation) -> DataFrame:
    lists = _lists_of_all(run, asked, shaping).observe(counted, _num_pairs(F.col(c.NUM_ITEMS)))
    whole = with_longer_cold_lists(run, lists, [asked], users, depth(run))
    load_ranker = asked.load if shaping.is_by_vectors else None
    return shaped(run, shaping, whole, users, facts_loader(run, run.day), load_ranker)


def _shaped_of_several(  # those of _best
    run: Run,
    models: Sequence[Model],
    asked: Sequence[Asking | None],
    shaping: Shaping,
    users: DataFrame,
    counting: Counting,
) -> DataFrame:
    """Vectors that tell how alike items are: those of the first model that has some."""
    of_models = [
        _candidate_lists(run, model, shaping, counting) if of_model is None else _lists_of_all(run, of_model, shaping)
        for model, of_model in zip(models, asked, strict=True)
    ]
    of_members = by_member(of_models).observe(counting.pairs, _num_pairs(F.col(c.NUM_ITEMS)))
    load_facts = facts_loader(run, run.day)
    lists = fused_lists(run, of_members, load_facts, n=run.config.score.top_n, length=depth(run))
    whole = with_longer_cold_lists(run, lists, asked, users, depth(run))
    load_ranker = vectors_loader(models, asked) if shaping.is_by_vectors else None
    return shaped(run, shaping, whole, users, load_facts, load_ranker)


def _counted_lists(run: Run, model: Model, n: int, counting: Counting, excluded: DataFrame | None = None) -> DataFrame:
    lists = lists_of_candidates(run, model, n, of_run_date(run), excluded=excluded, sampled=counting.sampled)
    return lists.observe(counting.exact[model.name], *exact_figures())


def _candidate_lists(run: Run, model: Model, shaping: Shaping, counting: Counting) -> DataFrame:
    lists = _counted_lists(run, model, depth(run), counting, shaping.excluded)
    return lists.select(c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE, c.CONTRIBUTION, c.NUM_ITEMS)


def _lists_of_all(run: Run, asked: Asking, shaping: Shaping) -> DataFrame:
    source = F.transform(c.ITEM_IDX, lambda _: F.lit(ALL))
    return longer_lists(run, asked, depth(run), shaping.excluded).withColumn(c.SOURCE, source)


def _num_pairs_of(scored: Scored, change: Rescoring) -> int:
    """Where the model ranked for none of a few users, Spark leaves the counting out and its result never comes."""
    if change.kept is not None and scored.best.where(F.col(c.SOURCE) == ALL).isEmpty():
        return 0
    return int(scored.counting.pairs.get["pairs"])


def _num_pairs(of_user: Column) -> Column:
    return F.coalesce(F.sum(of_user), F.lit(0)).alias("pairs")


def _asked_by(asked: Asking, users: DataFrame) -> Asking:
    return replace(asked, users=asked.users.join(users.select(c.USER_ID), on=c.USER_ID, how="left_semi"))


def _in_memory(asked: Asking) -> Asking:
    return replace(asked, users=asked.users.persist())


def _published(run: Run, models: Sequence[Model], best: DataFrame) -> DataFrame:
    of_models = model_columns(models)
    constants = {
        c.RUN_DATE: F.lit(run.day),
        c.SCENE: F.lit(run.config.score.scene),
        c.MODEL_NAME: F.lit(of_models[c.MODEL_NAME]),
        c.MODEL_VERSION: F.lit(of_models[c.MODEL_VERSION]).cast("int"),
        c.RUN_ID: F.lit(run.run_id),
    }
    return best.withColumns(constants).select(*tables.TOP_N.column_names)


STAGE = Stage(
    name="score",
    reads=lambda run: (*reads_of(run), *optional_reads(run)),
    # Not ops.publishing: what it says of lists that failed has to stay.
    writes=(tables.TOP_N, tables.RULE_AUDIT, tables.SCORED_INPUTS),
    settings=("examples", "candidates", "train", "score", "publishing", "tracking"),
    run=run,
    check=require_trained,
    inputs=lambda run: (*model_inputs(run), *optional_inputs(run)),
)

if __name__ == "__main__":
    sys.exit(main(STAGE, __doc__))
