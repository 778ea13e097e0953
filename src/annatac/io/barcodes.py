"""Which barcodes are cells: from Cell Ranger's tables, a list file, or names given in Python."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annatac.errors import AnnatacWarning, InputError
from annatac.genome.intervals import open_text

METRICS_FILES = ("singlecell.csv", "per_barcode_metrics.csv")
# Cell Ranger ATAC: is__cell_barcode, or is_GRCh38_cell_barcode for each of two species; ARC: is_cell
_IS_CELL = re.compile(r"is_(.*_)?cell(_barcode)?")

Barcodes = str | Path | Iterable[str]


def metrics_beside(path: Path) -> Path | None:
    """Return the ``singlecell.csv`` or ``per_barcode_metrics.csv`` in the folder of ``path``, if any."""
    return next((path.parent / name for name in METRICS_FILES if (path.parent / name).is_file()), None)


def cell_barcodes(source: Barcodes) -> list[str]:
    """Return the barcodes of cells, in the order of their source.

    Parameters
    ----------
    source
        A file: Cell Ranger's ``singlecell.csv`` (ATAC) or ``per_barcode_metrics.csv`` (ARC), of which the
        barcodes called cells are taken; or one barcode a line (further columns, a header ``barcode`` and
        ``.gz`` are fine). Or the barcodes themselves.

    Raises
    ------
    MissingFileError, DamagedFileError, InputError
        No such file; a broken one; no barcode in it.
    """
    if not isinstance(source, str | Path):
        names = [str(name) for name in source]
        if not names:
            raise InputError("The list of barcodes is empty. Expected at least one barcode.")
        return list(dict.fromkeys(names))
    path = Path(source)
    with open_text(path) as lines:
        first = lines.readline()
        separator = "\t" if "\t" in first else ","
        header = next(csv.reader([first], delimiter=separator), [])
        called = [i for i, name in enumerate(header) if _IS_CELL.fullmatch(name.strip())]
        rows = csv.reader(lines, delimiter=separator)
        if "barcode" in header and called:
            column = header.index("barcode")
            names = [
                row[column]
                for row in rows
                if len(row) == len(header) and any(row[i].strip() in ("1", "True", "true") for i in called)
            ]
            if not names:
                raise InputError(
                    f"{path} calls no barcode a cell (column {', '.join(header[i] for i in called)}). "
                    "Give a list of barcodes or a minimum of fragments instead."
                )
        else:
            names = [row[0].strip() for row in [header, *rows] if row and not row[0].startswith("#")]
            names = [name for name in names if name]
            if names and names[0].lower() in ("barcode", "barcodes", "cell", "cell_id"):
                names = names[1:]
            if not names:
                raise InputError(f"{path} holds no barcode. Expected one barcode a line.")
    return list(dict.fromkeys(names))


def examples(names: Sequence[str], *, n: int = 2) -> str:
    """Return the first names, quoted: ``'AAAC-1', 'AAAG-1'``."""
    return ", ".join(f"'{name}'" for name in list(names)[:n])


def rows_of(wanted: Barcodes, present: Sequence[str], source: str | Path) -> npt.NDArray[np.int64]:
    """Return the row of every wanted barcode that is present, in the order wanted.

    Raises
    ------
    InputError
        None is present.

    Warns
    -----
    AnnatacWarning
        Some are not present (how many of how many).
    """
    names = cell_barcodes(wanted)
    row = {name: i for i, name in enumerate(present)}
    rows = np.array([row[name] for name in names if name in row], dtype=np.int64)
    if not len(rows):
        raise InputError(
            f"None of the {len(names):,} chosen barcodes is in {source}. It holds names like "
            f"{examples(present)}; chosen were names like {examples(names)}. Check the suffix '-1' and the "
            "sample."
        )
    if len(rows) < len(names):
        warnings.warn(
            f"{len(names) - len(rows):,} of the {len(names):,} chosen barcodes are not in {source} "
            "and are left out.",
            AnnatacWarning,
            stacklevel=3,
        )
    return rows
