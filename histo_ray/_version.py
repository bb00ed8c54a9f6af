"""The version, read by the build and written into every receipt."""

__version__ = "0.5.0"
