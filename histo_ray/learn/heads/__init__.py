"""Heads: what is trained on embeddings. One file a head, one line in the registry."""
