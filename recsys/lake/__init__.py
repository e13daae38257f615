"""The only reader and writer of tables: sessions, Delta tables, example files and the writers' lock."""
