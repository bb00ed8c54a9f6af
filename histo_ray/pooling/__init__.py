"""Tiles to one vector a slide or patient."""
