"""`python -m histo_ray`: the program where its script is not on the path."""

import sys

from histo_ray.cli import main

sys.exit(main())
