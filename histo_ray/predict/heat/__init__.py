"""Scores of tiles: heat maps, class maps, and the heads that did not see a patient."""
