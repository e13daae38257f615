from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.manifest import RowGroup
from recsys.training.plan import EpochPlan, Piece, cut, dealt, plan_epoch, shared_out, step_batches


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


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 9))
def test_no_worker_has_more_than_one_row_group_above_another(rows: list[int], workers: int) -> None:
    plan = plan_epoch(groups(*rows), epoch=1, seed=7, workers=workers, batch_size=10)
    shares = [rows_of(plan, worker) for worker in range(workers)]
    assert max(shares) - min(shares) <= max(rows)


def test_a_step_of_two_batches_counts_the_rows_of_both() -> None:
    plan = plan_epoch(groups(7, 2), epoch=1, seed=7, workers=2, batch_size=2, batches_a_step=2)
    # The long stream has batches of 2, 2, 2, 1; the short one a single batch of 2.
    assert plan.step_rows == (6, 3)


def test_what_is_left_is_dealt_in_stream_order_and_evenly() -> None:
    shares = ((Piece(0, 0, 5),), (Piece(1, 0, 4),))
    # Batches 2, 3, 4 of the first stream and 2, 3 of the second are left.
    assert dealt(shares, batches_used=2, workers=1) == ((Piece(0, 2, 5), Piece(1, 2, 4)),)
    assert dealt(shares, batches_used=2, workers=2) == ((Piece(0, 2, 4),), (Piece(0, 4, 5), Piece(1, 2, 4)))
    assert dealt(shares, batches_used=9, workers=2) == ((), ())


def test_cut_counts_over_all_pieces() -> None:
    pieces = (Piece(0, 3, 5), Piece(2, 0, 4))
    assert cut(pieces, 1, 4) == (Piece(0, 4, 5), Piece(2, 0, 2))
    assert cut(pieces, 2) == (Piece(2, 0, 4),)
    assert cut(pieces, 6) == ()


def test_step_batches_are_those_of_the_step() -> None:
    plan = plan_epoch(groups(7, 2), epoch=1, seed=7, workers=2, batch_size=2, batches_a_step=3)
    long = 0 if rows_of(plan, 0) == 7 else 1
    assert step_batches(plan, long, 0) == [(long, 0), (long, 1), (long, 2)]
    assert step_batches(plan, long, 1) == [(long, 3)]
    assert step_batches(plan, 1 - long, 1) == []


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 12)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_however_often_dealt_anew_each_batch_is_used_once(
    rows: list[int], lives: list[tuple[int, int]], batches_a_step: int
) -> None:
    """A life: so many workers take so many steps; the last one all that is left."""
    plan = plan_epoch(groups(*rows), epoch=1, seed=7, workers=lives[0][0], batch_size=16, batches_a_step=batches_a_step)
    used, taken = Counter[tuple[int, int]](), 0
    for number, (workers, steps) in enumerate(lives):
        if number:
            shares = dealt(plan.shares, batches_used=taken * batches_a_step, workers=workers)
            plan = shared_out(plan, shares)
        taken = len(plan.step_rows) if number == len(lives) - 1 else min(steps, len(plan.step_rows))
        for step in range(taken):
            used.update(batch for worker in range(workers) for batch in step_batches(plan, worker, step))
    streams = [sum(group.rows for group in stream) for stream in plan.row_groups]
    assert used == Counter((s, n) for s, total in enumerate(streams) for n in range(-(-total // 16)))
