"""One JSON object a line for each figure; a ratio above 1 is better than the peer."""

import json
import sys


def emit(  # noqa: PLR0913  # the keys of one line
    benchmark: str,
    case: str,
    value: float,
    unit: str,
    *,
    peer: str | None = None,
    peer_value: float | None = None,
    is_higher_better: bool = True,
    digits: int = 3,
) -> None:
    ratio = None
    if peer_value is not None:
        ratio = round(value / peer_value if is_higher_better else peer_value / value, 3)
    line = {
        "benchmark": benchmark,
        "case": case,
        "value": round(value, digits),
        "unit": unit,
        "peer": peer,
        "peer_value": None if peer_value is None else round(peer_value, digits),
        "ratio": ratio,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
