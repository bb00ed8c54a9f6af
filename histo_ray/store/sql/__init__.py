"""SQL over a store: its views, for DuckDB inside of this program and elsewhere."""
