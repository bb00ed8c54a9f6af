"""The program's edge to the shell: streams that are closed, full or gone, and Ctrl-C."""

import atexit
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from threading import Timer, current_thread, main_thread
from types import FrameType
from typing import Any

from histo_ray.cli.exit_codes import INTERRUPTED, NOT_STARTED
from histo_ray.cli.printable import one_line
from histo_ray.errors import HistoRayError

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
"""Characters that act on a terminal: control characters but tab and line ends, and those that
change the direction of writing."""
_LATER_S = 0.05
STOPPING = "\nhisto-ray: stopping; Ctrl-C again ends it at once\n"


class OutputError(HistoRayError):
    """Results could not be written to stdout."""


def run_at_edge(run: Callable[[], int]) -> int:
    """Run the program as a shell runs it.

    * A standard stream that is closed is replaced by /dev/null: the next file that is opened would
      get its number, and whatever prints would write into that file.
    * stdout spells out control characters, wherever they came from; if it cannot be written, one
      line says so. If its reader has gone, that is no error: the work goes on, and its exit code
      counts.
    * What cannot be written to stderr is dropped: the work goes on.
    * The first Ctrl-C raises `KeyboardInterrupt`, and again where Python had to drop it (in a
      destructor, or around a fork); a second one ends the process at once.

    Returns:
        What `run` returns; 130 if it was interrupted.
    """
    _open_missing()
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Results(stdout), _Notes(stderr)
    before = signal.signal(signal.SIGINT, _interrupt_once)
    hook, sys.unraisablehook = sys.unraisablehook, _raise_dropped_interrupt
    code = NOT_STARTED
    try:
        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
        print("histo-ray: interrupted", file=sys.stderr)
    except HistoRayError as error:
        print(f"histo-ray: {one_line(str(error))}", file=sys.stderr)
    finally:
        ended = signal.SIG_DFL if before is signal.default_int_handler else before
        signal.signal(signal.SIGINT, ended)  # Ctrl-C while Python ends: no traceback
        sys.stdout, sys.stderr = stdout, stderr
        sys.unraisablehook = hook
    return code


def leave(code: int) -> int:
    """End this process with `code`, without Python taking its modules apart.

    Where torch and Ray are imported, that takes up to a second for which a person waits in vain.
    Threads are waited for and exit handlers called, as Python itself does in processes that it
    forks (`multiprocessing`).

    Returns:
        `code`, where a debugger or profiler looks on: it needs Python's own end.
    """
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return code
    wait_for_threads: Any = getattr(threading, "_shutdown", lambda: None)
    wait_for_threads()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(OSError):
        os.write(2, STOPPING.encode())
    raise KeyboardInterrupt


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _raise_dropped_interrupt(dropped: "sys.UnraisableHookArgs") -> None:
    if dropped.exc_type is KeyboardInterrupt and current_thread() is main_thread():
        signal.signal(signal.SIGINT, _interrupt_again)
        later = Timer(_LATER_S, os.kill, (os.getpid(), signal.SIGINT))  # not while this is called
        later.daemon = True
        later.start()
    else:
        sys.__unraisablehook__(dropped)


def _open_missing() -> None:
    """Open /dev/null as every standard stream that is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


class _Stream:
    """A text stream that passes everything on to another."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Results(_Stream):
    """stdout: control characters are spelled out, and a failure to write is an error."""

    def write(self, text: str) -> int:
        """Write `text`, control characters spelled out."""
        plain = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
        try:
            self._stream.write(plain)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Send the rest to /dev/null, so that Python can end.

        Raises:
            OutputError: It cannot be written, and not since its reader has seen enough.
        """
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if isinstance(error, BrokenPipeError):
            return
        raise OutputError(
            f"standard output cannot be written ({error.strerror}), so results are missing there; "
            "what the command wrote to files and stores is whole"
        ) from None


class _Notes(_Stream):
    """stderr: what cannot be written is dropped."""

    def write(self, text: str) -> int:
        """Write `text`, if that is possible."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
