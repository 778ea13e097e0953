"""The command line, ``annatac``. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for what the user can put right, 1 for a bug of ours.

    Parameters
    ----------
    arguments
        Those of the command line, ``sys.argv[1:]`` by default.
    """
    from annatac.cli.boundary import run

    return run(arguments)
