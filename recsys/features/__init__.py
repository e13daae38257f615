"""Feature tables: one file per grain, each a pure function of clean tables and cut-off days."""
