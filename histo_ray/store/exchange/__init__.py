"""Formats of other tools, one a file; `exchange.formats` lists them."""
