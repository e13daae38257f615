"""What every list of a scene must be, whatever ranked it: looked at before any table is written."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys import columns as c
from recsys.errors import DataQualityError
from recsys.scoring.new_items import EXPLORATION
from recsys.scoring.scene_lists import is_of_items, list_key, listed_item
from recsys.tables import Table

_ROWS = "num_rows"
_FAULTS = {
    "ranks": "ranks that are not 1 to their number",
    "items": "an item more than once",
    "scores": "a score that is no number, or none where neither a rule nor a draw put the item",
}


def require_sound_lists(rows: DataFrame, table: Table) -> int:
    """How many rows there are. Raises DataQualityError that names a list for each fault."""
    lists = rows.groupBy(*list_key(table)).agg(
        F.count("*").alias(_ROWS),
        F.min(c.RANK).alias("first"),
        F.max(c.RANK).alias("last"),
        F.count_distinct(c.RANK).alias("ranks"),
        F.count_distinct(*map(F.col, _listed(table))).alias("items"),
        F.count_if(~_has_score(table)).alias("scores"),
    )
    is_gapless = (F.col("first") == 1) & (F.col("last") == F.col(_ROWS)) & (F.col("ranks") == F.col(_ROWS))
    faults = {"ranks": ~is_gapless, "items": F.col("items") < F.col(_ROWS), "scores": F.col("scores") > 0}
    name = F.to_json(F.struct(*list_key(table)))
    found = lists.agg(
        F.coalesce(F.sum(_ROWS), F.lit(0)).alias(_ROWS),
        *(F.min(F.when(F.coalesce(is_wrong, F.lit(True)), name)).alias(fault) for fault, is_wrong in faults.items()),
    ).first()
    assert found is not None, "an aggregate without groups has one row"
    if wrong := [f"{found[fault]} has {text}" for fault, text in _FAULTS.items() if found[fault] is not None]:
        raise DataQualityError(
            f"lists of {table.name}: {'; '.join(wrong)}. No table of a scene was written. Cure: it is a defect of "
            "recsys.scoring; until it is mended leave the scene out of score.scenes"
        )
    return int(found[_ROWS])


def require_not_emptied(table: Table, num_rows: int, had_rows: bool) -> None:
    """`had_rows`: for the run date or a day before. Raises DataQualityError where no list is left."""
    if had_rows and not num_rows:
        raise DataQualityError(
            f"{table.name} would have no list, and had some for this run date or one before. No table of a scene was "
            "written. Cure: look at clean.events and clean.items of the last days and at the settings under scenes; "
            "where it is right, set scenes.allow_empty=true"
        )


def _listed(table: Table) -> tuple[str, ...]:
    return (listed_item(table),) if is_of_items(table) else (c.CAMPAIGN_ID, c.OFFER_ID)


def _has_score(table: Table) -> Column:
    score = F.col(c.SCORE if c.SCORE in table.column_names else c.EXPECTED_GAIN)
    is_finite = F.abs(score) < F.lit(float("inf"))
    placed = [F.size(c.RULES) > 0] if c.RULES in table.column_names else []
    placed += [F.col(c.SOURCE) == EXPLORATION] if c.SOURCE in table.column_names else []
    is_placed = F.lit(False)
    for column in placed:
        is_placed = is_placed | F.coalesce(column, F.lit(False))
    # NaN is above every number to Spark.
    return F.coalesce(is_finite, is_placed)
