"""Which country a store is in, and its holidays ahead: the calendar is known long before, whatever the cut-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.config import ALL_PLACES

DAYS_AHEAD = 7


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """`countries`: store → country; a store that is not listed may be one itself. `holidays`: country, or store, → days
    on the shop's clock."""

    countries: Mapping[str, str]
    stores_are_countries: bool
    holidays: Mapping[str, frozenset[date]]


def calendar_of(
    countries: Mapping[str, str], holidays: Mapping[str, Sequence[str]], *, stores_are_countries: bool = False
) -> Calendar:
    """From days such as 2017-12-25."""
    days = {place: frozenset(map(date.fromisoformat, of_place)) for place, of_place in holidays.items()}
    return Calendar(countries=countries, stores_are_countries=stores_are_countries, holidays=days)


def country(calendar: Calendar) -> Column:
    """Of the row's store; null where nothing tells it."""
    listed = {store: country for store, country in calendar.countries.items() if store != ALL_PLACES}
    store = F.col(c.STORE_ID)
    other = store if calendar.stores_are_countries else F.lit(calendar.countries.get(ALL_PLACES)).cast("string")
    return F.coalesce(_looked_up(listed, store), other)


def holidays_ahead(calendar: Calendar, as_of_dates: Sequence[date], country: Column) -> Column:
    """Holidays of the country, or of the store where it has its own, from the row's cut-off on, 7 days long."""
    everywhere = calendar.holidays.get(ALL_PLACES, frozenset())
    counts = {
        f"{day} {place}": _holidays_from(day, everywhere | of_place)
        for day in as_of_dates
        for place, of_place in {ALL_PLACES: frozenset(), **calendar.holidays}.items()
    }
    found = (
        _looked_up(counts, F.concat(F.col(c.AS_OF_DATE).cast("string"), F.lit(" "), place))
        for place in (F.col(c.STORE_ID), country, F.lit(ALL_PLACES))
    )
    return F.coalesce(*found).cast("int")


def _holidays_from(day: date, holidays: frozenset[date]) -> int:
    return sum(day <= holiday < day + timedelta(days=DAYS_AHEAD) for holiday in holidays)


def _looked_up(values: Mapping[str, str] | Mapping[str, int], key: Column) -> Column:
    """Null for a key that is not there, or null."""
    if not values:
        return F.lit(None).cast("string")
    entries = F.create_map(*(F.lit(part) for entry in sorted(values.items()) for part in entry))
    return F.try_element_at(entries, key)
