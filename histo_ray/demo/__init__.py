"""`histo-ray demo`: the whole job on synthetic data."""
