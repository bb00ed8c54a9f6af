"""Reporting checklists that are filled in from what a store knows."""
