"""FASTQ files as Cell Ranger names them: checked where they are given, made where they come from the SRA.

python reads.py SRR000001 DOWNLOADED OUTPUT [--threads 6]
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.samples import Sample

NAME = re.compile(r"(?P<prefix>.+)_S\d+_L(?P<lane>\d{3})_(?P<read>[RI][123])_\d{3}\.fastq(\.gz)?")
FORM = "NAME_S1_L001_R1_001.fastq.gz"
# The two ends of a fragment and, between them, the barcode (i5), as mkfastq and as bcl2fastq number them
SETS = ({"R1", "R2", "R3"}, {"R1", "R2", "I2"})
BARCODES = (16, 24)  # bases: of the ATAC kit, and of the multiome kit (8 of them are a spacer)
N_LOOKED_AT = 1000


class ReadsError(ValueError):
    """FASTQ files are missing or not as Cell Ranger wants them; the message says which and what is expected."""


def check_fastqs(sample: Sample) -> None:
    """Check the FASTQ files of a sample, and fill in what they begin with where the table does not say.

    Raises
    ------
    ReadsError
        No such folder, no FASTQ file, names of another form, several samples in a folder and none chosen, or a
        read (R1, R2, R3) missing.
    """
    found: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for folder in map(Path, sample.fastqs):
        if not folder.is_dir():
            raise ReadsError(
                f"{sample.place}: there is no folder {folder}, where sample '{sample.name}' is to be."
            )
        files = [p for p in sorted(folder.rglob("*")) if re.search(r"\.(fastq|fq)(\.gz)?$", p.name)]
        if not files:
            raise ReadsError(
                f"{sample.place}: {folder} holds no FASTQ file (.fastq.gz). Give the folder in which the files of "
                f"sample '{sample.name}' lie, or one above it."
            )
        for file in files:
            matched = NAME.fullmatch(file.name)
            if matched is None:
                raise ReadsError(
                    f"{sample.place}: {file} is not named as Cell Ranger wants it: {FORM}, with R1, R2 (the barcode) "
                    "and R3. Rename or link the files; public runs can be given as accessions in the column 'sra'."
                )
            found[matched["prefix"]][(str(file.parent), matched["lane"])].add(matched["read"])
    if not sample.prefixes and len(found) > 1:
        raise ReadsError(
            f"{sample.place}: the FASTQ files of '{sample.name}' are of several samples ({', '.join(sorted(found))}). "
            "Name those that belong to it in the column 'prefix', separated by commas."
        )
    sample.prefixes = sample.prefixes or list(found)
    for prefix in sample.prefixes:
        if prefix not in found:
            raise ReadsError(
                f"{sample.place}: no FASTQ file of '{sample.name}' begins with '{prefix}'. They begin with "
                f"{', '.join(sorted(found))}."
            )
        for (place, lane), reads in found[prefix].items():
            if not any(needed <= reads for needed in SETS):
                raise ReadsError(
                    f"{sample.place}: lane {lane} of {prefix} in {place} has {', '.join(sorted(reads))}. R1, R2 and "
                    "R3 are needed: both ends of a fragment, and the barcode between them."
                )


def name_reads(run: str, downloaded: Path, output: Path, *, threads: int = 1) -> None:
    """Compress the reads of a run into ``output``, named by what they are, which their lengths tell.

    Raises
    ------
    ReadsError
        The run has no barcodes, or not two ends of fragments.
    """
    files = sorted(downloaded.glob(f"{run}*.fastq"))
    roles = roles_of({file: _length(file) for file in files}, run)
    output.mkdir(parents=True)
    for file, role in roles.items():
        with (output / f"{run}_S1_L001_{role}_001.fastq.gz").open("wb") as target:
            subprocess.run([*_compressor(threads), "-c", str(file)], stdout=target, check=True)
        file.unlink()


def roles_of(lengths: dict[Path, int], run: str) -> dict[Path, str]:
    """Return which read each file holds: R1 and R3 the ends of a fragment, R2 the barcode, I1 the sample index.

    ``lengths``: the longest read (bases) of each file, in the order of their numbers.
    """
    barcodes = [file for file, n in lengths.items() if n in BARCODES]
    ends = [file for file, n in lengths.items() if n > max(BARCODES)]
    indices = [file for file, n in lengths.items() if n < min(BARCODES)]
    if len(barcodes) != 1 or len(ends) != 2 or len(indices) > 1:
        found = ", ".join(f"{file.name} {n}" for file, n in lengths.items()) or "no file"
        raise ReadsError(
            f"The reads of {run} are not those of a Chromium ATAC library (bases: {found}). Two ends of a fragment and "
            "a barcode of 16 or 24 bases are expected. Where the submitters left the barcodes out of the run, their "
            "original files may have them ('Data access' of the run); give those in the column 'fastqs'."
        )
    return dict(zip([*ends, *barcodes, *indices], ["R1", "R3", "R2", "I1"], strict=False))


def _length(file: Path) -> int:
    with file.open("rb") as lines:
        return max((len(line.strip()) for line in itertools.islice(lines, 1, 4 * N_LOOKED_AT, 4)), default=0)


def _compressor(threads: int) -> list[str]:
    return ["pigz", "-p", str(threads)] if shutil.which("pigz") else ["gzip"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("downloaded", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    try:
        name_reads(options.run, options.downloaded, options.output, threads=options.threads)
    except ReadsError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
