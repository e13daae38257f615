"""Whether two time formats of a mapping can read one text as two days. No framework: a mapping is checked before any
session starts."""

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, product

from recsys.errors import ConfigError

ISO = "iso"
UNIX_UNITS_PER_SECOND = {
    "unix_seconds": 1,
    "unix_milliseconds": 10**3,
    "unix_microseconds": 10**6,
    "unix_nanoseconds": 10**9,
}

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_YEAR, _MONTH, _DAY = "yu", "ML", "d"
_CLOCK = {"H": "%H", "k": "%H", "h": "%I", "K": "%I", "m": "%M", "s": "%S"}
_OFFSETS = {"X": "Z", "x": "+00", "Z": "+0000", "V": "UTC", "z": "UTC", "O": "GMT+0"}
_OFFSET = r"(?:[A-Za-z][A-Za-z_/]*(?:[+-]\d+(?::\d+)?)?|[+-]\d{2}(?::?\d{2}){0,2})"
_KNOWN = {*_YEAR, *_MONTH, _DAY, "E", "S", "a", *_CLOCK, *_OFFSETS}
_MONTHS = [name.lower() for name in calendar.month_abbr]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Numbers that may be a day, a month or a year of two digits, each beside each.
_SMALL = (1, 2, 3, 10, 11, 12)
_TIMES = tuple(
    datetime(2000 + year, month, day, hour, 11, 12, tzinfo=UTC)
    for year, month, day, hour in product(_SMALL, _SMALL, _SMALL, (1, 10))
)


@dataclass(frozen=True, kw_only=True)
class _Format:
    """`write`: the texts of a time, with and without what is optional; `read`: the day that a text says, None where it
    does not fit whole."""

    write: Callable[[datetime], Sequence[str]]
    read: Callable[[str], date | None]


def require_one_day_a_text(formats: Sequence[str]) -> None:
    """Raises ConfigError with a text that two of the formats read as different days, or for a letter of which it cannot
    be told what it reads."""
    if len(formats) < 2:
        return
    known = [(name, _format(name)) for name in formats]
    for (one, first), (other, second) in combinations(known, 2):
        texts = (text for at in _TIMES for text in (*first.write(at), *second.write(at)))
        for text in texts:
            days = first.read(text), second.read(text)
            if None not in days and days[0] != days[1]:
                raise ConfigError(
                    f"time.format: {one!r} and {other!r} can read one text as different days: {text!r} as {days[0]} or "
                    f"as {days[1]}. Cure: keep the format that the log uses, or clean the files that are written in "
                    "the other one as a source of their own"
                )


def _format(name: str) -> _Format:
    if name in UNIX_UNITS_PER_SECOND:
        return _unix(UNIX_UNITS_PER_SECOND[name])
    if name == ISO:
        patterns = [_pattern(text) for text in ("yyyy-MM-dd' 'HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ssX", "yyyy-MM-dd")]
        regex = re.compile(r"(?P<y>\d{4})-(?P<M>\d{2})-(?P<d>\d{2})(?:[T ]\d{1,2}:.*)?", re.DOTALL)
        return _Format(write=lambda at: [text for of in patterns for text in of.write(at)], read=_reader(regex))
    return _pattern(name)


def _unix(units_per_second: int) -> _Format:
    def read(text: str) -> date | None:
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            return None
        try:
            return (_EPOCH + timedelta(seconds=float(text) / units_per_second)).date()
        except OverflowError:
            return date.max

    return _Format(write=lambda at: [str(int(at.timestamp()) * units_per_second)], read=read)


def _pattern(text: str) -> _Format:
    """Of a Spark pattern; brackets hold what is optional."""
    regex, whole, bare, depth = "", "", "", 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "]"):
            regex, depth = regex + ("(?:" if token[0] == "[" else ")?"), depth + (1 if token[0] == "[" else -1)
            continue
        reads, writes = _letters(token[0], text) if token[2] else _literal(token)
        regex, whole, bare = regex + reads, whole + writes, bare + (writes if depth == 0 else "")
    texts = dict.fromkeys((whole, bare))
    return _Format(write=lambda at: [at.strftime(each) for each in texts], read=_reader(re.compile(_named_once(regex))))


def _literal(token: re.Match[str]) -> tuple[str, str]:
    sign = (token[1].replace("''", "'") or "'") if token[1] is not None else token[0]
    return re.escape(sign), sign.replace("%", "%%")


def _letters(letters: str, pattern: str) -> tuple[str, str]:
    """What they read, as a regular expression, and what they write, as for strftime."""
    letter, count = letters[0], len(letters)
    if letter not in _KNOWN:
        raise ConfigError(
            f"time.format: {pattern!r} cannot be compared with the other formats, for {letter!r} may read any day; "
            f"with several formats a pattern may have the letters {''.join(sorted(_KNOWN))}"
        )
    digits = r"\d{1,2}" if count == 1 else rf"\d{{{count}}}"
    if letter in _YEAR:
        return (r"(?P<y>\d{2})", "%y") if count == 2 else (rf"(?P<y>\d{{{count},4}})", "%Y")
    if letter in _MONTH:
        return (r"(?P<M>[A-Za-z]+)", "%b" if count == 3 else "%B") if count > 2 else (f"(?P<M>{digits})", "%m")
    if letter == _DAY:
        return f"(?P<d>{digits})", "%d"
    if letter == "S":
        return rf"\d{{1,{count}}}", "0" * count
    if letter in _CLOCK:
        return digits, _CLOCK[letter]
    return (r"[A-Za-z]+", "%p" if letter == "a" else "%a") if letter in "aE" else (_OFFSET, _OFFSETS[letter])


def _named_once(regex: str) -> str:
    """Of a part of the day that is said twice the first counts."""
    for name in ("y", "M", "d"):
        first, *others = regex.split(f"(?P<{name}>")
        regex = first + "".join(("(?P<" + name + ">" if i == 0 else "(?:") + part for i, part in enumerate(others))
    return regex


def _reader(regex: re.Pattern[str]) -> Callable[[str], date | None]:
    def read(text: str) -> date | None:
        found = regex.fullmatch(text)
        if found is None or not {"y", "M", "d"} <= set(regex.groupindex):
            return None
        year, month, day = (found[name] or "0" for name in ("y", "M", "d"))
        number = _MONTHS.index(month[:3].lower()) if month[:3].lower() in _MONTHS else month
        try:
            return date(int(year) + (2000 if len(year) == 2 else 0), int(number), int(day))
        except ValueError:
            return None

    return read
