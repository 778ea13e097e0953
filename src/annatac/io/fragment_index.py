"""Some regions of a bgzipped fragment file through its tabix index (``.tbi``)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from annatac.errors import AnnatacWarning
from annatac.genome.chroms import to_ucsc
from annatac.genome.regions import merged
from annatac.io.fragment_lines import FragmentBlock, parse_block

_GAP_BP = 1 << 14  # the index is that coarse: nearer regions cost one look-up
_BYTES_A_REGION = 1 << 16  # a look-up unpacks at least one bgzip block
_N_LINES = 50_000


def indexed_blocks(path: Path, regions: pd.DataFrame) -> Iterator[FragmentBlock] | None:
    """Return the fragments that overlap ``regions``, or None where reading the whole file is the way.

    That is where there is no ``.tbi``, no pysam, or so many regions that they touch most of the file.
    """
    index = Path(f"{path}.tbi")
    if not index.is_file():
        return None
    wanted = merged(regions, gap_bp=_GAP_BP)
    if 2 * len(wanted) * _BYTES_A_REGION > max(path.stat().st_size, 8 * _BYTES_A_REGION):
        return None
    try:
        import pysam
    except ImportError:
        return None
    try:
        tabix = pysam.TabixFile(str(path), index=str(index))
    except (OSError, ValueError) as error:
        warnings.warn(
            f"The index {index} cannot be used ({error}); the whole of {path} is read instead. Make it anew "
            f"with `tabix -f -p bed {path.name}`.",
            AnnatacWarning,
            stacklevel=4,
        )
        return None
    return _blocks_of(path, tabix, wanted)


def _blocks_of(path: Path, tabix: Any, wanted: pd.DataFrame) -> Iterator[FragmentBlock]:
    name_of = dict(zip(to_ucsc(list(tabix.contigs)), tabix.contigs, strict=True))
    with tabix:
        for chrom, rows in wanted.groupby("chrom", sort=False):
            if chrom not in name_of:
                continue
            past = 0  # a fragment that reaches over from the region before was given with that one
            for start, end in zip(rows["start"], rows["end"], strict=True):
                lines = iter(tabix.fetch(name_of[chrom], max(int(start), 0), int(end)))
                where = Path(f"{path} ({chrom}:{start}-{end})")
                first = 1
                while chunk := list(islice(lines, _N_LINES)):
                    block = parse_block(("\n".join(chunk) + "\n").encode(), where, first)
                    first += len(chunk)
                    if block is not None:
                        yield block if past == 0 else _from(block, past)
                past = int(end)


def _from(block: FragmentBlock, start: int) -> FragmentBlock:
    """Return the fragments of a block of one chromosome that begin at ``start`` or behind it."""
    first = int(np.searchsorted(block.start, start))
    return FragmentBlock(
        start=block.start[first:],
        end=block.end[first:],
        barcode_hash=block.barcode_hash[first:],
        barcode_begin=block.barcode_begin[first:],
        barcode_end=block.barcode_end[first:],
        text=block.text,
        chroms=block.chroms,
        chrom_start=np.array([0, len(block.start) - first]),
        line_number=block.line_number,
        n_lines=block.n_lines,
    )
