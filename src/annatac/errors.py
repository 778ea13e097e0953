"""Every error that a user can cause, each one message: what was found, what was expected, what to do.

The command line prints such an error without a traceback and exits with :attr:`AnnatacError.exit_code`.
They also subclass the built-in exception that a Python caller would expect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnnatacError(Exception):
    """Something that the user can put right. Exit code 2."""

    exit_code = 2


class InputError(AnnatacError, ValueError):
    """An input that cannot be used: wrong content, wrong shape, wrong values."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that was named but does not exist."""


class DamagedFileError(InputError):
    """A file that is truncated or corrupt."""


class AssemblyError(InputError):
    """Coordinates that belong to another genome assembly than stated."""


class OverlapError(InputError):
    """A query that shares too few islands with the model."""


class LabelError(InputError):
    """Labels that are missing, unusable, or of one class only."""


class ConfigError(InputError):
    """A recipe or an option that is unknown or out of range."""


class ModelError(InputError):
    """A model folder that is incomplete, foreign, altered or of another version."""


class OutputError(AnnatacError, OSError):
    """An output that cannot be written: no permission, no space, exists already."""


class MissingDependencyError(AnnatacError, ImportError):
    """An optional package that this function needs; the message names the extra."""


class Interrupted(AnnatacError):
    """The user stopped it; what was finished is kept, and the message says how to go on."""

    exit_code = 130


class AnnatacWarning(UserWarning):
    """A choice that was made for the user, or a property of the data that he should know."""


#: Columns of obs that a command of its own writes; `annatac annotate` writes all others that begin as these do.
_WRITTEN_BY = {
    "annatac_cluster": "clusters",
    "annatac_cluster_label": "clusters",
    "annatac_novel_group": "clusters",
    "annatac_n_fragments": "qc",
    "annatac_nucleosome_signal": "qc",
    "annatac_pseudotime": "trajectory",
    "annatac_tss_enrichment": "qc",
}


def no_column(key: str, columns: Iterable[object], *, table: str = "obs") -> LabelError:
    """Return the error that a table has no such column: the nearest name, all names, and what would write it."""
    names = [str(column) for column in columns]
    writes = _WRITTEN_BY.get(key, "annotate")
    how = f" `annatac {writes}` writes it: run that first." if key.startswith("annatac_") else ""
    return LabelError(
        f"{table} has no column '{key}'.{nearest(key, names)} It has: {', '.join(names) or 'none'}.{how}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or an empty string."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not close and len(name) >= 3:  # a part of a long name: 'granja' of 'granja2019_bmmc_d6t1'
        close = [whole for whole in names if name.lower() in whole.lower()]
    return f" Did you mean '{close[0]}'?" if close else ""
