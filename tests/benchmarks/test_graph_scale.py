import pytest

from benchmarks.graph_scale import Seen, edges_within


def test_how_many_edges_fit_follows_from_the_growth_between_the_last_two_sizes() -> None:
    def seen(*sizes: tuple[int, float]) -> list[Seen]:
        return [Seen(edges=edges, steps_per_s=1.0, peak_gib=peak_gib) for edges, peak_gib in sizes]

    assert edges_within(6.0, seen((1_000_000, 1.0))) is None
    assert edges_within(6.0, seen((1, 9.0), (1_000_000, 1.0), (10_000_000, 2.0))) == pytest.approx(46_000_000)
    assert edges_within(6.0, seen((1_000_000, 1.0), (10_000_000, 1.0))) == float("inf")
