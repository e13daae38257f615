"""Chains all stages from raw logs to recommendations; a stage is skipped where its inputs, code and settings stand.

Started again after it broke, it goes on with the stage that did not end.
"""

import sys

from jobs import build_examples, build_features, clean_logs, evaluate, score, score_scenes, show, train
from recsys import app
from recsys.stages import Outcome, Run, Stage, run_stage

STAGES: tuple[Stage, ...] = (
    clean_logs.STAGE,
    build_features.STAGE,
    build_examples.STAGE,
    train.STAGE,
    evaluate.STAGE,
    score.STAGE,
)


def run_all(run: Run) -> list[Outcome]:
    stages = (*STAGES, score_scenes.STAGE) if run.config.score.scenes else STAGES
    for stage in stages:
        stage.check(run)
    return [run_stage(stage, run, is_skippable=True) for stage in stages]


if __name__ == "__main__":
    sys.exit(app.run_program("run_pipeline", __doc__, run_all, report=show.report))
