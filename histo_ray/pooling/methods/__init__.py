"""Poolings, one a file; `histo_ray.pooling.poolings` lists them."""
