"""Scores of predictors on other patients."""
