"""The Python API: what `import histo_ray as hr` offers, and what the command line calls."""
