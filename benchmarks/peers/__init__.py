"""Other tools' whole pipelines, each in an environment of its own.

`drive_*.py` are run by a peer's own Python and import nothing of `histo_ray`.
"""
