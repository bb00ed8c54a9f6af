"""Extraction of features: from slides and tile sets to partitions of the store."""
