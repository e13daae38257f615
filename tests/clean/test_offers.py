from collections.abc import Callable
from datetime import date

from pyspark.sql import DataFrame

from recsys import columns as c
from recsys import tables
from recsys.clean.duplicates import part
from recsys.clean.mapping import CampaignsMapping, OffersMapping, PeriodMapping, RedemptionsMapping
from recsys.clean.offers import TABLES, judged_offers
from recsys.clean.rules import CAMPAIGNS, OFFERS, REDEMPTIONS
from recsys.config import CleanConfig


def kept(parted_rows: DataFrame, table: tables.Table) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in parted_rows.select(*table.column_names).collect())


def test_campaigns_end_with_their_last_day_where_the_log_names_that(
    records: Callable[..., DataFrame], limits: CleanConfig
) -> None:
    rows = records(
        ("k", "from", "to"), ("1", "2024-02-01", "2024-02-28"), ("2", "2024-02-01", "2024-02-01"),
        ("3", "2024-02-02", "2024-02-01"), ("1", "2024-03-01", "2024-03-02"),
    )  # fmt: skip

    def mapped(**days: str) -> CampaignsMapping:
        return CampaignsMapping(files="*", format="csv", columns={c.CAMPAIGN_ID: "k"}, period=PeriodMapping(**days))

    parted = part(judged_offers(rows, mapped(starts_on="from", ends_on="to"), limits, CAMPAIGNS), TABLES[CAMPAIGNS].key)
    assert kept(parted.kept, tables.CAMPAIGNS) == [
        ("1", date(2024, 2, 1), date(2024, 2, 29)),
        ("2", date(2024, 2, 1), date(2024, 2, 2)),
    ]
    left_out = {row[c.SOURCE_ROW]: row[c.REASONS] for row in parted.left_out.collect()}
    assert left_out == {3: ["bad_period"], 4: ["key_duplicate"]}
    before = part(
        judged_offers(rows, mapped(starts_on="from", ends_before="to"), limits, CAMPAIGNS), TABLES[CAMPAIGNS].key
    )
    assert kept(before.kept, tables.CAMPAIGNS) == [("1", date(2024, 2, 1), date(2024, 2, 28))]


def test_offers_and_redemptions_are_what_the_log_says(records: Callable[..., DataFrame], limits: CleanConfig) -> None:
    columns = {c.CAMPAIGN_ID: "k", c.OFFER_ID: "o"}
    of_items = OffersMapping(files="*", format="csv", columns={**columns, c.ITEM_ID: "i"})
    rows = records(("k", "o", "i"), ("1", "a", "x"), ("1", "a", "y"), ("1", "a", "x"), ("1", None, "x"))
    parted = part(judged_offers(rows, of_items, limits, OFFERS), TABLES[OFFERS].key)
    assert kept(parted.kept, tables.OFFERS) == [("1", "a", "x"), ("1", "a", "y")]
    taken = RedemptionsMapping(files="*", format="csv", columns={**columns, c.USER_ID: "u"}, redeemed_on="day")
    rows = records(("k", "o", "u", "day"), ("1", "a", "u1", "2024-02-29"), ("1", "a", "u2", "29.2.2024"))
    parted = part(judged_offers(rows, taken, limits, REDEMPTIONS), TABLES[REDEMPTIONS].key)
    assert kept(parted.kept, tables.REDEMPTIONS) == [("1", "a", "u1", date(2024, 2, 29))]
    assert [row[c.REASONS] for row in parted.left_out.collect()] == [["bad_day"]]
