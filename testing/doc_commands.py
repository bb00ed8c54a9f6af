"""Calls of the program that Markdown pages show, and whether its parser takes them.

A page may leave out what a flag needs (`histo-ray fit label ...`), but may name no verb, action,
flag or choice that there is not.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from histo_ray.cli.main import make_parser
from histo_ray.cli.quiet_flag import list_leaves
from histo_ray.cli.verbs import VERBS

_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:\.venv/bin/)?histo-ray [^`\n]+)`")
_CALL = re.compile(r"(?:^|[\s(/])histo-ray +(?=[a-z])")
_FLAG = re.compile(r"`(--[a-z][a-z0-9-]*)[^`\n]*`")
_MORE = "..."
_ENDS = {";", "&&", "||", "|", ">", ">>", "&", "2>", "<"}
LANGUAGES = {"", "bash", "shell", "sh", "console"}
"""Of blocks that hold calls."""


def read_calls(page: Path) -> list[str]:
    """Read the calls of the program on a page, in blocks and in sentences, without its name."""
    text = page.read_text(encoding="utf-8")
    calls = []
    for _, language, code in _BLOCK.findall(text):
        if language in LANGUAGES:
            for line in code.replace("\\\n", " ").splitlines():
                calls += _CALL.split(line)[1:]
    for inline in _INLINE.findall(_BLOCK.sub("", text)):
        calls += _CALL.split(inline)[1:]
    return calls


def find_problem(call: str) -> str:
    """Say what the parser does not take of a call; empty if it takes everything."""
    words = [word for word in take_words(call) if word not in ("--help", "-h")]
    if not words or words[0].startswith("-"):
        return ""
    if words[0] not in VERBS:
        return f"no verb {words[0]}"
    if words[1:2] == [_MORE]:  # whatever the action is
        actions = [name for name in _list_actions(words[0]) if name != _MORE] or [""]
        problems = [_parse([words[0], *filter(None, [name]), *words[2:]]) for name in actions]
        return min(problems, key=len)
    return _parse(words)


def _parse(words: list[str]) -> str:
    try:
        given = [word for word in words if word != _MORE]
        _, unknown = _lenient_parser(words[0]).parse_known_args(given)
    except argparse.ArgumentError as error:
        return str(error)
    return f"unknown: {' '.join(unknown)}" if unknown else ""


def list_flags() -> frozenset[str]:
    """Flags of all verbs."""
    leaves = [leaf for verb in VERBS for leaf in list_leaves(_lenient_parser(verb))]
    return frozenset(
        flag for leaf in leaves for action in leaf._actions for flag in action.option_strings
    )


def read_flags(page: Path) -> set[str]:
    """Read the flags that a page names in sentences, each at the beginning of a piece of code."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return set(_FLAG.findall(text))


def take_words(call: str) -> Iterator[str]:
    """Words of one call; placeholders for more are left out."""
    plain = call.replace("[", "").replace("]", "").replace("$(", "").replace("…", "...")
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    for word in lexer:
        if word in _ENDS:
            return
        yield word.removesuffix(")")


@cache
def _lenient_parser(verb: str) -> argparse.ArgumentParser:
    """The program's parser, which needs nothing and takes any value where there are no choices."""
    parser = make_parser(verb)
    for leaf in [*list_leaves(parser), *_list_inner(parser)]:
        leaf.exit_on_error = False
        leaf.error = _raise  # type: ignore[method-assign, assignment]
        for action in leaf._actions:
            action.required = False
            if action.nargs is None:
                action.nargs = "?"
            if not action.choices:
                action.type = None
        for group in leaf._mutually_exclusive_groups:
            group.required = False
    return parser


def _list_actions(verb: str) -> list[str]:
    """Names of the actions, or tasks, of a verb."""
    inner = list(_list_inner(make_parser(verb)))[1:]
    found = [a for one in inner for a in one._actions if isinstance(a, argparse._SubParsersAction)]
    return [name for action in found for name in action.choices]


def _list_inner(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """List parsers that have actions, and are no leaves therefore."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield parser
            for sub in action.choices.values():
                yield from _list_inner(sub)


def _raise(message: str) -> None:
    raise argparse.ArgumentError(None, message)
