"""Opening and reading files: the manifest, the slides, their levels and fingerprints."""
