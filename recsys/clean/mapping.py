"""Source mappings, conf/sources/<name>.yaml: how the files of one shop's log become tables. Typed and checked.

conf/sources/online_retail.yaml and complete_journey.yaml show every key with a comment.
"""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from recsys import columns as c
from recsys.clean.kinds import NUMBER, TEXT, TIME
from recsys.clean.time_formats import ISO, UNIX_UNITS_PER_SECOND, require_one_day_a_text
from recsys.config import SOURCE_SETTINGS, SOURCES, build_section, load_yaml
from recsys.errors import ConfigError, InputError

FORMATS = ("csv", "json", "parquet")
EVENT_TYPES = ("impression", "view", "cart", "purchase")
UNITS = {"whole": 100, "hundredths": 1}
PACKAGE_PREFIX = "package://"
_PARTS_OF_A_DAY = ("year", "month", "day")


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    """`column_names`: for files without a header line; null: the first line of each file is its header.
    `multi_line`: values within quotes may hold line breaks; each file is then read by one task."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "UTF-8"
    multi_line: bool = False
    column_names: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class KnownMapping:
    """When a file became known, told by its path: `pattern` has the groups year, month and day; the file became known
    `delay_days` after this day began on the clock of `zone`."""

    pattern: str
    delay_days: int = 1
    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            found = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ConfigError(f"known.pattern must be a regular expression, got {self.pattern!r}: {error}") from error
        if missing := [name for name in _PARTS_OF_A_DAY if name not in found]:
            raise ConfigError(
                f"known.pattern {self.pattern!r} lacks the groups {missing}; give it as "
                r"'(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)' or the like"
            )
        if self.delay_days < 0:
            raise ConfigError(f"known.delay_days must be at least 0, got {self.delay_days}")
        _require_zone("known.zone", self.zone)

    def known_ms(self, path: str) -> int:
        """Milliseconds since 1970. Raises InputError for a path that says no day."""
        found = re.search(self.pattern, path)
        try:
            parts = [int(found[name]) for name in _PARTS_OF_A_DAY] if found else []
            begins = datetime(*parts, tzinfo=ZoneInfo(self.zone))  # type: ignore[arg-type, misc]  # year, month, day
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path}: its name does not say when it became known; in it known.pattern {self.pattern!r} finds "
                f"{found[0] if found else 'nothing'!r}, expected a day. Nothing was read. Cure: rename the file, take "
                "it out of the input folder, or correct 'known' in the mapping"
            ) from error
        return int((begins + timedelta(days=self.delay_days)).timestamp() * 1000)


@dataclass(frozen=True, kw_only=True)
class TableMapping:
    """What every table's mapping says. `optional` names source columns that a file may lack; they are null then.
    `ignored` names those that nobody needs; columns that are neither mapped nor ignored are rescued. `mixed_types`
    names those whose kind may differ from file to file. `known`: how a file's name tells when it became known; without
    it the time tells when it was last modified."""

    files: str
    format: str
    columns: dict[str, str]
    csv: CsvOptions = field(default_factory=CsvOptions)
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    integer_like: tuple[str, ...] = ()
    mixed_types: tuple[str, ...] = ()
    known: KnownMapping | None = None

    def __post_init__(self) -> None:
        _require_known("format", [self.format], FORMATS)
        _require_known("columns", self.columns, (*self.needed(), *self.possible()))
        _require_known("integer_like", self.integer_like, self.columns)
        missing = [name for name in self.needed() if name not in self.columns]
        if missing:
            raise ConfigError(f"'columns' lacks {missing}; give each as our name: the source's column")

    def needed(self) -> tuple[str, ...]:
        raise NotImplementedError

    def possible(self) -> tuple[str, ...]:
        return ()

    def source_columns(self) -> dict[str, str]:
        """The line of the mapping that names it → source column."""
        return {f"columns.{name}": source for name, source in self.columns.items()}

    def kind_of_line(self, line: str) -> str:
        """What the line reads its column as."""
        return NUMBER if line in (f"columns.{c.QUANTITY}", "amount.column", "period.week") else TEXT


@dataclass(frozen=True, kw_only=True)
class TimeMapping:
    """`format` is `iso`, a unix_… unit or a Spark pattern, or a list of them: of a text the first counts that fits it
    whole. `zone` is that of times written without an offset."""

    column: str
    format: str | tuple[str, ...] = ISO
    zone: str = "UTC"

    def __post_init__(self) -> None:
        _require_zone("time.zone", self.zone)
        if not self.formats:
            raise ConfigError("time.format: the list is empty; give at least one format, such as iso")
        require_one_day_a_text(self.formats)

    @property
    def formats(self) -> tuple[str, ...]:
        """In the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format

    @property
    def kind(self) -> str:
        """What the column is read as."""
        kinds = {NUMBER if name in UNIX_UNITS_PER_SECOND else TIME for name in self.formats}
        return next(iter(kinds)) if len(kinds) == 1 else TEXT


@dataclass(frozen=True, kw_only=True)
class EventTypeMapping:
    """Either one type for all rows, or a column whose values are translated."""

    constant: str | None = None
    column: str | None = None
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.constant is None) == (self.column is None):
            raise ConfigError("event_type takes either 'constant', or 'column' with 'values'")
        types = [self.constant] if self.constant is not None else list(self.values.values())
        _require_known("event_type", types, EVENT_TYPES)


@dataclass(frozen=True, kw_only=True)
class AmountMapping:
    """`unit` whole: 2.5 is two and a half pounds; hundredths: 250 is. `multiply_by_quantity`: the price of one."""

    column: str
    unit: str
    multiply_by_quantity: bool = False

    def __post_init__(self) -> None:
        _require_known("amount.unit", [self.unit], UNITS)


@dataclass(frozen=True, kw_only=True)
class FlagMapping:
    """True unless the value is blank or one of `false_values`."""

    column: str
    false_values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PeriodMapping:
    """Either a week number, week 1 starting on `first_week_starts`, or two columns with ISO days: the first, and the
    day after the last (`ends_before`) or the last itself (`ends_on`)."""

    week: str | None = None
    first_week_starts: str | None = None
    starts_on: str | None = None
    ends_before: str | None = None
    ends_on: str | None = None

    def __post_init__(self) -> None:
        names = ("week", "first_week_starts", "starts_on", "ends_before", "ends_on")
        given = [name for name in names if getattr(self, name)]
        if given not in (["week", "first_week_starts"], ["starts_on", "ends_before"], ["starts_on", "ends_on"]):
            raise ConfigError(
                "period takes either 'week' with 'first_week_starts', or 'starts_on' with 'ends_before' or 'ends_on'; "
                f"found {given}"
            )
        if self.first_week_starts is not None:
            _require_day("period.first_week_starts", self.first_week_starts)

    def source_columns(self) -> dict[str, str]:
        names = ("week", "starts_on", "ends_before", "ends_on")
        return _given({f"period.{name}": getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class EligibleMapping:
    """Items that may be recommended: none of the values in `exclude`, and each pattern of `matches` found."""

    exclude: dict[str, tuple[str, ...]] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EventsMapping(TableMapping):
    """`key`: columns of ours that name one row; a second row with the same values is a key duplicate."""

    time: TimeMapping
    event_type: EventTypeMapping
    amount: AmountMapping | None = None
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_known("key", self.key, (*self.columns, c.EVENT_TS, c.EVENT_TYPE))
        if self.amount and self.amount.multiply_by_quantity and c.QUANTITY not in self.columns:
            raise ConfigError("amount.multiply_by_quantity needs a column for 'quantity' under 'columns'")

    def needed(self) -> tuple[str, ...]:
        return (c.USER_ID, c.ITEM_ID)

    def possible(self) -> tuple[str, ...]:
        return (c.BASKET_ID, c.STORE_ID, c.DEVICE, c.QUANTITY)

    def source_columns(self) -> dict[str, str]:
        more = {"time.column": self.time.column, "event_type.column": self.event_type.column}
        amount = {"amount.column": self.amount.column} if self.amount else {}
        return super().source_columns() | _given(more) | amount

    def kind_of_line(self, line: str) -> str:
        return self.time.kind if line == "time.column" else super().kind_of_line(line)


@dataclass(frozen=True, kw_only=True)
class ItemsMapping(TableMapping):
    """`is_repeated`: the files hold many rows an item, as event files do; the most frequent value of a column wins, on
    each day in clean.item_history, on all days together in clean.items.

    `time`: from when on such a row's values hold; rows that are read from the event files have the events' own.
    """

    eligible: EligibleMapping = field(default_factory=EligibleMapping)
    is_repeated: bool = False
    time: TimeMapping | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time is not None and not self.is_repeated:
            raise ConfigError(
                "items.time is for files with many rows an item (is_repeated: true); where an item has one row, its "
                "values hold from the day that the file became known. Cure: leave 'time' out"
            )
        _require_known("eligible.exclude", self.eligible.exclude, self.columns)
        _require_known("eligible.matches", self.eligible.matches, self.columns)

    def needed(self) -> tuple[str, ...]:
        return (c.ITEM_ID,)

    def possible(self) -> tuple[str, ...]:
        return (c.NAME, c.DEPARTMENT, c.CATEGORY, c.BRAND, c.SELLER)

    def source_columns(self) -> dict[str, str]:
        return super().source_columns() | ({"time.column": self.time.column} if self.time else {})

    def kind_of_line(self, line: str) -> str:
        return self.time.kind if self.time and line == "time.column" else super().kind_of_line(line)


@dataclass(frozen=True, kw_only=True)
class UsersMapping(TableMapping):
    """`is_complete`: whoever is not in these files is an unknown user; else the users of events are added."""

    is_complete: bool
    attributes: tuple[str, ...] = ()
    is_opted_out: FlagMapping | None = None

    def needed(self) -> tuple[str, ...]:
        return (c.USER_ID,)

    def source_columns(self) -> dict[str, str]:
        attributes = {f"attributes[{i}]": name for i, name in enumerate(self.attributes)}
        opted_out = {"is_opted_out.column": self.is_opted_out.column} if self.is_opted_out else {}
        return super().source_columns() | attributes | opted_out


@dataclass(frozen=True, kw_only=True)
class PromotionsMapping(TableMapping):
    """A flag that is not mapped is false."""

    period: PeriodMapping
    is_displayed: FlagMapping | None = None
    is_mailed: FlagMapping | None = None

    def needed(self) -> tuple[str, ...]:
        return (c.ITEM_ID, c.STORE_ID)

    def source_columns(self) -> dict[str, str]:
        flags = {
            f"{name}.column": flag.column
            for name, flag in ((c.IS_DISPLAYED, self.is_displayed), (c.IS_MAILED, self.is_mailed))
            if flag
        }
        return super().source_columns() | self.period.source_columns() | flags


@dataclass(frozen=True, kw_only=True)
class CampaignsMapping(TableMapping):
    """When each campaign of offers runs."""

    period: PeriodMapping

    def needed(self) -> tuple[str, ...]:
        return (c.CAMPAIGN_ID,)

    def source_columns(self) -> dict[str, str]:
        return super().source_columns() | self.period.source_columns()


@dataclass(frozen=True, kw_only=True)
class OffersMapping(TableMapping):
    """A row an item that an offer of a campaign is for."""

    def needed(self) -> tuple[str, ...]:
        return (c.CAMPAIGN_ID, c.OFFER_ID, c.ITEM_ID)


@dataclass(frozen=True, kw_only=True)
class OffersSentMapping(TableMapping):
    """A row a user to whom the offers of a campaign were given when it began."""

    def needed(self) -> tuple[str, ...]:
        return (c.CAMPAIGN_ID, c.USER_ID)


@dataclass(frozen=True, kw_only=True)
class RedemptionsMapping(TableMapping):
    """`redeemed_on`: column with an ISO day."""

    redeemed_on: str

    def needed(self) -> tuple[str, ...]:
        return (c.CAMPAIGN_ID, c.OFFER_ID, c.USER_ID)

    def source_columns(self) -> dict[str, str]:
        return super().source_columns() | {c.REDEEMED_ON: self.redeemed_on}


@dataclass(frozen=True, kw_only=True)
class SourceMapping:
    """One shop's log. `note`, if any, is shown with its results; `input` is the folder when source.input gives none.

    A log with offers says all of `campaigns`, `offers`, `offers_sent` and `redemptions`.
    """

    local_time_zone: str
    events: EventsMapping
    items: ItemsMapping
    users: UsersMapping | None = None
    promotions: PromotionsMapping | None = None
    campaigns: CampaignsMapping | None = None
    offers: OffersMapping | None = None
    offers_sent: OffersSentMapping | None = None
    redemptions: RedemptionsMapping | None = None
    input: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        _require_zone("local_time_zone", self.local_time_zone)
        missing = [name for name, table in self.of_offers.items() if table is None]
        if 0 < len(missing) < len(self.of_offers):
            raise ConfigError(
                f"a log with offers maps all of {list(self.of_offers)}, for what an offer changes is learned from all "
                f"of them; it lacks {missing}. Cure: map these files too, or leave the others out"
            )

    @property
    def of_offers(self) -> dict[str, TableMapping | None]:
        """By source table."""
        return {
            "campaigns": self.campaigns,
            "offers": self.offers,
            "offers_sent": self.offers_sent,
            "redemptions": self.redemptions,
        }

    @property
    def tables(self) -> dict[str, TableMapping]:
        """By source table, in the order in which they are read."""
        found = {"items": self.items, "users": self.users, "promotions": self.promotions, **self.of_offers}
        found |= {"events": self.events}
        return {name: table for name, table in found.items() if table is not None}


def mapping_file(conf_folder: Path, name: str) -> Path:
    """Raises ConfigError with the known names."""
    file = conf_folder / SOURCES / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in (conf_folder / SOURCES).glob("*.yaml"))
        raise ConfigError(f"source.name {name!r} is unknown: {file} does not exist; known sources: {known}")
    return file


def load_mapping(file: Path) -> SourceMapping:
    """Raises ConfigError for an unknown key or a contradiction, naming the file.

    Its sections SOURCE_SETTINGS belong to the configuration (see `recsys.config.load_config`).
    """
    try:
        keys = {key: value for key, value in load_yaml(file).items() if key not in SOURCE_SETTINGS}
        return _sharing_files(build_section(SourceMapping, keys, where=file.name))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def _sharing_files(mapping: SourceMapping) -> SourceMapping:
    """Where items are read from the event files, their columns are no news to the events, and their rows have the
    events' time and became known with them."""
    events, items = mapping.events, mapping.items
    if items.files != events.files:
        return mapping
    ignored = (*events.ignored, *items.source_columns().values())
    if items.is_repeated and items.time is None:
        is_optional = events.time.column in events.optional
        optional = (*items.optional, *([events.time.column] if is_optional else []))
        items = replace(items, time=events.time, optional=optional)
    items = replace(items, known=items.known or events.known)
    return replace(mapping, events=replace(events, ignored=ignored), items=items)


def input_folder(mapping: SourceMapping, given: str | None) -> str:
    """`source.input`, or the mapping's own; `package://name/folder` is a folder inside an installed Python package."""
    folder = given or mapping.input
    if folder is None:
        raise InputError("this source has no folder of its own; give one with --set source.input=<folder or URI>")
    if not folder.startswith(PACKAGE_PREFIX):
        return folder if "://" in folder else str(Path(folder).expanduser().resolve())
    package, _, inner = folder.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the source lies inside the Python package {package!r}, which is not installed. "
            f"Cure: pip install {package.replace('_', '-')}, or give another folder with --set source.input=<folder>"
        )
    return str(Path(spec.submodule_search_locations[0]) / inner)


def _require_known(key: str, found: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ConfigError(f"unknown names in {key!r}: {unknown}; known names: {known}")


def _require_zone(key: str, name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{key} must be a time zone such as Europe/London, got {name!r}") from error


def _require_day(key: str, text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f'{key} must be a day such as "2016-12-26", got {text!r}') from error


def _given(columns: dict[str, str | None]) -> dict[str, str]:
    return {key: column for key, column in columns.items() if column is not None}
