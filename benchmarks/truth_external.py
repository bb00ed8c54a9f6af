"""Do external validations say what is true?

`python -m benchmarks.truth_external [--simulations 400]`. Synthetic cohorts with a known signal: a
predictor is fitted on one, with its calibration and threshold, and validated on another; what is
true of it there is measured on 40,000 further patients. Then: cohorts of another prevalence and of
another stain, labels that features say nothing of, and two predictors that are worth the same.
"""

import argparse
import json
import time

from testing.external_truth import (
    Population,
    compare_equals,
    cover_areas,
    cover_precision,
    measure_coverage,
    measure_shift,
)

HOME = Population()
ABROAD = Population(prevalence=0.3)
NOISE = Population(signal=0.0)
FREQUENT = Population(prevalence=0.7)
"""More positives."""
STAINED = Population(stain=1.5)
"""Another stain: every feature is shifted."""


def main() -> None:
    """Print what was found as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth_external")
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    few = max(2, args.simulations // 4)
    answer = {
        "intervals of AUROC": cover_areas(5 * args.simulations),
        "intervals of AUPRC: ours, bootstrap of all, bootstrap within classes": cover_precision(
            args.simulations
        ),
        "simulations": args.simulations,
        "same biology, other prevalence": measure_coverage(
            args.simulations, HOME, ABROAD, seed=args.seed
        ),
        "noise": measure_coverage(few, NOISE, NOISE, seed=args.seed),
        "not shifted": measure_shift(few, HOME, HOME, seed=args.seed),
        "other prevalence": measure_shift(few, HOME, FREQUENT, seed=args.seed),
        "other stain": measure_shift(few, HOME, STAINED, seed=args.seed),
        "two that are worth the same": compare_equals(args.simulations, seed=args.seed),
        "cpu_seconds": round(time.process_time(), 1),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
