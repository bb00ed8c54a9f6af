"""Predictors: heads that are fitted, published with their card, and applied to other stores."""
