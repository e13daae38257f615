"""Small DataFrame helpers that stages share; they read and write nothing."""
