"""The table of samples, checked."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = ("sample", "fastqs", "prefix", "sra")
_HEADER = "a first line with 'sample', and 'fastqs' or 'sra' ('prefix' where a folder holds several samples)"


class SheetError(ValueError):
    """The table is wrong; the message says where, and what is expected."""


@dataclass
class Sample:
    """One library: the reads of one Chromium channel.

    Attributes
    ----------
    name
        As in the table; the name of its files.
    fastqs
        Folders of FASTQ files; empty where the reads are public runs.
    prefixes
        What its FASTQ files begin with; of folders filled in by ``scripts.reads.check_fastqs`` where not given.
    runs
        Accessions of the runs (SRR, ERR, DRR).
    place
        File and line of the table, for messages.
    """

    name: str
    fastqs: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    place: str = ""


def read_samples(path: str | Path) -> list[Sample]:
    """Return the samples of a tab-separated table, in its order.

    Raises
    ------
    SheetError
        No such file, no sample, a missing or unknown column, a sample or its reads twice, a name that Cell Ranger
        does not take, both or neither of FASTQ folder and runs, or an accession that is no run's.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SheetError(
            f"{path}, the table of samples, cannot be read: {error.strerror}. It needs {_HEADER}."
        ) from None
    except UnicodeDecodeError:
        raise SheetError(f"{path} is no text in UTF-8. Save the table as tab-separated text.") from None
    rows = [
        (i, line.split("\t")) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    if not rows:
        raise SheetError(f"{path} is empty. It needs {_HEADER}, and one line a sample.")
    header = [name.strip() for name in rows[0][1]]
    _check_header(path, header)
    samples: list[Sample] = []
    for i, cells in rows[1:]:
        place = f"{path}, line {i}"
        if len(cells) > len(header):
            raise SheetError(f"{place} has {len(cells)} columns, the first line {len(header)}.")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        samples.append(_sample(row, place))
        _no_other_has_it(samples)
    if not samples:
        raise SheetError(f"{path} names no sample: it has a first line alone.")
    return samples


def _check_header(path: Path, header: list[str]) -> None:
    if "sample" not in header and len(header) == 1 and re.search("[,;]", header[0]):
        raise SheetError(f"The columns of {path} must be separated by tabs.")
    for name in header:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(COLUMNS)}."
            raise SheetError(f"{path} has an unknown column '{name}'. {hint}")
        if header.count(name) > 1:
            raise SheetError(f"{path} has two columns '{name}'.")
    if "sample" not in header:
        raise SheetError(f"{path} has no column 'sample' (it has {', '.join(header)}). It needs {_HEADER}.")
    if "fastqs" not in header and "sra" not in header:
        raise SheetError(f"{path} has neither a column 'fastqs' nor 'sra'. It needs {_HEADER}.")


def _sample(row: dict[str, str], place: str) -> Sample:
    name = row.get("sample", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise SheetError(
            f"{place}: '{name}' cannot be the name of a sample. Cell Ranger takes 1 to 64 letters, digits, - and _."
        )
    folders, prefixes, runs = (_listed(row.get(column, "")) for column in ("fastqs", "prefix", "sra"))
    if bool(folders) == bool(runs):
        found = "both fastqs and sra" if folders else "neither fastqs nor sra"
        raise SheetError(f"{place}: sample '{name}' has {found}. Give a folder of FASTQ files, or SRA runs.")
    if prefixes and runs:
        raise SheetError(
            f"{place}: sample '{name}' has a prefix, which is for FASTQ folders. Leave it empty."
        )
    for run in runs:
        if not re.fullmatch(r"[SED]RR[0-9]+", run):
            raise SheetError(
                f"{place}: '{run}' is no accession of a run (SRR, ERR or DRR and a number). The runs of a study or an "
                "experiment are listed by the SRA Run Selector."
            )
    return Sample(name, fastqs=folders, prefixes=prefixes or list(runs), runs=runs, place=place)


def _listed(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(",") if part.strip()]


def _no_other_has_it(samples: list[Sample]) -> None:
    """Refuse the last sample where one before has its name or its reads."""
    last = samples[-1]
    for other in samples[:-1]:
        if other.name.lower() == last.name.lower():
            raise SheetError(
                f"{last.place}: sample '{last.name}' is there already ({other.place}). One line a sample: several "
                "folders or runs of it are separated by commas."
            )
        both = set(other.runs) & set(last.runs)
        if not both and other.prefixes == last.prefixes:
            both = {str(Path(f)) for f in other.fastqs} & {str(Path(f)) for f in last.fastqs}
        if both:
            raise SheetError(
                f"{last.place}: '{last.name}' has the reads of '{other.name}' ({sorted(both)[0]})."
            )
    if len(set(last.runs)) < len(last.runs):
        raise SheetError(f"{last.place}: sample '{last.name}' names a run twice.")
