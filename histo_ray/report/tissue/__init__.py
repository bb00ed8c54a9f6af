"""Evaluations of labelled tiles on the page and the terminal."""
