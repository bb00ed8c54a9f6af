"""Evaluations of patients on the page and the terminal."""
