"""Networks from a bag of tiles to outputs of targets: one file each, and their registry."""
