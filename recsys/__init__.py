"""Recommendation and search for e-commerce: raw shop logs in, tables that analysts query out."""
