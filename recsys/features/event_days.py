"""Events added up by day, in the shapes that feature tables count from: small, and made once for many cut-offs."""

from dataclasses import dataclass

from pyspark.sql import DataFrame


@dataclass(frozen=True, kw_only=True)
class EventDays:
    """See purchases.py and views.py. All keep `event_date`, so that any window of whole days can be cut from them.

    `view_days` is None for a log without views and carts.
    """

    item_days: DataFrame
    visits: DataFrame
    view_days: DataFrame | None = None
