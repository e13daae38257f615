"""Every table of the lake, once: name, key, partition, columns with the comments that analysts read in Delta."""

from dataclasses import dataclass

from recsys import catalog
from recsys import columns as c


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its Spark SQL type and the comment that lands in the Delta table."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """`<schema>.<table>`, lying at `<lake.root>/<schema>/<table>`; `key` names one row, `writer` the job.

    `cluster_by`: columns that jobs/maintain.py sorts files by, so that a question about one value opens few of them;
    `ranges_of`: columns of which Delta keeps the range in each file; empty: of `cluster_by`, and without that of all;
    `has_change_feed`: readers may ask which rows changed between two versions.
    """

    name: str
    writer: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    ranges_of: tuple[str, ...] = ()
    has_change_feed: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def schema(self) -> str:
        """As in `CREATE TABLE`."""
        return ", ".join(f"{column.name} {column.type}" for column in self.columns)


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=type_, comment=comment) for name, type_, comment in rows)


_USER = (c.USER_ID, "string", "User as the shop's log names it")
_ITEM = (c.ITEM_ID, "string", "Item as the shop's log names it")
_STORE = (c.STORE_ID, "string", "Store (or country) of the sale; null where the log has none")
_DEVICE = (c.DEVICE, "string", "Device of the user (or sales channel); null where the log does not say")
_SOURCE_FILE = (c.SOURCE_FILE, "string", "File of the raw row, relative to the input folder")
_SOURCE_ROW = (c.SOURCE_ROW, "bigint", "Record number within the file, from 1, header not counted")
_ROW_DATE = (c.EVENT_DATE, "date", "UTC day of the event; null where it cannot be told, and for all but events")
_VALID_TO = (c.VALID_TO, "date", "First UTC day on which they hold no more; null: they hold now")
_SAID_IN = (c.SOURCE_FILE, "string", "File that first said so, relative to the input folder")
_AS_OF = (c.AS_OF_DATE, "date", "Knowledge cut-off: only events before this day (UTC) are counted")
_RUN_DATE = (c.RUN_DATE, "date", "Day the job ran for")
_RUN_ID = (c.RUN_ID, "string", "Run that wrote the row; joins ops.runs")
_MODEL_NAME = (
    c.MODEL_NAME,
    "string",
    "Registered model; of fused lists all of them with their versions, as in recsys-mlp/3+recsys-lightgcn/1; null for "
    "a baseline",
)
_MODEL_VERSION = (c.MODEL_VERSION, "int", "Version of the registered model; null for a baseline and for fused lists")

_EVENT_TYPE = (
    "struct<user_id:string,item_id:string,event_type:string,event_ts:timestamp,basket_id:string,store_id:string,"
    "device:string,quantity:double,amount_cents:bigint>"
)

EVENTS = Table(
    name="clean.events",
    writer="clean_logs",
    key=(c.SOURCE_FILE, c.SOURCE_ROW),
    partition_by=(c.EVENT_DATE,),
    ranges_of=(c.EVENT_TS, c.KNOWN_TS, c.SOURCE_FILE),
    columns=_columns(
        _USER,
        _ITEM,
        (c.EVENT_TYPE, "string", "impression, view, cart or purchase"),
        (c.EVENT_TS, "timestamp", "Instant of the event, UTC"),
        (c.EVENT_DATE, "date", "UTC day of event_ts"),
        (c.LOCAL_HOUR, "int", "Hour 0-23 on the shop's clock"),
        (c.LOCAL_WEEKDAY, "int", "Weekday on the shop's clock, 1 Monday to 7 Sunday"),
        (c.BASKET_ID, "string", "Basket or invoice; null where the log has none"),
        _STORE,
        _DEVICE,
        (c.QUANTITY, "double", "Units bought and not cancelled; null for events without a quantity"),
        (c.AMOUNT_CENTS, "bigint", "Paid for them, in hundredths of the shop's currency"),
        (c.CANCELLED_QUANTITY, "double", "Units of the line that later cancellations took back; 0 where none"),
        (c.CANCELLED_CENTS, "bigint", "What had been paid for those; 0 where none"),
        (
            c.SESSION_ID,
            "bigint",
            "Hash of user and first instant of the session; null without clean.session_gap_minutes",
        ),
        (
            c.RESCUED,
            "map<string,string>",
            "Columns that the mapping neither maps nor ignores; null where there are none",
        ),
        (
            c.KNOWN_TS,
            "timestamp",
            "When the row became known, UTC: modification time of its file when that was first taken or, for what the "
            "file was corrected to, then; where the mapping says so, the time that the file's name tells",
        ),
        (c.IDENTITY, "bigint", "Hash of the row's key, or of its whole record where the log has no key"),
        _SOURCE_FILE,
        _SOURCE_ROW,
    ),
)

ITEMS = Table(
    name="clean.items",
    writer="clean_logs",
    key=(c.ITEM_ID,),
    columns=_columns(
        _ITEM,
        (c.NAME, "string", "Name shown to people; null where the log has none"),
        (c.DEPARTMENT, "string", "Coarse group; null where the log has none"),
        (c.CATEGORY, "string", "Fine group; null where the log has none"),
        (c.BRAND, "string", "Brand; null where the log has none"),
        (c.SELLER, "string", "Who sells it in a shop of many; null where the log has none"),
        (c.IS_ELIGIBLE, "boolean", "May be recommended; false for fees, coupons, fuel and the like"),
        (
            c.KNOWN_TS,
            "timestamp",
            "When its values became known, as in clean.events: that of the first file that says them, UTC; where items "
            "are read from rows of events, when the item became known",
        ),
    ),
)

USERS = Table(
    name="clean.users",
    writer="clean_logs",
    key=(c.USER_ID,),
    columns=_columns(
        _USER,
        (c.IS_OPTED_OUT, "boolean", "Asked not to be served; false where the log does not say"),
        (c.IS_RESELLER, "boolean", "Buys to sell again, by clean.reseller_quantity; false where that is not asked"),
        (c.ATTRIBUTES, "map<string,string>", "Further user data under the log's own names; may be empty"),
        (
            c.KNOWN_TS,
            "timestamp",
            "When opt-out and attributes became known, as in clean.events: that of the first file that says them, UTC; "
            "null for a user whom only events name (clean.events.known_ts)",
        ),
    ),
)

PROMOTIONS = Table(
    name="clean.promotions",
    writer="clean_logs",
    key=(c.STORE_ID, c.ITEM_ID, c.STARTS_ON),
    columns=_columns(
        _STORE,
        _ITEM,
        (c.STARTS_ON, "date", "First local day of the promotion"),
        (c.ENDS_BEFORE, "date", "First local day after it"),
        (c.IS_DISPLAYED, "boolean", "Shown on a display in the store"),
        (c.IS_MAILED, "boolean", "Shown in the mailer"),
        (c.KNOWN_TS, "timestamp", "When it became known, as in clean.events: that of the first file that says so, UTC"),
    ),
)

_CAMPAIGN = (c.CAMPAIGN_ID, "string", "Campaign as the shop's log names it")
_OFFER = (c.OFFER_ID, "string", "Offer, such as a coupon, as the shop's log names it; one within a campaign")

CAMPAIGNS = Table(
    name="clean.campaigns",
    writer="clean_logs",
    key=(c.CAMPAIGN_ID,),
    columns=_columns(
        _CAMPAIGN,
        (c.STARTS_ON, "date", "First local day on which its offers hold"),
        (c.ENDS_BEFORE, "date", "First local day on which they hold no more"),
    ),
)

OFFERS = Table(
    name="clean.offers",
    writer="clean_logs",
    key=(c.CAMPAIGN_ID, c.OFFER_ID, c.ITEM_ID),
    columns=_columns(_CAMPAIGN, _OFFER, (c.ITEM_ID, "string", "Item that the offer is for; an offer may be for many")),
)

OFFERS_SENT = Table(
    name="clean.offers_sent",
    writer="clean_logs",
    key=(c.CAMPAIGN_ID, c.USER_ID),
    columns=_columns(_CAMPAIGN, (c.USER_ID, "string", "User who was given the campaign's offers when it began")),
)

REDEMPTIONS = Table(
    name="clean.redemptions",
    writer="clean_logs",
    key=(c.CAMPAIGN_ID, c.OFFER_ID, c.USER_ID, c.REDEEMED_ON),
    columns=_columns(_CAMPAIGN, _OFFER, _USER, (c.REDEEMED_ON, "date", "Local day on which the user took the offer")),
)

OFFER_TABLES: tuple[Table, ...] = (CAMPAIGNS, OFFERS, OFFERS_SENT, REDEMPTIONS)

ITEM_HISTORY = Table(
    name="clean.item_history",
    writer="clean_logs",
    key=(c.ITEM_ID, c.VALID_FROM),
    columns=_columns(
        _ITEM,
        (
            c.VALID_FROM,
            "date",
            "First UTC day on which the values hold: that of the events that say them; where items have files of their "
            "own, the day the file became known, and for an item's first values the first day that an event may have",
        ),
        _VALID_TO,
        (c.NAME, "string", "As in clean.items"),
        (c.DEPARTMENT, "string", "As in clean.items"),
        (c.CATEGORY, "string", "As in clean.items"),
        (c.BRAND, "string", "As in clean.items"),
        (c.SELLER, "string", "As in clean.items"),
        (c.IS_ELIGIBLE, "boolean", "As in clean.items, by the mapping of the last run that read item files"),
        (
            c.KNOWN_TS,
            "timestamp",
            "When the values became known, UTC: that of the file that says them, as in clean.events",
        ),
        _SAID_IN,
    ),
)

USER_HISTORY = Table(
    name="clean.user_history",
    writer="clean_logs",
    key=(c.USER_ID, c.VALID_FROM),
    columns=_columns(
        _USER,
        (
            c.VALID_FROM,
            "date",
            "First UTC day on which the values hold: the day the file became known; for a user's first values the "
            "first day that an event may have. Users whom no file names have no row",
        ),
        _VALID_TO,
        (c.IS_OPTED_OUT, "boolean", "As in clean.users"),
        (c.ATTRIBUTES, "map<string,string>", "As in clean.users"),
        (
            c.KNOWN_TS,
            "timestamp",
            "When the values became known, UTC: that of the file that says them, as in clean.events",
        ),
        _SAID_IN,
    ),
)

QUARANTINE = Table(
    name="clean.quarantine",
    writer="clean_logs",
    key=(c.SOURCE_TABLE, c.SOURCE_FILE, c.SOURCE_ROW),
    partition_by=(c.SOURCE_TABLE,),
    columns=_columns(
        (c.SOURCE_TABLE, "string", "events, items, users, promotions or a table of offers: what the row was read for"),
        _SOURCE_FILE,
        _SOURCE_ROW,
        (c.REASONS, "array<string>", "Every rule that the row broke, sorted"),
        (c.RAW, "string", "The raw record as JSON text"),
        (c.IDENTITY, "bigint", "Of a duplicate, that of the row that was kept; its own where `event` is given"),
        _ROW_DATE,
        (c.EVENT, _EVENT_TYPE, "The event that the row says, where only rules across rows reject it; null otherwise"),
    ),
)

QUALITY = Table(
    name="ops.quality",
    writer="clean_logs",
    key=(c.SOURCE_TABLE, c.SOURCE_FILE, c.EVENT_DATE),
    columns=_columns(
        (c.SOURCE_TABLE, "string", "events, items, users, promotions or a table of offers"),
        _SOURCE_FILE,
        _ROW_DATE,
        (c.ROWS_READ, "bigint", "Records of the file and day: those kept, quarantined and duplicate"),
        (c.ROWS_KEPT, "bigint", "Rows that reached the clean table"),
        (c.ROWS_QUARANTINED, "bigint", "Rows in clean.quarantine that are not duplicates"),
        (c.ROWS_DUPLICATE, "bigint", "Rows left out because an equal row or key was kept"),
        (c.RULE_SHARES, "map<string,double>", "Share of the records read that broke the rule, 0 to 1, by rule"),
    ),
)

LEDGER = Table(
    name="clean.ledger",
    writer="clean_logs",
    key=(c.SOURCE_TABLE, c.SOURCE_FILE),
    columns=_columns(
        (c.SOURCE_TABLE, "string", "events, items, users, promotions or a table of offers: what the file was read for"),
        _SOURCE_FILE,
        (c.NUM_BYTES, "bigint", "Size of the file when it was taken"),
        (c.MODIFIED_MS, "bigint", "Its modification time then, milliseconds since 1970, UTC"),
        (c.CHECKSUM, "string", "SHA-256 of its bytes"),
        (c.RULES, "string", "Hash of the mapping, the limits and the code that judged it"),
        (
            c.KNOWN_MS,
            "bigint",
            "When what it says became known: first_known_ms or, once it was corrected in place, its modification time "
            "when it was first taken so, milliseconds since 1970, UTC",
        ),
        (
            c.FIRST_KNOWN_MS,
            "bigint",
            "When it became known whatever it said: its modification time when it was first taken or, where the "
            "mapping says so, the time that its name tells",
        ),
        (c.RESCUED, "array<string>", "Its columns that the mapping neither maps nor ignores"),
        (c.COLUMN_KINDS, "map<string,string>", "Its columns: text, whole number, number, time, flag; empty for CSV"),
        (c.ROWS_READ, "bigint", "Its records: those kept, quarantined and duplicate; by day and rule in ops.quality"),
        (c.ROWS_KEPT, "bigint", "Of these, that reached the clean table"),
        (c.ROWS_QUARANTINED, "bigint", "In clean.quarantine, and no duplicates"),
        (c.ROWS_DUPLICATE, "bigint", "Left out because an equal row or key was kept"),
        (c.RUN_ID, "string", "Run that took it; joins ops.runs"),
    ),
)

ITEM_VALUES = Table(
    name="clean.item_values",
    writer="clean_logs",
    key=(c.SOURCE_FILE, c.ITEM_ID, c.EVENT_DATE, c.NAME, c.DEPARTMENT, c.CATEGORY, c.BRAND, c.SELLER),
    columns=_columns(
        _SOURCE_FILE,
        _ITEM,
        (c.EVENT_DATE, "date", "UTC day on which the rows say so; null where they have no time that can be believed"),
        (c.NAME, "string", "As the file's rows say it; null where they do not"),
        (c.DEPARTMENT, "string", "As the file's rows say it; null where they do not"),
        (c.CATEGORY, "string", "As the file's rows say it; null where they do not"),
        (c.BRAND, "string", "As the file's rows say it; null where they do not"),
        (c.SELLER, "string", "As the file's rows say it; null where they do not"),
        (c.ROWS, "bigint", "Rows of the file that say so"),
        (c.SOURCE_ROW, "bigint", "The first of them"),
        (c.KNOWN_TS, "timestamp", "When they became known, as in clean.events"),
    ),
)

USER_IDS = Table(
    name="ids.users",
    writer="clean_logs",
    key=(c.USER_ID,),
    columns=_columns(_USER, (c.USER_IDX, "int", "Dense index from 0; never changes")),
)

ITEM_IDS = Table(
    name="ids.items",
    writer="clean_logs",
    key=(c.ITEM_ID,),
    columns=_columns(_ITEM, (c.ITEM_IDX, "int", "Dense index from 0; never changes")),
)

CATEGORY_IDS = Table(
    name="ids.categories",
    writer="clean_logs",
    key=(c.CATEGORY,),
    columns=_columns(
        (c.CATEGORY, "string", "Category as clean.items names it"),
        (c.CATEGORY_IDX, "int", "Dense index from 0; never changes"),
    ),
)


def _feature_table(grain: catalog.Grain) -> Table:
    key_columns = {
        c.USER_ID: _USER,
        c.ITEM_ID: _ITEM,
        c.STORE_ID: _STORE,
        c.NEIGHBOUR_ID: (c.NEIGHBOUR_ID, "string", "The other item"),
        c.CATEGORY: (c.CATEGORY, "string", "Category as clean.items names it"),
        c.LOCAL_WEEKDAY: (c.LOCAL_WEEKDAY, "int", "Weekday on the shop's clock, 1 Monday to 7 Sunday"),
        c.LOCAL_HOUR: (c.LOCAL_HOUR, "int", "Hour 0-23 on the shop's clock"),
    }
    features = [(f.name, f.type, f.comment) for f in catalog.FEATURES if f.grain == grain.name]
    return Table(
        name=f"features.{grain.name}",
        writer="build_features",
        key=(*grain.key, c.AS_OF_DATE),
        partition_by=(c.AS_OF_DATE,),
        columns=_columns(*(key_columns[name] for name in grain.key), _AS_OF, *features),
    )


USER_FEATURES = _feature_table(catalog.USER)
USER_CATEGORY_FEATURES = _feature_table(catalog.USER_CATEGORY)
ITEM_FEATURES = _feature_table(catalog.ITEM)
USER_ITEM_FEATURES = _feature_table(catalog.USER_ITEM)
CONTEXT_FEATURES = _feature_table(catalog.CONTEXT)
STORE_ITEM_FEATURES = _feature_table(catalog.STORE_ITEM)
SEQUENCE_FEATURES = _feature_table(catalog.SEQUENCE)
EDGE_FEATURES = _feature_table(catalog.EDGE)
ITEM_ITEM_FEATURES = _feature_table(catalog.ITEM_ITEM)
USER_NEIGHBOURS_FEATURES = _feature_table(catalog.USER_NEIGHBOURS)
ITEM_NEIGHBOURS_FEATURES = _feature_table(catalog.ITEM_NEIGHBOURS)
ITEM_TEXT_FEATURES = _feature_table(catalog.ITEM_TEXT)
ITEM_VECTORS_FEATURES = _feature_table(catalog.ITEM_VECTORS)
OPTIONAL_FEATURES: tuple[Table, ...] = (
    SEQUENCE_FEATURES, EDGE_FEATURES, ITEM_ITEM_FEATURES, USER_NEIGHBOURS_FEATURES, ITEM_NEIGHBOURS_FEATURES,
    ITEM_TEXT_FEATURES, ITEM_VECTORS_FEATURES,
)  # fmt: skip

TEXT_VECTORS = Table(
    name="texts.vectors",
    writer="build_features",
    key=(c.ENCODER, c.TEXT),
    columns=_columns(
        (c.ENCODER, "string", "Encoder that made the vector"),
        (c.TEXT, "string", "Name, brand, category and department of an item, as the encoder got them"),
        (c.VECTOR, "array<float>", "What it made of them"),
    ),
)

_LINES = (c.LINES, "bigint", "Lines bought")
_EVENT_MONTH = (
    c.EVENT_MONTH,
    "string",
    "Month of event_date, such as 2017-12: the partition, for a file a day is small",
)

ITEM_DAYS = Table(
    name="days.item_days",
    writer="build_features",
    key=(c.USER_ID, c.ITEM_ID, c.EVENT_DATE),
    partition_by=(c.EVENT_MONTH,),
    columns=_columns(
        _EVENT_MONTH,
        (c.EVENT_DATE, "date", "UTC day of the purchases"),
        _USER,
        _ITEM,
        _LINES,
        (c.CENTS, "bigint", "Paid for those lines that have a quantity and an amount; null without one"),
        (c.UNITS, "double", "Units of those lines; null without one"),
    ),
)

VISITS = Table(
    name="days.visits",
    writer="build_features",
    key=(c.USER_ID, c.BASKET, c.EVENT_DATE, c.STORE_ID, c.DEVICE, c.LOCAL_WEEKDAY, c.LOCAL_HOUR),
    partition_by=(c.EVENT_MONTH,),
    columns=_columns(
        _EVENT_MONTH,
        (c.EVENT_DATE, "date", "UTC day of the purchases"),
        _USER,
        (c.BASKET, "string", "Basket or invoice; the day where the log has none"),
        _STORE,
        _DEVICE,
        (c.LOCAL_WEEKDAY, "int", "Weekday on the shop's clock, 1 Monday to 7 Sunday"),
        (c.LOCAL_HOUR, "int", "Hour 0-23 on the shop's clock"),
        _LINES,
        (c.CENTS, "bigint", "Paid for the lines; 0 where no line has an amount"),
    ),
)
VIEW_DAYS = Table(
    name="days.view_days",
    writer="build_features",
    key=(c.USER_ID, c.ITEM_ID, c.EVENT_DATE),
    partition_by=(c.EVENT_MONTH,),
    columns=_columns(
        _EVENT_MONTH,
        (c.EVENT_DATE, "date", "UTC day of the views and carts"),
        _USER,
        _ITEM,
        (c.VIEWS, "bigint", "Views"),
        (c.CARTS, "bigint", "Times the item was put into the cart"),
    ),
)
# The last is written for a log with views or carts only.
DAY_TABLES = (ITEM_DAYS, VISITS, VIEW_DAYS)

EXAMPLES = Table(
    name="examples.pairs",
    writer="build_examples",
    key=(c.SPLIT, c.AS_OF_DATE, c.USER_ID, c.ITEM_ID),
    partition_by=(c.RUN_DATE, c.SPLIT),
    columns=_columns(
        _RUN_DATE,
        (c.SPLIT, "string", "train or validation"),
        _AS_OF,
        _USER,
        _ITEM,
        (
            c.LABEL,
            "float",
            "Highest grade (examples.labels) of the user's events with the item in the label window, else 0",
        ),
        (
            c.LOG_PROBABILITY,
            "double",
            "Of a negative drawn from all items: logarithm of the probability that one draw gives it; else null",
        ),
        (c.EXAMPLE_KEY, "bigint", "Hash of split, cut-off, user and item: the order of the example files"),
        *((f.name, f.input_type, f.comment) for f in catalog.MODEL_INPUTS),
    ),
)

NEGATIVES = Table(
    name="examples.negatives",
    writer="build_examples",
    key=(c.RUN_DATE, c.AS_OF_DATE, c.USER_ID, c.ITEM_ID),
    partition_by=(c.RUN_DATE,),
    columns=_columns(
        _RUN_DATE,
        _AS_OF,
        _USER,
        _ITEM,
        (c.NEGATIVE_KIND, "string", "drawn from all items, or shown to the user in the label window and not bought"),
        (c.LOG_PROBABILITY, "double", "Logarithm of the probability that one draw gives the item; null for shown ones"),
    ),
)

PARTED_EVENTS = Table(
    name="examples.parted_events",
    writer="build_examples",
    key=(c.RUN_DATE, c.SCHEME, c.SOURCE_FILE, c.SOURCE_ROW),
    partition_by=(c.RUN_DATE, c.SCHEME),
    columns=_columns(
        _RUN_DATE,
        (c.SCHEME, "string", "leave_one_out, user_ratio or held_apart: the way purchases, or their core, are parted"),
        (c.SPLIT, "string", "train, validation, test, cold_users or cold_items"),
        _USER,
        _ITEM,
        (c.EVENT_TS, "timestamp", "Instant of the event, UTC"),
        _SOURCE_FILE,
        _SOURCE_ROW,
    ),
)

SPLITS = Table(
    name="ops.splits",
    writer="build_examples",
    key=(c.RUN_DATE, c.SCHEME, c.FOLD, c.SPLIT),
    partition_by=(c.RUN_DATE,),
    columns=_columns(
        _RUN_DATE,
        (c.SCHEME, "string", "global_time, rolling_time, leave_one_out, user_ratio or held_apart"),
        (c.FOLD, "int", "Label windows by which rolling_time ends earlier; 0 for the other schemes"),
        (c.SPLIT, "string", "train, validation, test, cold_users or cold_items"),
        (c.FIRST_DATE, "date", "Day of its first purchase (UTC)"),
        (c.LAST_DATE, "date", "Day of its last purchase (UTC)"),
        (c.ROWS, "bigint", "Purchase lines"),
        (c.NUM_USERS, "bigint", "Users with a purchase"),
        (c.NUM_ITEMS, "bigint", "Items with a purchase"),
        (c.NUM_COLD_USERS, "bigint", "Those users without a purchase in train"),
        (c.NUM_COLD_ITEMS, "bigint", "Those items without a purchase in train"),
    ),
)

LEAKAGE = Table(
    name="ops.leakage",
    writer="build_examples",
    key=(c.RUN_DATE, c.FEATURE),
    partition_by=(c.RUN_DATE,),
    columns=_columns(
        _RUN_DATE,
        (c.FEATURE, "string", "Model input"),
        (c.GRAIN, "string", "Its feature table; null for dense indexes"),
        (c.AUC_TRAIN, "double", "Area under the ROC curve of the input alone against the labels of a sample of train"),
        (c.AUC_VALIDATION, "double", "The same of validation; null without positives and negatives"),
        (
            c.MEAN_AGE_DAYS,
            "double",
            "Mean days from the newest event that the grain may know to a positive's label; of context and "
            "store_item, which do not tell it, as if it were the day before the cut-off; null for dense indexes",
        ),
        (c.MIN_AGE_DAYS, "double", "The smallest of these; below 1 the input knows the label's day"),
        (
            c.REASONS,
            "array<string>",
            "Why it is suspicious: auc_too_high, auc_differs, knows_the_labels_day; else empty",
        ),
    ),
)

TOP_N = Table(
    name="recs.top_n",
    writer="score",
    key=(c.RUN_DATE, c.SCENE, c.USER_ID, c.RANK),
    partition_by=(c.RUN_DATE, c.SCENE),
    cluster_by=(c.USER_ID, c.ITEM_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        (c.SCENE, "string", "Place the list is for: home"),
        _USER,
        (c.RANK, "int", "Position in the list, from 1"),
        _ITEM,
        (c.SCORE, "double", "The model's number; comparable within one model version only; null for what rules added"),
        (
            c.SOURCE,
            "string",
            "Where the candidate came from, of several the first: own, viewed, factors (ranked by another model), "
            "neighbours (in a basket with own ones), category, new, popular; all: all were ranked; store (or category, "
            "popular): for a user whom the model does not know; rule: pinned; fill: popular, where rules left too few; "
            "of fused lists the models that named it, as in mlp+lightgcn",
        ),
        (
            c.REASON,
            "string",
            "Why: bought_before, viewed_before, favourite_category, popular_now, goes_with_bought, "
            "goes_with_two_bought, goes_with_taken and goes_with_two_taken (of histories with views or carts), "
            "similar_taste: the model tells of no item, or lists were fused, chosen_by_the_shop, in_our_range: no "
            "customer bought it lately",
        ),
        (
            c.EVIDENCE,
            "array<struct<kind:string,id:string,count:bigint,contribution:double>>",
            "What the reason says: kind bought, viewed or taken (viewed or more) with an item of the user's own, "
            "category with one that the user bought of, buyers with the item itself; count: purchase days of 365 days, "
            "lines of 91 days, buyers of 28 days; contribution: by how much the score falls without it, null where it "
            "is no part of the score",
        ),
        (c.REASON_EN, "string", "The reason as a sentence, English"),
        (c.REASON_ZH, "string", "The same, Chinese"),
        (
            c.RULES,
            "array<string>",
            "Business rules that pinned or moved the item; relaxed:<rule> for one that would have kept it away",
        ),
        (
            c.RANK_BEFORE_RULES,
            "int",
            "Position in the model's list that the rules were applied to; null where the item was not in it",
        ),
        _MODEL_NAME,
        _MODEL_VERSION,
        _RUN_ID,
    ),
)

SCORED_INPUTS = Table(
    name="recs.scored_inputs",
    writer="score",
    key=(c.RUN_DATE, c.SCENE, c.USER_ID),
    partition_by=(c.RUN_DATE, c.SCENE),
    columns=_columns(
        _RUN_DATE,
        (c.SCENE, "string", "Place the lists are for, as in recs.top_n"),
        (c.USER_ID, "string", "User with a list; null: the row of what all lists were made from"),
        (c.FINGERPRINT, "string", "Hash of what the list was made from; with an equal one it is not made again"),
        (
            c.IS_BY_POPULARITY,
            "boolean",
            "Filled up with popular items: made again where popularity changed; null without user_id",
        ),
        (
            c.KEPT_AWAY,
            "array<string>",
            "Business rules that kept an item out of the list or put one there; may be null",
        ),
        (c.POPULARITY, "string", "Hash of popular items and their buyers; null with user_id"),
        (
            c.ELIGIBLE_ITEMS,
            "binary",
            "A bit for each item_idx, the lowest first: the model knows the item and may name it; null with user_id",
        ),
        (c.RUN_ID, "string", "Run that wrote the row; another one than in recs.top_n: these are not of its lists"),
    ),
)

_RANK = (c.RANK, "int", "Position in the list, from 1")
_NEIGHBOUR = (c.NEIGHBOUR_ID, "string", "The other item, one that may be recommended")
_TOUCHED_BY = (
    (
        c.RULES,
        "array<string>",
        "Business rules that pinned or moved the item; of a pinned one score and the like may be null",
    ),
    (
        c.RANK_BEFORE_RULES,
        "int",
        "Position in the scene's list that the rules were applied to; null where the item was not in it",
    ),
)

COMPLEMENTS = Table(
    name="recs.complements",
    writer="score_scenes",
    key=(c.RUN_DATE, c.ITEM_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.ITEM_ID, c.NEIGHBOUR_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        _ITEM,
        _RANK,
        _NEIGHBOUR,
        (c.LIFT, "double", "Baskets with both, by those that chance would give: 1 is chance"),
        (c.SUPPORT, "bigint", "Baskets of scenes.history_days that hold both"),
        (c.SCORE, "double", "The lift as it is believed after so few baskets, nearer to 1; what ranks them"),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

CART = Table(
    name="recs.cart",
    writer="score_scenes",
    key=(c.RUN_DATE, c.USER_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.USER_ID, c.ITEM_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        (c.USER_ID, "string", "User with something in the cart on the run date; none for a log without carts"),
        _RANK,
        _ITEM,
        (c.SCORE, "double", "Sum over the items in the cart of the logarithm of their recs.complements.score with it"),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

SIMILAR_ITEMS = Table(
    name="recs.similar_items",
    writer="score_scenes",
    key=(c.RUN_DATE, c.ITEM_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.ITEM_ID, c.NEIGHBOUR_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        _ITEM,
        _RANK,
        _NEIGHBOUR,
        (c.SCORE, "double", "Sum of the five next columns, weighted by scenes.similar_weights"),
        (c.TEXT_COSINE, "double", "Of the words of name, brand, category and department, rare ones weighing more"),
        (c.PRICE_CLOSENESS, "double", "Lower by higher mean price of a unit; 0 where one is not known"),
        (c.TURN_COSINE, "double", "Users who bought both, by those of either; 0 for items of two categories"),
        (c.VIEW_COSINE, "double", "Days of users with views of both, by those with either; 0 for a log without views"),
        (
            c.VECTOR_COSINE,
            "double",
            "Of the vectors of features.item_vectors, 0 below; 0 where one has none, and for a lake without the table",
        ),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

BUY_AGAIN = Table(
    name="recs.buy_again",
    writer="score_scenes",
    key=(c.RUN_DATE, c.USER_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.USER_ID, c.ITEM_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        _USER,
        _RANK,
        _ITEM,
        (
            c.SCORE,
            "double",
            "Recency-weighted purchase days, times powers of due_probability and the item's repeat share",
        ),
        (
            c.DUE_PROBABILITY,
            "double",
            "That the user buys it in the scenes.due_days from the run date on, by the intervals",
        ),
        (c.INTERVAL_DAYS, "double", "Expected days between two purchases: the user's own, drawn towards the item's"),
        (c.LAST_DATE, "date", "Day of the last purchase (UTC)"),
        (c.PURCHASE_DAYS, "bigint", "Days of scenes.history_days with a purchase"),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

NEW_ITEMS = Table(
    name="recs.new_items",
    writer="score_scenes",
    key=(c.RUN_DATE, c.USER_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.USER_ID, c.ITEM_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        _USER,
        _RANK,
        (c.ITEM_ID, "string", "Item of the last scenes.new_item_days that the user has not bought"),
        (c.SCORE, "double", "By the user's categories and words, and buyers a day; null for an explored item"),
        (c.SOURCE, "string", "affinity; exploration: drawn to find out who wants it; rule: pinned by one"),
        (
            c.PROBABILITY,
            "double",
            "That the draw puts the item into this user's list, before business rules and what is left out for days; 1 "
            "where nothing is drawn",
        ),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

ANONYMOUS = Table(
    name="recs.anonymous",
    writer="score_scenes",
    key=(c.RUN_DATE, c.LEVEL, c.COUNTRY, c.STORE_ID, c.LOCAL_WEEKDAY, c.HOURS_FROM, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.STORE_ID, c.ITEM_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        (
            c.LEVEL,
            "string",
            "store_time; store, where that has no rows; country, where it has none; else all",
        ),
        (
            c.COUNTRY,
            "string",
            "Country of the store (features.countries); null for the level all, and where unknown",
        ),
        (c.STORE_ID, "string", "Store (or country); null for the levels all and country, and where the log has none"),
        (c.LOCAL_WEEKDAY, "int", "Weekday on the shop's clock, 1 Monday to 7 Sunday; null but for store_time"),
        (c.HOURS_FROM, "int", "First hour of scenes.context_hours on the shop's clock; null but for store_time"),
        _RANK,
        _ITEM,
        (c.SCORE, "double", "Share of baskets with the item, drawn towards that of the level above"),
        (c.NUM_BASKETS, "bigint", "Baskets of the place in scenes.context_days"),
        *_TOUCHED_BY,
        _RUN_ID,
    ),
)

COUPONS = Table(
    name="recs.coupons",
    writer="score_scenes",
    key=(c.RUN_DATE, c.USER_ID, c.RANK),
    partition_by=(c.RUN_DATE,),
    cluster_by=(c.USER_ID, c.CAMPAIGN_ID),
    has_change_feed=True,
    columns=_columns(
        _RUN_DATE,
        _USER,
        _RANK,
        _CAMPAIGN,
        _OFFER,
        (c.EXPECTED_GAIN, "double", "probability_with less probability_without: what ranks, within the budget"),
        (
            c.PROBABILITY_WITH,
            "double",
            "That the user buys one of the offer's items in scenes.coupon_days from the run date on, given the offer; "
            "from who had such offers and who had not, which no one drew by lot: an association, no proven effect",
        ),
        (c.PROBABILITY_WITHOUT, "double", "The same without it: from the user's own purchases and of its categories"),
        _RUN_ID,
    ),
)

SCENE_METRICS = Table(
    name="ops.scene_metrics",
    writer="score_scenes",
    key=(c.RUN_DATE, c.SCENE, c.RECOMMENDER, c.METRIC, c.K),
    partition_by=(c.RUN_DATE, c.SCENE),
    columns=_columns(
        _RUN_DATE,
        (c.SCENE, "string", "cart, substitutes, buy_again, new_items, anonymous or coupons"),
        (c.RECOMMENDER, "string", "What made the lists, the scene's own or a baseline; a-b for a difference"),
        (c.METRIC, "string", "recall, precision, ndcg, map, mrr, hit_rate"),
        (c.K, "int", "List length the metric looks at"),
        (c.VALUE, "double", "Mean over the cases"),
        (c.LOW, "double", "Lower end of the 95 % paired bootstrap interval over users; null but for differences"),
        (c.HIGH, "double", "Upper end of it"),
        (c.CASES, "string", "What one case of the label window is"),
        (c.NUM_CASES, "bigint", "Cases behind the figure"),
        _RUN_ID,
    ),
)

BUSINESS_RULES = Table(
    name="rules.rules",
    writer="load_rules",
    key=(c.RULE_ID,),
    columns=_columns(
        (c.RULE_ID, "string", "Name of the rule; recs.top_n and ops.rules say it"),
        (
            c.KIND,
            "string",
            "block, allow_only, in_stock, price_range, age_limit: what may be shown; pin, boost, bury: where; at_most, "
            "not_together: beside what",
        ),
        (c.ITEM_IDS, "array<string>", "Items that the rule is about; null or empty: none by name"),
        (
            c.ATTRIBUTE,
            "string",
            "category, department, brand or seller: it is about items by their value of this; null: not",
        ),
        (c.ATTRIBUTE_VALUES, "array<string>", "These values; null or empty: each value (at_most), or all items"),
        (c.RANK, "int", "pin: position in the list, from 1"),
        (c.PLACES, "int", "boost, bury: positions up or down"),
        (c.K, "int", "at_most: items of one value in a list"),
        (c.MIN_CENTS, "bigint", "price_range: lowest mean price of 91 days, in hundredths; null: any"),
        (c.MAX_CENTS, "bigint", "price_range: highest; null: any"),
        (c.MIN_AGE, "int", "age_limit: years that a user must be known to have"),
        (c.SCENE, "string", "Scene that it holds for; null: all"),
        (c.STORE_ID, "string", "Users whose main store of 91 days this is; null: all"),
        (c.COUNTRY, "string", "Users whose main store lies in this country (features.countries); null: all"),
        (c.USER_GROUP, "string", "Users with this attribute in clean.users, as name=value; null: all"),
        (c.VALID_FROM, "date", "First run date on which it holds; null: from the beginning"),
        (c.VALID_TO, "date", "First run date on which it holds no more; null: for good"),
        (c.PRIORITY, "int", "The higher wins; of rules that leave a list short the lowest is relaxed first; null: 0"),
    ),
)

STOCK = Table(
    name="rules.stock",
    writer="load_rules",
    key=(c.ITEM_ID,),
    columns=_columns(
        _ITEM,
        (c.UNITS, "double", "Units that can be sold; an item without a row, or with none, is out of stock"),
    ),
)

RULE_AUDIT = Table(
    name="ops.rules",
    writer="score",
    key=(c.RUN_DATE, c.SCENE, c.RULE_ID),
    partition_by=(c.RUN_DATE, c.SCENE),
    columns=_columns(
        _RUN_DATE,
        (c.SCENE, "string", "Scene of the lists"),
        (c.RULE_ID, "string", "Rule of rules.rules that held"),
        (
            c.NUM_USERS_CHANGED,
            "bigint",
            "Users of whose list it kept an item away, or put one there; of a table of lists of items or places, so "
            "many lists",
        ),
        (c.NUM_ROWS, "bigint", "Rows of the scene's tables that name it in `rules`"),
        (
            c.NUM_USERS_RELAXED,
            "bigint",
            "Users whose list had been short without items that it hides; 0 in scenes of score_scenes, where no rule "
            "gives way",
        ),
        _RUN_ID,
    ),
)

PUBLISHING = Table(
    name="ops.publishing",
    writer="score",
    key=(c.RUN_DATE, c.SCENE, c.CHECK),
    partition_by=(c.RUN_DATE, c.SCENE),
    columns=_columns(
        _RUN_DATE,
        (c.SCENE, "string", "Scene of the lists"),
        (
            c.CHECK,
            "string",
            "rows; users with a list; coverage: share of eligible items in a list; flat_lists: share of lists with one "
            "score throughout; fallback_share: of lists that are popular items alone; popularity_share: of rows with "
            "one of publishing.popular_items best sellers; score_mean, of one model version; overlap: mean share of a "
            "list's items that were in the last one; users_changed: share of lists that are not the last one; "
            "items_changed: share of all items of both days that are in the lists of one alone",
        ),
        (c.VALUE, "double", "What was found; null where nothing can be told"),
        (c.LAST_VALUE, "double", "The same of the last published lists; null where it has no such number"),
        (c.LOWEST, "double", "Least that passes; null: no limit"),
        (c.HIGHEST, "double", "Most that passes; null: no limit"),
        (c.IS_PASSED, "boolean", "False: the lists were not published"),
        (c.COMPARED_WITH, "date", "Day of the last published lists; null: there were none"),
        _RUN_ID,
    ),
)

EXPORTS = Table(
    name="ops.exports",
    writer="export_lists",
    key=(c.EXPORT_NUMBER,),
    columns=_columns(
        (c.EXPORT_NUMBER, "int", "From 1, in order; the folder's name"),
        _RUN_DATE,
        (c.TABLE_ID, "string", "Delta's id of recs.top_n; another one once the table was dropped and made again"),
        (c.SINCE_VERSION, "bigint", "Version of recs.top_n that the export before had; null: all lists were exported"),
        (c.UNTIL_VERSION, "bigint", "Version of recs.top_n that was exported; kept until the next export"),
        (c.NUM_CHANGED, "bigint", "Lists that are new or differ from the export before"),
        (c.NUM_GONE, "bigint", "Lists that are no more"),
        (c.FORMATS, "array<string>", "parquet, json_lines, key_value"),
        (c.FOLDER, "string", "Where the files lie"),
        _RUN_ID,
    ),
)

METRICS = Table(
    name="ops.metrics",
    writer="evaluate",
    key=(c.RUN_DATE, c.SPLIT, c.LIST_KIND, c.RECOMMENDER, c.METRIC, c.K),
    partition_by=(c.RUN_DATE,),
    columns=_columns(
        _RUN_DATE,
        (c.SPLIT, "string", "test"),
        (
            c.LIST_KIND,
            "string",
            "repeats_allowed; new_items_only: items the user had not bought; of the first, where there are such: "
            "cold_users: who had bought nothing before the cut-off; cold_items: purchases of items nobody had bought",
        ),
        (
            c.RECOMMENDER,
            "string",
            "model, popular, personal; beside fused lists each model alone, as in model_mlp; diverse: the model's, "
            "re-ranked as score.diversity says; model-popular and the like for a difference",
        ),
        (
            c.METRIC,
            "string",
            "recall, precision, ndcg, map, mrr, hit_rate, coverage, intra_list_diversity, gini, candidate_recall",
        ),
        (c.K, "int", "List length the metric looks at; null for candidate_recall"),
        (c.VALUE, "double", "Mean over users; for coverage and gini of all eligible items"),
        (c.LOW, "double", "Lower end of the 95 % paired bootstrap interval; null but for differences"),
        (c.HIGH, "double", "Upper end of it"),
        (c.NUM_USERS, "bigint", "Users behind the figure: those with a purchase in the label window"),
        _MODEL_NAME,
        _MODEL_VERSION,
        _RUN_ID,
    ),
)

RUNS = Table(
    name="ops.runs",
    writer="every job",
    key=(c.STAGE, c.RUN_DATE, c.RUN_ID),
    partition_by=(c.STAGE,),
    columns=_columns(
        (c.STAGE, "string", "Job"),
        _RUN_DATE,
        _RUN_ID,
        (c.FINGERPRINT, "string", "Hash of input versions, code and settings: equal means nothing to do"),
        (c.FINISHED_TS, "timestamp", "When the stage ended, UTC"),
        (c.SECONDS, "double", "Wall-clock seconds"),
        (c.ROWS, "bigint", "Rows written to the stage's main table"),
        (c.VERSIONS, "map<string,bigint>", "Delta version of each table read and written"),
        (c.FIGURES, "string", "The job's figures as JSON"),
    ),
)

# What people read, each row a place in a list of a run date; the first has its scene in a column.
LISTS: tuple[Table, ...] = (TOP_N, COMPLEMENTS, CART, SIMILAR_ITEMS, BUY_AGAIN, NEW_ITEMS, ANONYMOUS, COUPONS)
ALL_TABLES: tuple[Table, ...] = (
    EVENTS, ITEMS, USERS, PROMOTIONS, *OFFER_TABLES, ITEM_HISTORY, USER_HISTORY, QUARANTINE, QUALITY, LEDGER,
    ITEM_VALUES, USER_IDS, ITEM_IDS, CATEGORY_IDS, USER_FEATURES, USER_CATEGORY_FEATURES, ITEM_FEATURES,
    USER_ITEM_FEATURES, CONTEXT_FEATURES, STORE_ITEM_FEATURES, *OPTIONAL_FEATURES, TEXT_VECTORS, *DAY_TABLES, EXAMPLES,
    NEGATIVES, PARTED_EVENTS, SPLITS, LEAKAGE, BUSINESS_RULES, STOCK, RULE_AUDIT, TOP_N, SCORED_INPUTS, PUBLISHING,
    EXPORTS, METRICS, COMPLEMENTS, CART, SIMILAR_ITEMS, BUY_AGAIN, NEW_ITEMS, ANONYMOUS, COUPONS, SCENE_METRICS, RUNS,
)  # fmt: skip
