"""The embedded synthetic cohort: H&E-like slides for demonstrations and tests, offline."""
