"""How the best of all items are looked for, where a model has vectors of them."""

from dataclasses import dataclass

SEARCHES = (EXACT, IVF, HNSW) = ("exact", "ivf", "hnsw")


@dataclass(frozen=True, kw_only=True)
class SearchBy:
    """`effort`: cells looked into, or items that the walk keeps in view. Exact search takes no notice of it."""

    method: str = EXACT
    effort: int = 1


EXACTLY = SearchBy()
