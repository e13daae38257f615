"""Every feature, once: grain, window, type, meaning of null and how a model takes it in."""

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from recsys import columns as c


@dataclass(frozen=True, kw_only=True)
class Grain:
    """What one row of a feature table describes; `as_of_date` joins the key.

    An optional grain is written where `features.grains` names it; no model input comes from one.
    """

    name: str
    key: tuple[str, ...]
    comment: str = ""
    is_optional: bool = False


USER = Grain(name="user", key=(c.USER_ID,))
USER_CATEGORY = Grain(name="user_category", key=(c.USER_ID, c.CATEGORY))
ITEM = Grain(name="item", key=(c.ITEM_ID,))
USER_ITEM = Grain(name="user_item", key=(c.USER_ID, c.ITEM_ID))
CONTEXT = Grain(name="context", key=(c.STORE_ID, c.LOCAL_WEEKDAY, c.LOCAL_HOUR))
STORE_ITEM = Grain(name="store_item", key=(c.STORE_ID, c.ITEM_ID))
SEQUENCE = Grain(
    name="sequence",
    key=(c.USER_ID,),
    comment="The last events of any type, as many as `features.sequence_length`, oldest first; arrays of that length, "
    "filled up at the front with nulls.",
    is_optional=True,
)
EDGE = Grain(
    name="edge",
    key=(c.USER_ID, c.ITEM_ID),
    comment="The graph of users and the items that they bought in the last 365 days.",
    is_optional=True,
)
ITEM_ITEM = Grain(
    name="item_item",
    key=(c.ITEM_ID, c.NEIGHBOUR_ID),
    comment="The `features.neighbours` items that most often lie in one basket with an item, at least twice. A basket "
    "counts with 50 of its items, a user with 10 baskets a day, both drawn by hash where there are more: a user adds "
    "at most 12,250 pairs a day.",
    is_optional=True,
)
USER_NEIGHBOURS = Grain(
    name="user_neighbours",
    key=(c.USER_ID,),
    comment="Some of a user's items, drawn by hash: arrays of `features.sampled_neighbours`, filled up with nulls.",
    is_optional=True,
)
ITEM_NEIGHBOURS = Grain(
    name="item_neighbours",
    key=(c.ITEM_ID,),
    comment="Some of an item's buyers, drawn by hash: arrays of `features.sampled_neighbours`, filled up with nulls.",
    is_optional=True,
)
ITEM_TEXT = Grain(
    name="item_text",
    key=(c.ITEM_ID,),
    comment="Name, brand, category and department of each item with a text that was sold in the last 365 days.",
    is_optional=True,
)
ITEM_VECTORS = Grain(
    name="item_vectors",
    key=(c.ITEM_ID,),
    comment="The same texts as sentence vectors of the pretrained encoder all-MiniLM-L6-v2 (for English), which "
    "`make setup-text` installs. A text is encoded once: `texts.vectors` keeps what it gave.",
    is_optional=True,
)
GRAINS = (
    USER, USER_CATEGORY, ITEM, USER_ITEM, CONTEXT, STORE_ITEM,
    SEQUENCE, EDGE, ITEM_ITEM, USER_NEIGHBOURS, ITEM_NEIGHBOURS, ITEM_TEXT, ITEM_VECTORS,
)  # fmt: skip
OPTIONAL_GRAINS = tuple(grain for grain in GRAINS if grain.is_optional)

Transform = Literal["log1p", "none"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """`default` stands where the grain has no row or the value is null; null always means "never seen in the window".

    `needs`: what a log must tell beside purchases, event types or `device`; a model of a log that does not leaves it out.
    """

    name: str
    grain: str
    type: str
    comment: str
    window_days: int | None = None
    is_model_input: bool = True
    default: float = 0.0
    transform: Transform = "log1p"
    needs: tuple[str, ...] = ()

    @property
    def input_type(self) -> str:
        return "float"


@dataclass(frozen=True, kw_only=True)
class IdInput:
    """A dense index that the model embeds; -1 where the id has no index yet."""

    name: str
    comment: str
    input_type: str = "int"


def _days_in(name: str) -> int | None:
    window = re.search(r"_(\d+)d$", name)
    return int(window.group(1)) if window else None


def _feature(  # noqa: PLR0913  # one line of the catalogue holds all of a feature
    grain: Grain,
    name: str,
    type_: str,
    comment: str,
    *,
    window_days: int | None = None,
    is_model_input: bool = True,
    default: float = 0.0,
    transform: Transform = "log1p",
    needs: tuple[str, ...] = (),
) -> Feature:
    return Feature(
        name=name,
        grain=grain.name,
        type=type_,
        comment=comment,
        window_days=window_days or _days_in(name),
        is_model_input=is_model_input,
        default=default,
        transform=transform,
        needs=needs,
    )


def _listed(grain: Grain, name: str, type_: str, comment: str) -> Feature:
    """A column of an optional grain, of the last 365 days where the name says no other window."""
    return _feature(grain, name, type_, comment, window_days=_days_in(name) or 365, is_model_input=False)


# Longer than any window, so that "never" reads as "longer ago than we look".
NEVER_DAYS = 730.0
# Of views and carts, which are many more than purchases.
VIEW_HISTORY_DAYS = 91

FEATURES: tuple[Feature, ...] = (
    _feature(USER, c.USER_PURCHASES_7D, "bigint", "Lines bought in the last 7 days"),
    _feature(USER, c.USER_PURCHASES_28D, "bigint", "Lines bought in the last 28 days"),
    _feature(USER, c.USER_PURCHASES_91D, "bigint", "Lines bought in the last 91 days"),
    _feature(USER, c.USER_BASKETS_28D, "bigint", "Baskets in the last 28 days"),
    _feature(USER, c.USER_BASKETS_91D, "bigint", "Baskets in the last 91 days"),
    _feature(USER, c.USER_SPEND_CENTS_28D, "bigint", "Spent in the last 28 days, in cents"),
    _feature(USER, c.USER_SPEND_CENTS_91D, "bigint", "Spent in the last 91 days, in cents"),
    _feature(USER, c.USER_MEAN_SPEND_CENTS_91D, "double", "Mean spent a basket in the last 91 days, in cents; null without a basket"),
    _feature(USER, c.USER_BASKET_ITEMS_91D, "double", "Mean lines a basket in the last 91 days; null without a basket"),
    _feature(USER, c.USER_RECENCY_DAYS, "int", "Days from the last purchase to the cut-off, 1 for the day before it", default=NEVER_DAYS),
    _feature(USER, c.USER_HEAT_28D, "double", "Lines bought in the last 365 days, each halved every 28 days of age", window_days=365),
    _feature(USER, c.USER_HEAT_91D, "double", "Lines bought in the last 365 days, each halved every 91 days of age", window_days=365),
    _feature(USER, c.USER_MAIN_STORE_ID, "string", "Store with most baskets in the last 365 days, the smallest id at a tie; null without a store", is_model_input=False),
    _feature(USER, c.USER_USUAL_WEEKDAY, "int", "Local weekday with most baskets in the last 365 days, the earliest at a tie; null without a purchase", is_model_input=False),
    _feature(USER, c.USER_USUAL_HOUR, "int", "Local hour with most baskets in the last 365 days, the earliest at a tie; null without a purchase", transform="none"),
    _feature(USER, c.USER_VIEWS_7D, "bigint", "Views in the last 7 days", needs=(c.VIEW,)),
    _feature(USER, c.USER_VIEWS_28D, "bigint", "Views in the last 28 days", needs=(c.VIEW,)),
    _feature(USER, c.USER_CARTS_28D, "bigint", "Carts (an item put into it) in the last 28 days", needs=(c.CART,)),
    _feature(USER, c.USER_VIEW_RECENCY_DAYS, "int", "Days from the last view to the cut-off; null without one in the last 91 days", window_days=VIEW_HISTORY_DAYS, default=NEVER_DAYS, needs=(c.VIEW,)),
    _feature(USER_CATEGORY, c.USER_CATEGORY_PURCHASES_91D, "bigint", "Lines of this category, which their items had on the day of the purchase, bought in the last 91 days"),
    _feature(USER_CATEGORY, c.USER_CATEGORY_SHARE_91D, "double", "Share of the user's lines of the last 91 days that are of this category", transform="none"),
    _feature(ITEM, c.ITEM_PRICE_CENTS_91D, "double", "Mean price of one unit in the last 91 days, in cents; null when not sold"),
    _feature(ITEM, c.ITEM_PURCHASES_7D, "bigint", "Lines sold in the last 7 days"),
    _feature(ITEM, c.ITEM_PURCHASES_28D, "bigint", "Lines sold in the last 28 days"),
    _feature(ITEM, c.ITEM_PURCHASES_91D, "bigint", "Lines sold in the last 91 days"),
    _feature(ITEM, c.ITEM_BUYERS_28D, "bigint", "Users who bought it in the last 28 days"),
    _feature(ITEM, c.ITEM_BUYERS_91D, "bigint", "Users who bought it in the last 91 days"),
    _feature(ITEM, c.ITEM_REPEAT_RATE_91D, "double", "Share of its buyers of the last 91 days who bought it on two days or more; null without a buyer", transform="none"),
    _feature(ITEM, c.ITEM_CATEGORY_RANK_28D, "int", "Rank by buyers of the last 28 days within its category, from 1; null without a category or a buyer", default=10_000.0),
    _feature(ITEM, c.ITEM_RECENCY_DAYS, "int", "Days from the item's last purchase to the cut-off; null without one in the last 365 days", window_days=365, is_model_input=False),
    _feature(ITEM, c.ITEM_CATEGORY, "string", "Category on the day before the cut-off, as clean.item_history says; null without one", is_model_input=False),
    _feature(ITEM, c.ITEM_VIEWS_7D, "bigint", "Views in the last 7 days", needs=(c.VIEW,)),
    _feature(ITEM, c.ITEM_VIEWS_28D, "bigint", "Views in the last 28 days", needs=(c.VIEW,)),
    _feature(ITEM, c.ITEM_CARTS_28D, "bigint", "Carts in the last 28 days", needs=(c.CART,)),
    _feature(ITEM, c.ITEM_CART_RATE_28D, "double", "Carts a view, both of the last 28 days; null without a view", transform="none", needs=(c.VIEW, c.CART)),
    _feature(ITEM, c.ITEM_PURCHASE_RATE_28D, "double", "Lines sold a view, both of the last 28 days; null without a view", transform="none", needs=(c.VIEW,)),
    _feature(ITEM, c.ITEM_VIEW_RECENCY_DAYS, "int", "Days from the item's last view or cart to the cut-off; null without one in the last 91 days", window_days=VIEW_HISTORY_DAYS, is_model_input=False, needs=(c.VIEW,)),
    _feature(USER_ITEM, c.USER_ITEM_PURCHASES_28D, "bigint", "Days on which the user bought the item, last 28 days"),
    _feature(USER_ITEM, c.USER_ITEM_PURCHASES_91D, "bigint", "Days on which the user bought the item, last 91 days"),
    _feature(USER_ITEM, c.USER_ITEM_PURCHASES_365D, "bigint", "Days on which the user bought the item, last 365 days"),
    _feature(USER_ITEM, c.USER_ITEM_RECENCY_DAYS, "int", "Days from the user's last purchase of the item to the cut-off", default=NEVER_DAYS),
    _feature(USER_ITEM, c.USER_ITEM_MEAN_GAP_DAYS, "double", "Mean days between the user's purchase days of the item, last 365 days; null below two", default=NEVER_DAYS),
    _feature(USER_ITEM, c.USER_ITEM_VIEWS_28D, "bigint", "Views of the item by the user in the last 28 days", needs=(c.VIEW,)),
    _feature(USER_ITEM, c.USER_ITEM_CARTS_28D, "bigint", "Times the user put the item into the cart in the last 28 days", needs=(c.CART,)),
    _feature(USER_ITEM, c.USER_ITEM_VIEW_RECENCY_DAYS, "int", "Days from the user's last view of the item to the cut-off; null without one in the last 91 days", window_days=VIEW_HISTORY_DAYS, default=NEVER_DAYS, needs=(c.VIEW,)),
    _feature(USER_ITEM, c.USER_ITEM_CART_RECENCY_DAYS, "int", "Days from the day the user last put the item into the cart to the cut-off; null without one in the last 91 days", window_days=VIEW_HISTORY_DAYS, default=NEVER_DAYS, needs=(c.CART,)),
    _feature(CONTEXT, c.CONTEXT_PURCHASE_SHARE_91D, "double", "Share of the store's lines of the last 91 days that fall in this weekday and hour", transform="none"),
    _feature(CONTEXT, c.CONTEXT_BASKET_CENTS_91D, "double", "Mean spent a basket in this store, weekday and hour, last 91 days, in cents; null without a basket"),
    _feature(CONTEXT, c.CONTEXT_COUNTRY, "string", "Country of the store, as `features.countries` or `features.stores_are_countries` says; null where they say none", is_model_input=False),
    _feature(CONTEXT, c.CONTEXT_MAIN_DEVICE_91D, "string", "Device of most lines in this store, weekday and hour, last 91 days, the smallest name at a tie; null where no line tells its device", is_model_input=False),
    _feature(CONTEXT, c.CONTEXT_MAIN_DEVICE_SHARE_91D, "double", "Share of that device in those lines, last 91 days, that tell their device; null where none does", transform="none", needs=(c.DEVICE,)),
    _feature(CONTEXT, c.CONTEXT_HOLIDAYS_NEXT_7D, "int", "Holidays there, as `features.holidays` says, in the 7 days from the cut-off on: the calendar is known before"),
    _feature(STORE_ITEM, c.STORE_ITEM_DISPLAY_DAYS_7D, "int", "Days of the last 7 on which the item stood on a display in the store"),
    _feature(STORE_ITEM, c.STORE_ITEM_MAIL_DAYS_7D, "int", "Days of the last 7 on which the store's mailer showed the item"),
    _listed(SEQUENCE, c.SEQUENCE_ITEMS, "array<string>", "Item of each event"),
    _listed(SEQUENCE, c.SEQUENCE_EVENT_TYPES, "array<string>", "Type of each event"),
    _listed(SEQUENCE, c.SEQUENCE_GAP_HOURS, "array<double>", "Hours since the event before, also where that is not listed; null for the user's first of 365 days"),
    _listed(SEQUENCE, c.SEQUENCE_PRICE_CENTS, "array<double>", "Price of one unit, in cents; null without a quantity or an amount"),
    _listed(SEQUENCE, c.SEQUENCE_MASK, "array<boolean>", "True where there is an event, false where the arrays are filled up"),
    _listed(EDGE, c.EDGE_WEIGHT_365D, "double", "Days on which the user bought the item, each halved every 91 days of age"),
    _listed(EDGE, c.EDGE_USER_DEGREE_365D, "bigint", "Items of the user"),
    _listed(EDGE, c.EDGE_ITEM_DEGREE_365D, "bigint", "Users of the item"),
    _listed(EDGE, c.EDGE_NORM_365D, "double", "1 / root of the product of both degrees"),
    _listed(ITEM_ITEM, c.ITEM_ITEM_BASKETS_91D, "bigint", "Baskets with both items"),
    _listed(ITEM_ITEM, c.ITEM_ITEM_COSINE_91D, "double", "Baskets with both / root of the product of the baskets with each"),
    _listed(ITEM_ITEM, c.ITEM_ITEM_LIFT_91D, "double", "Baskets with both / those expected if the items were independent; 1 is chance"),
    _listed(ITEM_ITEM, c.ITEM_ITEM_RANK_91D, "int", "Rank of the neighbour by cosine, from 1, the smaller id first at a tie"),
    _listed(USER_NEIGHBOURS, c.USER_NEIGHBOURS_ITEMS_365D, "array<string>", "Items that the user bought"),
    _listed(USER_NEIGHBOURS, c.USER_NEIGHBOURS_MASK_365D, "array<boolean>", "True where there is an item"),
    _listed(USER_NEIGHBOURS, c.USER_NEIGHBOURS_WEIGHTS_365D, "array<double>", "Days on which the user bought the item, each halved every 91 days of age; 0 where there is none"),
    _listed(ITEM_NEIGHBOURS, c.ITEM_NEIGHBOURS_USERS_365D, "array<string>", "Users who bought the item"),
    _listed(ITEM_NEIGHBOURS, c.ITEM_NEIGHBOURS_MASK_365D, "array<boolean>", "True where there is a user"),
    _listed(ITEM_NEIGHBOURS, c.ITEM_NEIGHBOURS_WEIGHTS_365D, "array<double>", "Days on which the user bought the item, each halved every 91 days of age; 0 where there is none"),
    _listed(ITEM_TEXT, c.ITEM_TEXT_TOKENS, "array<string>", "Words in small letters, in their order; Chinese in pairs of neighbouring characters"),
    _listed(ITEM_TEXT, c.ITEM_TEXT_BAG, "array<float>", "TF-IDF of the tokens among those items, each at one of `features.text_dimensions` places by its hash, with a sign by hash, scaled to length 1"),
    _listed(ITEM_VECTORS, c.ITEM_VECTOR, "array<float>", "384 numbers of length 1: the product of two vectors is near 1 where the texts mean the same"),
)  # fmt: skip

NUMERIC_INPUTS: tuple[Feature, ...] = tuple(f for f in FEATURES if f.is_model_input)
ID_INPUTS: tuple[IdInput, ...] = (
    IdInput(name=c.USER_IDX, comment="Dense index of the user in ids.users; -1 when it has none"),
    IdInput(name=c.ITEM_IDX, comment="Dense index of the item in ids.items; -1 when it has none"),
    IdInput(name=c.CATEGORY_IDX, comment="Dense index of the item's category in ids.categories; -1 without one"),
)
MODEL_INPUTS: tuple[Feature | IdInput, ...] = (*ID_INPUTS, *NUMERIC_INPUTS)

# What a model that reads neighbourhoods takes besides: lists of one length, of the user's drawn items and the item's
# drawn buyers; -1 and weight 0 where there is none.
NEIGHBOUR_IDS = (c.USER_NEIGHBOURS_ITEM_IDX, c.USER_NEIGHBOURS_CATEGORY_IDX, c.ITEM_NEIGHBOURS_USER_IDX)
NEIGHBOUR_WEIGHTS = (c.USER_NEIGHBOURS_WEIGHT, c.ITEM_NEIGHBOURS_WEIGHT)
NEIGHBOUR_INPUTS = (*NEIGHBOUR_IDS, *NEIGHBOUR_WEIGHTS)


def numeric_inputs(told: Collection[str]) -> tuple[Feature, ...]:
    """In catalogue order, those that follow from what a log tells: event types, `device`."""
    return tuple(f for f in NUMERIC_INPUTS if set(f.needs) <= set(told))


def features_of(grain: Grain) -> tuple[Feature, ...]:
    """In catalogue order, which is the column order of the grain's table."""
    return tuple(f for f in FEATURES if f.grain == grain.name)


def as_markdown() -> str:
    """The catalogue as docs/features.md: `python -m recsys.catalog > docs/features.md`."""
    return "\n".join(
        [
            "# Features",
            "",
            "Every feature of the lake, written by `python -m recsys.catalog > docs/features.md` from recsys/catalog.py.",
            "A row holds what was known at `as_of_date`: that day (UTC) and everything later is left out, and a window of",
            "N days is the N days before it. Only events of type purchase count, where a line does not say otherwise; a",
            "user, an item or a pair has a row for a purchase in the last 365 days, or a view or a cart in the last 91.",
            "Null means never seen in the window. Optional tables are written where `features.grains` names them. A model",
            "of a log without the event types, or the devices, that an input needs leaves the input out.",
            "",
            *(line for grain in GRAINS for line in _grain_as_markdown(grain)),
        ]
    )


def _grain_as_markdown(grain: Grain) -> list[str]:
    rows = (
        f"| `{f.name}` | {f.type} | {f.window_days or ''} | {f.comment} | {_input_as_text(f)} |"
        for f in features_of(grain)
    )
    return [
        f"## features.{grain.name}{' (optional)' if grain.is_optional else ''}",
        "",
        *((grain.comment, "") if grain.comment else ()),
        f"Key: {', '.join(f'`{name}`' for name in (*grain.key, c.AS_OF_DATE))}",
        "",
        "| feature | type | window, days | meaning | the model takes |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _input_as_text(feature: Feature) -> str:
    if not feature.is_model_input:
        return ""
    value = "log(1 + value)" if feature.transform == "log1p" else "value"
    needs = f"; needs {_needs_as_text(feature.needs)}" if feature.needs else ""
    return f"{value}; {feature.default:g} for null{needs}"


def _needs_as_text(needs: tuple[str, ...]) -> str:
    return "devices" if needs == (c.DEVICE,) else f"{' and '.join(needs)} events"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
