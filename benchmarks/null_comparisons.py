"""How often a t-test calls two equally good feature sets different.

`python -m benchmarks.null_comparisons`: see testing/null_comparisons.py for how they are drawn.
"""

import argparse
import json
import time

from testing.null_comparisons import rejection_rates, simulate_null


def main() -> None:
    """Print both rates as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.null_comparisons")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    differences = simulate_null(args.simulations, args.folds, args.repeats, args.seed)
    rates = rejection_rates(differences, args.folds)
    print(json.dumps({**vars(args), "rejected": rates, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
