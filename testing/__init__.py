"""What tests and benchmarks share: made inputs, damage, and servers and nodes that fail.

Neither of the two imports the other; both import from here. Nothing here is part of the package.
"""
