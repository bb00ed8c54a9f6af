"""Slide encoders: all tile vectors of a slide to one vector, as a stage with receipts."""
