"""Gated attention over bags of tiles: multiple instance learning. The room of learn with torch."""
