from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from recsys.clean.alarms import require_below_alarms, require_known_rules
from recsys.clean.quality import DayCounts
from recsys.clean.reasons import REASONS
from recsys.clean.rules import RULES
from recsys.config import CleanConfig, load_config
from recsys.errors import ConfigError, DataQualityError

MAY_1, MAY_2 = date(2024, 5, 1), date(2024, 5, 2)


def limits(**changes: Any) -> CleanConfig:
    return replace(load_config([]).clean, **{"alarm_min_rows": 10, "alarm_rejected_share": 0.4, **changes})


def counts(file: str, day: date | None, kept: int, quarantined: int, **by_rule: int) -> DayCounts:
    return DayCounts(
        source_table="events", source_file=file, event_date=day, rows_kept=kept, rows_quarantined=quarantined,
        rows_duplicate=0, by_rule=by_rule,
    )  # fmt: skip


def test_a_day_of_which_too_much_is_rejected_is_named_with_its_rules_and_the_key() -> None:
    days = [
        counts("a.csv", MAY_1, 4, 1),
        counts("b.csv", MAY_1, 1, 4, missing_user=3, bad_number=4, bad_time=1, missing_item=1),  # the same day: 5 of 10
        counts("b.csv", MAY_2, 20, 0),
    ]
    message = (
        r"events, day 2024-05-01: 50.0% of 10 records, clean.alarm_rejected_share is 0.4 "
        r"\(largest rules: bad_number 40.0%, missing_user 30.0%, bad_time 10.0%\)\. Nothing was written. Cure: .*--set"
    )
    with pytest.raises(DataQualityError, match=message):
        require_below_alarms({"events": days}, limits())
    require_below_alarms({"events": days}, limits(alarm_rejected_share=0.5))
    require_below_alarms({"events": days}, limits(alarm_min_rows=11))


def test_a_file_whose_times_cannot_be_read_is_named_too() -> None:
    with pytest.raises(DataQualityError, match=r"rejected: events, file a.csv: 75.0% of 12 records"):
        require_below_alarms({"events": [counts("a.csv", None, 0, 9), counts("a.csv", MAY_1, 3, 0)]}, limits())


def test_a_rule_may_have_a_threshold_of_its_own() -> None:
    days = {"events": [counts("a.csv", MAY_1, 9, 1, bad_time=1)]}
    require_below_alarms(days, limits(alarm_rule_shares={"bad_time": 0.1}))
    with pytest.raises(DataQualityError, match=r"day 2024-05-01: 10.0% by rule bad_time, clean.alarm_rule_shares allo"):
        require_below_alarms(days, limits(alarm_rule_shares={"bad_time": 0.05}))


def test_a_threshold_of_an_unknown_rule_or_no_share_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown rules \['bad_tim'\]; known rules: \['after_its_file', 'amount_out_of_range'"
    ):
        require_known_rules(limits(alarm_rule_shares={"bad_tim": 0.1}))
    with pytest.raises(
        ConfigError, match=r"clean.alarm_rule_shares: shares lie between 0 and 1, got {'bad_time': 5.0}"
    ):
        limits(alarm_rule_shares={"bad_time": 5.0})


def test_every_reason_has_a_sentence_and_every_limit_of_a_rule_is_a_key() -> None:
    assert all(len(sentence.split()) > 3 for sentence in REASONS.values())
    keys = {key for rule in RULES.values() for key in rule.limits}
    assert len(keys) >= 4
    assert keys <= set(vars(limits()))
