from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from recsys.manifest import RowGroup
from recsys.training.plan import EpochPlan, plan_epoch


def groups(*rows: int) -> list[RowGroup]:
    return [RowGroup(file=f"train/{number:05d}.parquet", rows=count) for number, count in enumerate(rows)]


def rows_of(plan: EpochPlan, worker: int) -> int:
    return sum(group.rows for group in plan.row_groups[worker])


def test_steps_count_the_rows_of_all_workers_and_the_last_ones_those_still_left() -> None:
    plan = plan_epoch(groups(5, 2), epoch=1, seed=7, workers=2, batch_size=2)
    assert sorted(rows_of(plan, worker) for worker in (0, 1)) == [2, 5]
    assert plan.step_rows == (4, 2, 1)


def test_another_epoch_reads_in_another_order_and_the_same_epoch_in_the_same() -> None:
    first, again, second = (
        plan_epoch(groups(*[10] * 8), epoch=epoch, seed=7, workers=2, batch_size=4) for epoch in (1, 1, 2)
    )
    assert first == again
    assert first != second


def test_no_row_groups_make_no_steps() -> None:
    plan = plan_epoch([], epoch=1, seed=7, workers=2, batch_size=4)
    assert (plan.row_groups, plan.shares, plan.step_rows) == (((), ()), ((), ()), ())


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 300),
    st.integers(0, 2**31),
)
def test_shares_are_disjoint_together_all_and_every_row_falls_in_one_step(
    rows: list[int], workers: int, batch_size: int, seed: int
) -> None:
    all_groups = groups(*rows)
    plan = plan_epoch(all_groups, epoch=1, seed=seed, workers=workers, batch_size=batch_size)
    assert Counter(group for share in plan.row_groups for group in share) == Counter(all_groups)
    assert sum(plan.step_rows) == sum(rows)
    most = max(rows_of(plan, worker) for worker in range(workers))
    assert len(plan.step_rows) == -(-most // batch_size)
    assert all(0 < step <= workers * batch_size for step in plan.step_rows)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 9))
def test_no_worker_has_more_than_one_row_group_above_another(rows: list[int], workers: int) -> None:
    plan = plan_epoch(groups(*rows), epoch=1, seed=7, workers=workers, batch_size=10)
    shares = [rows_of(plan, worker) for worker in range(workers)]
    assert max(shares) - min(shares) <= max(rows)
