"""`--quiet`, a flag of every verb and action."""

import argparse
from collections.abc import Iterator


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet` to a verb, or to every action of one that has actions."""
    for leaf in list_leaves(parser):
        leaf.add_argument(
            "--quiet",
            action="store_true",
            help="no progress on stderr, only problems; results go to stdout as ever",
        )


def list_leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """List the parsers that take a verb's flags: its own, or those of its actions."""
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not actions:
        yield parser
    for action in actions:
        for sub in action.choices.values():
            yield from list_leaves(sub)
