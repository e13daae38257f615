"""Every reason that clean.quarantine and ops.quality may give, with its sentence."""

from recsys.clean.across import ACROSS
from recsys.clean.duplicates import EXACT_DUPLICATE, KEY_DUPLICATE
from recsys.clean.rules import RULES

REASONS: dict[str, str] = {
    **{name: rule.sentence for name, rule in RULES.items()},
    EXACT_DUPLICATE: "The record stands in the log a second time",
    KEY_DUPLICATE: "Another row has the key that the mapping says is unique",
    **{name: sentence for rule in ACROSS.values() for name, sentence in rule.reasons.items()},
}
