"""Benchmarks: `python -m benchmarks [--quick] [NAME ...]`. Figures go to docs/benchmarks.md."""
