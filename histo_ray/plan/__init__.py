"""Dry run of an extraction on this machine: slides opened, encoders measured, nothing written."""
