from datetime import date

from chispa import assert_df_equality

from recsys.frames.local_rows import local_rows
from recsys.scoring.top_n import top_n

DAY = date(2017, 12, 18)
SCHEMA = "as_of_date date, user_id string, item_id string, score double"


def test_the_best_come_first_and_ties_are_broken_by_the_item_id(spark):
    scored = local_rows(
        spark,
        [
            (DAY, "u1", "c", 0.5),  # a tie at the border: b stays, c goes
            (DAY, "u1", "a", 0.1),
            (DAY, "u1", "b", 0.5),
            (DAY, "u1", "d", 0.9),
            (DAY, "u2", "a", 0.2),  # fewer than two
            (date(2017, 12, 4), "u1", "a", 0.1),  # another cut-off
        ],
        SCHEMA,
    )
    expected = local_rows(
        spark,
        [
            (DAY, "u1", "d", 0.9, 1),
            (DAY, "u1", "b", 0.5, 2),
            (DAY, "u2", "a", 0.2, 1),
            (date(2017, 12, 4), "u1", "a", 0.1, 1),
        ],
        f"{SCHEMA}, rank int",
    )
    for partitions in (1, 5):
        actual = top_n(scored.repartition(partitions), 2)
        assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
