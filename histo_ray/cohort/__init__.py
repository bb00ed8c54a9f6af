"""Patients of a cohort, and the folds of their cross-validation."""
