"""Evaluations of labelled tiles."""
