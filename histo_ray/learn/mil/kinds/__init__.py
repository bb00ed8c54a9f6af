"""Kinds of targets that MIL networks are trained on: one file each, and their registry."""
