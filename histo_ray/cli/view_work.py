"""`histo-ray view`: serve the viewer until Ctrl-C."""

import argparse

from histo_ray.api.view import view
from histo_ray.cli.exit_codes import DONE
from histo_ray.cli.flags import read_settings
from histo_ray.cli.progress import say
from histo_ray.view.view_settings import ViewConfig


def run(args: argparse.Namespace) -> int:
    """Print the address on stdout, and serve; Ctrl-C is the usual end."""
    config = read_settings(args, ViewConfig)

    def tell(address: str) -> None:
        print(address, flush=True)
        say("view", "open this address in a browser on this machine; Ctrl-C ends it")

    view(config, started=tell)
    return DONE
