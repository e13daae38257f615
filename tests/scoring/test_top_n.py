from datetime import date

from chispa import assert_df_equality

from recsys.frames.local_rows import local_rows
from recsys.scoring.candidates import CATEGORY, OWN, POPULAR, VIEWED
from recsys.scoring.reranking import FILL, RULE
from recsys.scoring.top_n import ALL, REASONS, reason, top_n

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


def test_every_source_has_its_reason(spark):
    words = {
        OWN: "bought_before",
        VIEWED: "viewed_before",
        CATEGORY: "favourite_category",
        POPULAR: "popular_now",
        ALL: "similar_taste",
        FILL: "popular_now",
        RULE: "chosen_by_the_shop",
    }
    assert set(REASONS) == set(words)
    rows = local_rows(spark, [(source,) for source in words], "source string")
    expected = local_rows(spark, list(words.items()), "source string, reason string")
    assert_df_equality(rows.withColumn("reason", reason()), expected, ignore_nullable=True)
