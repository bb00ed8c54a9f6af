"""Predictors and external validations on the page and the terminal."""
