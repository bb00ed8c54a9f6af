"""Verb `histo-ray encoders`."""

import argparse
import shutil
import sys

from histo_ray.cli.encoder_words import (
    describe_encoder,
    describe_filters,
    describe_tiles,
    draw_page,
    draw_table,
    wrap_foot,
)
from histo_ray.cli.json_results import print_json
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError

list_encoders = deferred("histo_ray.encoders.registry:list_encoders")
describe_plugins = deferred("histo_ray.encoders.plugins:describe_plugins")
select_encoders = deferred("histo_ray.encoders.selection:select_encoders")
resolve = deferred("histo_ray.encoders.registry:resolve")
split_tiles = deferred("histo_ray.encoders.tile_request:split_tiles")
breach_of = deferred("histo_ray.encoders.selection:breach_of")
is_open_to_timm = deferred("histo_ray.encoders.selection:is_open_to_timm")
state_timm_facts = deferred("histo_ray.encoders.timm_facts:state_timm_facts")  # torch takes seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument(
        "show",
        nargs="*",
        metavar="show REQUEST",
        help="all that is known of one encoder, with the source of each fact: a name of the list, "
        "or any request that --encoder takes",
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
    request = _read_request(args.show)
    if request is not None:
        return _show(request, args)
    plugins, problems = describe_plugins()
    known = [*list_encoders(args.encoder_table, args.store), *plugins]
    for problem in problems:
        print(problem, file=sys.stderr)
    gated = None if args.gated is None else args.gated == "yes"
    chosen = select_encoders(known, mpp=args.mpp, licence=args.licence, gated=gated)
    if args.json:
        print_json([spec.model_dump() for spec in chosen])
    elif args.markdown:
        print(draw_page(chosen), end="")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(draw_table(chosen, width))
        filters = describe_filters(args.mpp, args.licence, gated)
        print(f"\n{wrap_foot(f'{len(chosen)} of {len(known)} encoders{filters}.', width)}")
    return 0


def _show(request: str, args: argparse.Namespace) -> int:
    """Print all that is known of what a request means, and of the tiles that it asks for."""
    asked = split_tiles(request)
    spec = resolve(asked.encoder, args.encoder_table, args.store)
    if is_open_to_timm(spec):
        spec = state_timm_facts(spec)
    broken = breach_of(spec, asked)
    if args.json:
        tiles = {"asked_tiles": asked.settings, "contract_broken": broken}
        print_json(spec.model_dump() | (tiles if asked.settings else {}))
        return 0
    print(describe_encoder(spec, describe_tiles(asked.settings, broken)))
    return 0


def _read_request(words: list[str]) -> str | None:
    """The request in `encoders show REQUEST`; None for the list.

    Raises:
        ConfigError: Other words.
    """
    if not words:
        return None
    if words[0] == "show" and len(words) == 2:
        return words[1]
    if words == ["show"]:
        raise ConfigError(
            "show: no encoder is named; write `histo-ray encoders show NAME`, with a name of "
            "`histo-ray encoders` or any request that --encoder takes, as random:resnet18"
        )
    if len(words) == 1:
        raise ConfigError(
            f"{words[0]!r} is no action of `histo-ray encoders`; for all of one encoder write "
            f"`histo-ray encoders show {words[0]}`, for the list leave it out"
        )
    raise ConfigError(
        f"{' '.join(words)!r} is no request: write `histo-ray encoders` for the list, or "
        "`histo-ray encoders show NAME` for one encoder"
    )
