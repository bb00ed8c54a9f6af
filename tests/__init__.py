"""The tests, and what they share. A package, for some dependency installs one of that name."""
