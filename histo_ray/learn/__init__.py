"""Heads on stored embeddings, and what may be said of their scores. No Ray, no disk."""
