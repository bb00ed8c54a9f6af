"""Poolings, one a file; `histo_ray.pooling.registry` lists them."""
