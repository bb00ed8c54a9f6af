"""Labelled tiles, and scores of single tiles."""
