"""Evaluations of columns of labels, whose kinds may differ."""
