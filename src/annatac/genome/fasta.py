"""Sequence from a FASTA file, by chromosome names in any style, checked against the assembly."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annatac.errors import AnnatacWarning, AssemblyError, InputError, MissingDependencyError, MissingFileError
from annatac.genome.assemblies import KNOWN, chrom_lengths, genome_label, is_known
from annatac.genome.chroms import to_ucsc

N_BASES = 4
UNKNOWN_BASE = 4
_CODE = np.full(256, UNKNOWN_BASE, dtype=np.uint8)
for _code, _base in enumerate("ACGT"):
    _CODE[ord(_base)] = _CODE[ord(_base.lower())] = _code


class Genome:
    """The sequence of an assembly.

    Parameters
    ----------
    path
        FASTA, plain or bgzipped; an index ``.fai`` is made beside it where there is none.
    genome
        The assembly that it should be, or a file of chromosome lengths; compared by the lengths where those are
        known.

    Attributes
    ----------
    lengths
        Length in bp of each chromosome, by its UCSC name.

    Raises
    ------
    MissingFileError, InputError
        No such file; no FASTA; its index cannot be made.
    AssemblyError
        Its chromosomes have other lengths than those of ``genome`` (an assembly that fits is named).
    MissingDependencyError
        pyfaidx is not installed.

    Warns
    -----
    AnnatacWarning
        No assembly is given though the FASTA is of a known one: nothing was compared.
    """

    def __init__(self, path: str | Path, *, genome: str | None = None):
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"The FASTA {path} does not exist. Check the name and the working folder.")
        try:
            import pyfaidx
        except ImportError as error:
            raise MissingDependencyError(
                "Sequence needs pyfaidx, which is not installed. Install it with: pip install 'annatac[motif]'"
            ) from error
        try:
            self._fasta: Any = pyfaidx.Faidx(str(self.path), as_raw=True)
        except (pyfaidx.FastaIndexingError, pyfaidx.UnsupportedCompressionFormat, ValueError) as error:
            raise InputError(
                f"{self.path} is no FASTA that can be indexed ({error}). Expected '>name' lines and sequence, "
                "plain or compressed by bgzip."
            ) from error
        except OSError as error:
            raise InputError(
                f"The index {self.path}.fai cannot be made ({error}). Run `samtools faidx` where you may "
                "write, or copy the FASTA to such a folder."
            ) from error
        names = list(self._fasta.index)
        if not names:
            raise InputError(f"{self.path} holds no sequence. Expected lines of '>name' and sequence.")
        self._name = dict(zip(to_ucsc(names), names, strict=True))
        self.lengths = {chrom: int(self._fasta.index[name].rlen) for chrom, name in self._name.items()}
        if genome is not None:
            self._check(genome)
        elif likely := self._likely():
            warnings.warn(
                f"The input does not state its assembly, so that nothing says whether the FASTA {self.path} ({likely}, "
                "by the lengths of its chromosomes) is of the same. State it: --genome, or uns['genome'].",
                AnnatacWarning,
                stacklevel=4,
            )

    def __contains__(self, chrom: str) -> bool:
        return chrom in self._name

    def codes(self, chrom: str, start: int, end: int) -> npt.NDArray[np.uint8]:
        """Return the bases in ``[start, end)`` as 0..3 = A, C, G, T and 4 = anything else or off the end.

        Returns
        -------
        uint8 array of ``end - start``.
        """
        bases = np.full(end - start, UNKNOWN_BASE, dtype=np.uint8)
        first, last = max(start, 0), min(end, self.lengths[chrom])
        if last > first:
            text = str(self._fasta.fetch(self._name[chrom], first + 1, last))
            bases[first - start : last - start] = _CODE[np.frombuffer(text.encode("ascii"), np.uint8)]
        return bases

    def _likely(self) -> str | None:
        """Return the known assembly whose chromosomes have these lengths, if any."""
        for name in KNOWN:
            lengths = chrom_lengths(name)
            shared = [chrom for chrom in self.lengths if chrom in lengths]
            if shared and all(self.lengths[chrom] == lengths[chrom] for chrom in shared):
                return name
        return None

    def _check(self, genome: str) -> None:
        if not is_known(genome) and not Path(genome).is_file():
            return
        expected = chrom_lengths(genome)
        both = [chrom for chrom in self.lengths if chrom in expected]
        wrong = [chrom for chrom in both if self.lengths[chrom] != expected[chrom]]
        if both and not wrong:
            return
        if both:
            found = (
                f"{wrong[0]} has {self.lengths[wrong[0]]:,} bp, {expected[wrong[0]]:,} are expected"
                f" ({len(wrong)} of {len(both)} chromosomes differ)"
            )
        else:
            found = f"its sequences are called like {', '.join(map(repr, list(self._name.values())[:3]))}"
        likely = self._likely()
        advice = f" It looks like {likely}." if likely else ""
        raise AssemblyError(
            f"The FASTA {self.path} is not of {genome_label(genome)}: {found}.{advice} Give the FASTA of the "
            "assembly that the fragments were aligned to."
        )


def kmer_codes(bases: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.int32]:
    """Return the number (base 4, 0 .. 4**k - 1) of each of the ``n - k + 1`` k-mers, -1 where one has an N.

    Parameters
    ----------
    bases
        uint8 codes as of :meth:`Genome.codes`, n along the last axis.
    """
    n = bases.shape[-1] - k + 1
    code = np.zeros((*bases.shape[:-1], n), dtype=np.int32)
    unknown = np.zeros(code.shape, dtype=bool)
    for j in range(k):
        part = bases[..., j : j + n]
        code *= N_BASES
        code += part
        unknown |= part == UNKNOWN_BASE
    code[unknown] = -1
    return code
