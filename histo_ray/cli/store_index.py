"""What `histo-ray store index build` and `drop` do."""

import argparse

from histo_ray.api.feature_store import open_store
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import note
from histo_ray.errors import ConfigError
from histo_ray.text import count_of


def run_index(args: argparse.Namespace) -> int:
    """Build the index of an encoder's tiles, or drop those that are there."""
    store = open_store(args.store)
    if args.what == "drop":
        if args.tiling:
            raise ConfigError("store index drop: --tiling is of build; drop removes all tilings")
        dropped = store.drop_index(args.encoder)
        if args.json:
            print_json(dropped)
            return 0
        for path in dropped:
            print(one_line(path))
        print(f"{count_of(len(dropped), 'index', 'indexes')} dropped")
        return 0
    built = store.build_index(args.encoder, args.tiling, lambda text: note(one_line(text)))
    if args.json:
        print_json(built._asdict() | {"quality": built.quality._asdict()})
        return 0
    quality = built.quality
    print(
        f"{built.encoder}, {built.tiling}: {built.tiles:,} tiles of "
        f"{count_of(built.slides, 'slide')} in {built.seconds:.1f} s, {built.bytes / 1e6:,.1f} MB"
    )
    print(
        f"a query looks into {quality.looked_into} of {quality.cells} cells, which found "
        f"{quality.recall:.3f} of the ten nearest of a sample"
    )
    return 0
