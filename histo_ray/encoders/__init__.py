"""Encoders: a tile goes in, one vector comes out. `torch` and `timm` are known only here."""
