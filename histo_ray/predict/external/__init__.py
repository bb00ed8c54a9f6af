"""Applying predictors to other patients, and validating them there."""
