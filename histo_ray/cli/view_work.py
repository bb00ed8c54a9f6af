"""`histo-ray view`: serve the viewer until Ctrl-C."""

import argparse
from urllib.parse import urlsplit

from histo_ray.api.view import view
from histo_ray.cli.exit_codes import INTERRUPTED
from histo_ray.cli.flags import read_settings
from histo_ray.cli.json_results import print_json
from histo_ray.cli.progress import say
from histo_ray.view.view_settings import ViewConfig


def run(args: argparse.Namespace) -> int:
    """Print the address on stdout, and serve until Ctrl-C, which ends every verb with 130."""
    config = read_settings(args, ViewConfig)
    say("view", "starting")  # imports and the list of slides take seconds

    def tell(address: str) -> None:
        if args.json:
            print_json(_describe(address), indent=None)
        else:
            print(address, flush=True)
        say("view", "open this address in a browser on this machine; Ctrl-C ends it")

    view(config, started=tell)
    return INTERRUPTED


def _describe(address: str) -> dict[str, str | int | None]:
    """Address of a viewer and its parts."""
    parts = urlsplit(address)
    return {
        "address": address,
        "host": parts.hostname,
        "port": parts.port,
        "token": parts.path.strip("/"),
    }
