"""What rules, diversity and reasons cost: seconds from feature tables to lists in a Delta table with them, beside the
same lists without.

Usage: python -m benchmarks.shaping [--users N] [--model NAME] [--quick]

Tables and network are those of benchmarks/two_stage.py. Both sides rank lists as long as score.rank_depth asks; seconds
are those of a second run in one session. The limit is 1.3 times the seconds without.
"""

import argparse
import sys
import time
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmarks.report import emit
from benchmarks.two_stage import planted_run
from jobs._candidates import lists_of_candidates, of_run_date, ranked_rows
from jobs._models import Model
from jobs._reasons import with_reasons_of
from jobs._rules import Shaping, depth, facts_loader, shaped
from recsys import columns as c
from recsys import tables
from recsys.scoring.diversity import CATEGORY, MMR, Diversity
from recsys.scoring.rules import AT_MOST, BLOCK, BOOST, Rule
from recsys.stages import Run

LIMIT = 1.3
RULES = (
    Rule(rule_id="gone", kind=BLOCK, item_ids=("i0000007", "i0000042")),
    Rule(rule_id="pushed", kind=BOOST, attribute=CATEGORY, attribute_values=("c0000003",), places=3),
    Rule(rule_id="few", kind=AT_MOST, attribute=CATEGORY, k=3),
)
DIVERSITY = Diversity(method=MMR, by=CATEGORY, weight=0.3)
PLAIN = Shaping(rules=(), diversity=None, excluded=None)


def plain_rows(run: Run, model: Model) -> DataFrame:
    rows = ranked_rows(lists_of_candidates(run, model, depth(run), of_run_date(run)))
    return rows.where(F.col(c.RANK) <= run.config.score.top_n)


def shaped_rows(run: Run, model: Model, shaping: Shaping) -> DataFrame:
    lists = lists_of_candidates(run, model, depth(run), of_run_date(run))
    users = run.lake.read(tables.USERS)
    return shaped(
        run,
        shaping,
        lists.select(c.USER_ID, c.ITEM_IDX, c.SCORE, c.SOURCE, c.CONTRIBUTION),
        users,
        facts_loader(run, run.day),
    )


def seconds_of(run: Run, model: Model, shaping: Shaping, *, has_reasons: bool) -> float:
    """To the written lists."""
    started, run = time.perf_counter(), replace(run)
    rows = plain_rows(run, model) if shaping is PLAIN else shaped_rows(run, model, shaping)
    kept = rows.persist()
    told = with_reasons_of(run, [model], kept, [None], features=run.features) if has_reasons else kept
    told.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(f"{run.lake.root}/lists")
    kept.unpersist()
    return time.perf_counter() - started


def compare(run: Run, model: Model, case: str) -> None:
    shaping = replace(PLAIN, rules=RULES, diversity=DIVERSITY)
    sides = {
        "without": (PLAIN, False),
        "rules": (replace(PLAIN, rules=RULES), False),
        "rules and diversity": (shaping, False),
        "reasons": (PLAIN, True),
        "rules, diversity and reasons": (shaping, True),
    }
    for shape, has_reasons in sides.values():
        seconds_of(run, model, shape, has_reasons=has_reasons)
    seconds = {name: seconds_of(run, model, shape, has_reasons=told) for name, (shape, told) in sides.items()}
    for name in list(sides)[1:]:
        emit(
            "shaping",
            f"{case}, {name}",
            seconds[name],
            "s",
            peer=f"{LIMIT} times the seconds without",
            peer_value=LIMIT * seconds["without"],
            is_higher_better=False,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--quick", action="store_true", help="2,000 users")
    given = parser.parse_args()
    users = 2_000 if given.quick else given.users
    with planted_run(users, given.model) as (run, model, _):
        compare(run, model, f"{users:,} users, {given.model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
