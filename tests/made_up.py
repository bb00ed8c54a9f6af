"""Made-up partitions and labelled tiles under the name that tests import them by."""

from testing.partitions import COLOURS, card_of, draw_tiles, facts_of, rows_of

__all__ = ["COLOURS", "card_of", "draw_tiles", "facts_of", "rows_of"]
