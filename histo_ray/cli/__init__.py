"""The program `histo-ray`: parse, call, print."""

from histo_ray.cli.main import main, run_job

__all__ = ["main", "run_job"]
