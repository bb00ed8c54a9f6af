"""The program `histo-ray`: parse, call, print."""

from histo_ray.cli.main import main

__all__ = ["main"]
