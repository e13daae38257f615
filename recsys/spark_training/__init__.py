"""Baselines that Spark itself fits: from rows to plain arrays or vectors, which other packages score with."""
