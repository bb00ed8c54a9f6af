"""Verb `histo-ray encoders`."""

import argparse
import json
import sys

from histo_ray.cli.encoder_words import (
    FOOT,
    describe_encoder,
    describe_filters,
    draw_page,
    draw_table,
)
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError

list_encoders = deferred("histo_ray.encoders.registry:list_encoders")
describe_plugins = deferred("histo_ray.encoders.plugins:describe_plugins")
select_encoders = deferred("histo_ray.encoders.selection:select_encoders")
find_encoder = deferred("histo_ray.encoders.selection:find_encoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument(
        "show",
        nargs="*",
        metavar="show NAME",
        help="all that is known of one encoder, with the source of each fact",
    )
    parser.add_argument(
        "--mpp", type=float, help="only encoders that take tiles of this mpp (microns per pixel)"
    )
    parser.add_argument(
        "--licence", metavar="TEXT", help="only encoders whose licence holds this text: apache"
    )
    parser.add_argument(
        "--gated",
        choices=("yes", "no"),
        help="only encoders that need a token and an accepted licence, or only those that do not",
    )
    parser.add_argument(
        "--encoder-table",
        action="append",
        default=[],
        help="TOML file of your own encoders; may be repeated",
    )
    parser.add_argument("--store", help="also list the encoders published into this store")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print as JSON")
    form.add_argument(
        "--markdown", action="store_true", help="print as a page, with the sources of all facts"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the encoders that are known by name, or show one."""
    name = _read_name(args.show)
    plugins, problems = describe_plugins()
    known = [*list_encoders(args.encoder_table, args.store), *plugins]
    if name is not None:
        spec = find_encoder(name, known)
        print(json.dumps(spec.model_dump(), indent=2) if args.json else describe_encoder(spec))
        return 0
    for problem in problems:
        print(problem, file=sys.stderr)
    gated = None if args.gated is None else args.gated == "yes"
    chosen = select_encoders(known, mpp=args.mpp, licence=args.licence, gated=gated)
    if args.json:
        print(json.dumps([spec.model_dump() for spec in chosen], indent=2))
    elif args.markdown:
        print(draw_page(chosen), end="")
    else:
        print(draw_table(chosen))
        filters = describe_filters(args.mpp, args.licence, gated)
        print(f"\n{len(chosen)} of {len(known)} encoders{filters}. {FOOT}")
    return 0


def _read_name(words: list[str]) -> str | None:
    """The name in `encoders show NAME`; None for the list.

    Raises:
        ConfigError: Other words.
    """
    if not words:
        return None
    if len(words) == 2 and words[0] == "show":
        return words[1]
    raise ConfigError(
        f"{' '.join(words)!r} is no request: write `histo-ray encoders` for the list, or "
        "`histo-ray encoders show NAME`"
    )
