"""Verb `histo-ray encoders`."""

import argparse
import json

from histo_ray.deferred import deferred

list_encoders = deferred("histo_ray.encoders.registry:list_encoders")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument(
        "--encoder-table",
        action="append",
        default=[],
        help="TOML file of your own encoders; may be repeated",
    )
    parser.add_argument("--store", help="also list the encoders published into this store")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the encoders that have an entry."""
    specs = list_encoders(args.encoder_table, args.store)
    if args.json:
        print(json.dumps([spec.model_dump() for spec in specs], indent=2))
        return 0
    print(f"{'name':<22} {'dim':>5}  {'tile px':>7}  {'mpp':>12}  {'gated':<5}  licence")
    for spec in specs:
        px, mpp = _list_choice(spec.tile_px), _list_choice(spec.mpp)
        gated = "yes" if spec.gated else "no"
        print(
            f"{spec.name:<22} {spec.dim or '':>5}  {px:>7}  {mpp:>12}  {gated:<5}  {spec.licence}"
        )
    print(
        "\nalso: any timm name, hf-hub:ORG/NAME, PATH?arch=NAME (.safetensors, .pth, .pt or .bin), "
        "random:NAME?seed=0, and entries of your own (--encoder-table FILE.toml)"
    )
    return 0


def _list_choice(values: float | tuple[float, ...] | None) -> str:
    """Format the numbers that a tile contract allows: "0.25,0.5,1", or "any"."""
    if values is None:
        return "any"
    return ",".join(f"{value:g}" for value in (values if isinstance(values, tuple) else (values,)))
