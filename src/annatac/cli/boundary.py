"""Where errors become one line and an exit code, and warnings one line."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from annatac.cli.spelling import as_typed
from annatac.cli.terminal import speaks
from annatac.errors import AnnatacError, AnnatacWarning

_STOPPED = "interrupted. Nothing was written."
OK, INTERNAL, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from annatac.cli.allocator import keep_memory, keep_no_kernels
    from annatac.cli.app import app

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    keep_memory()
    keep_no_kernels()
    with tidy_warnings(arguments, debug=debug):
        try:
            code = app(arguments, prog_name="annatac", standalone_mode=False)
            sys.stdout.flush()
        except BaseException as error:
            code = report(error, arguments, debug=debug)
        else:
            if code == INTERRUPTED and speaks():  # typer turns Ctrl-C into this code
                _say(_STOPPED)
        return code if isinstance(code, int) else OK


def report(error: BaseException, arguments: Sequence[str], *, debug: bool) -> int:
    """Say on standard error what went wrong, and return the exit code."""
    import typer

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else (OK if error.code is None else INTERNAL)
    if isinstance(error, BrokenPipeError):  # `annatac ... | head`: what reads us has gone, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if debug and not hasattr(error, "show"):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        if speaks():
            _say(_STOPPED)
        return INTERRUPTED
    if getattr(error, "told_elsewhere", False):  # another process of this run has shown its own
        return error.exit_code if isinstance(error, AnnatacError) else INTERNAL
    if isinstance(error, AnnatacError):
        _say(as_typed(str(error), arguments))
        return error.exit_code
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of typer
        error.show()
        return int(error.exit_code)
    return _report_foreign(error)


def _report_foreign(error: BaseException) -> int:
    """Report an error that is not ours: the machine's limits are the user's business, the rest is a bug."""
    from annatac.io.atomic import write_failure

    if isinstance(error, MemoryError):
        _say(f"not enough memory ({error}). Close other programs, or give fewer cells at a time.")
        return USAGE
    if write_failure(error) is not None:
        _say(f"a file cannot be written: {error}. Free some space, or choose another folder.")
        return USAGE
    print(
        f"internal error: {type(error).__name__}: {error}\n"
        "This is a bug in annatac: please report it, with the output of the same command with --debug.",
        file=sys.stderr,
    )
    return INTERNAL


def _say(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


@contextmanager
def tidy_warnings(arguments: Sequence[str], *, debug: bool) -> Iterator[None]:
    """Show our own warnings as one line each, once; hide what other libraries say unless ``debug``."""
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> Any:
        if issubclass(category, AnnatacWarning):
            if str(message) not in shown:
                shown.add(str(message))
                if not speaks():
                    return
                print(f"warning: {as_typed(str(message), arguments)}", file=sys.stderr)
        elif debug:
            print(warnings.formatwarning(message, category, filename, lineno, line), file=sys.stderr, end="")

    last_resort = logging.lastResort
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
            logging.lastResort = None
        warnings.simplefilter("always", AnnatacWarning)
        warnings.showwarning = show
        try:
            yield
        finally:
            logging.lastResort = last_resort
