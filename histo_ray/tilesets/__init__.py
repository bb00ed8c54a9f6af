"""Labelled tiles: sets of images with a class each, as they come from public data sets."""
