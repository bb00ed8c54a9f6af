"""Evaluations of patients: from slides and labels to tables and a record."""
