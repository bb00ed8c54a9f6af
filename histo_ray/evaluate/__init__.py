"""Evaluation of encoders by cross-validation."""
