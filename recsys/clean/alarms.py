"""Stops a log of which too much is rejected before any of it is published."""

from collections.abc import Iterable, Mapping, Sequence

from recsys.clean.quality import DayCounts, summed_by
from recsys.clean.reasons import REASONS
from recsys.config import CleanConfig
from recsys.errors import ConfigError, DataQualityError

_NUM_SHOWN = 5
_NUM_RULES_SHOWN = 3


def require_known_rules(limits: CleanConfig) -> None:
    """Raises ConfigError for a threshold of a rule that there is not."""
    if unknown := sorted(set(limits.alarm_rule_shares) - set(REASONS)):
        raise ConfigError(f"clean.alarm_rule_shares names unknown rules {unknown}; known rules: {sorted(REASONS)}")


def require_below_alarms(counts: Mapping[str, Sequence[DayCounts]], limits: CleanConfig) -> None:
    """Raises DataQualityError where the share of rejected records of a day or file, or that of one rule, is too large.

    Days are those of all files of a table together. Duplicates are not rejected, but have a rule that may be watched.
    """
    alarms = [
        alarm for days in counts.values() for where, sums in _watched(days) for alarm in _alarms(where, sums, limits)
    ]
    if alarms:
        more = f"; and {len(alarms) - _NUM_SHOWN} more" if len(alarms) > _NUM_SHOWN else ""
        raise DataQualityError(
            f"too many records are rejected: {'; '.join(alarms[:_NUM_SHOWN])}{more}. Nothing was written. Cure: "
            "correct the files or the mapping; if they are meant to be so, let them through with the named key, by "
            "--set for this run or under 'clean' of the source's mapping for good"
        )


def _watched(days: Sequence[DayCounts]) -> Iterable[tuple[str, DayCounts]]:
    by_day = summed_by((day for day in days if day.event_date is not None), lambda day: day.event_date)
    yield from ((f"day {day}", sums) for day, sums in sorted(by_day.items(), key=str))
    by_file = summed_by(days, lambda day: day.source_file)
    yield from ((f"file {file}", sums) for file, sums in sorted(by_file.items()))


def _alarms(where: str, sums: DayCounts, limits: CleanConfig) -> Iterable[str]:
    if sums.rows_read < limits.alarm_min_rows:
        return
    what = f"{sums.source_table}, {where}"
    share = sums.rows_quarantined / sums.rows_read
    if share > limits.alarm_rejected_share:
        yield (
            f"{what}: {share:.1%} of {sums.rows_read} records, clean.alarm_rejected_share is "
            f"{limits.alarm_rejected_share:g} (largest rules: {_largest(sums)})"
        )
    for rule, limit in sorted(limits.alarm_rule_shares.items()):
        if (found := sums.rule_shares.get(rule, 0)) > limit:
            yield f"{what}: {found:.1%} by rule {rule}, clean.alarm_rule_shares allows {limit:g}"


def _largest(sums: DayCounts) -> str:
    shares = sorted(sums.rule_shares.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{rule} {share:.1%}" for rule, share in shares[:_NUM_RULES_SHOWN])
