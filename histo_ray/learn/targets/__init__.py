"""Targets of patients: labels, folds, scores, tests and tables."""
