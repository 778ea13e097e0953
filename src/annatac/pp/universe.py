"""The ordered islands that a model knows, and their file ``islands.tsv.gz``."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import InputError, ModelError
from annatac.genome.assemblies import genome_label
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of, island_names, parse_names
from annatac.io.atomic import atomic_path
from annatac.pp.counts import in_chunks

if TYPE_CHECKING:
    from anndata import AnnData

MAX_OPENNESS = 5
_VERSION = 2
_READABLE = ("1", "2")  # 1: with every name and end
_COLUMNS = ("name", "chrom", "start", "end", "n_peaks", "genes", "peaks", "mean_openness")
_HEADER = re.compile(r"# annatac islands v(\d+) genome=(\S+) bin_size=(\d+|-)\s*")
_CANONICAL_NAME = r"chr[^:]+:[0-9]+-[0-9]+"

Names = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Universe:
    """n islands in a fixed order: token i of every cell belongs to island i.

    Attributes
    ----------
    names
        Object array of n different strings.
    chrom, start, end
        Object and int64 arrays of n (bp, 0-based, half-open), or None for features without coordinates.
    bin_size
        Width of a bin in bp; None for features that are no bins.
    genome
        Assembly, e.g. 'hg38', or None.
    genes, peaks
        Object arrays of n strings or None: ';'-joined symbols whose TSS lies in the island; ';'-joined
        'start-end' of the reference's peaks in it ('' where the whole bin was counted).
    n_peaks
        int32 array of n: peaks behind an island.
    mean_openness
        float32 array of n: openness class (0..5), mean over the reference's cells.
    """

    names: Names
    n_peaks: npt.NDArray[np.int32]
    mean_openness: npt.NDArray[np.float32]
    chrom: Names | None = None
    start: npt.NDArray[np.int64] | None = None
    end: npt.NDArray[np.int64] | None = None
    bin_size: int | None = None
    genome: str | None = None
    genes: Names | None = None
    peaks: Names | None = None

    def __post_init__(self) -> None:
        n = len(self.names)
        for name in ("n_peaks", "mean_openness", "chrom", "start", "end", "genes", "peaks"):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise ValueError(f"Universe: {name} has {len(value)} entries, names has {n}.")
        if not self._index.is_unique:
            twice = self._index[self._index.duplicated()][0]
            raise InputError(f"The islands' names are not unique: '{twice}' is there more than once.")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.names, dtype=object)

    @property
    def has_coordinates(self) -> bool:
        """Whether the islands are genomic intervals."""
        return self.chrom is not None

    @classmethod
    def from_islands(cls, adata: AnnData) -> Universe:
        """Return the universe of a reference (cells x islands, as :func:`annatac.pp.peak_islands` gives it).

        Raises
        ------
        InputError
            An island's name is there twice, or there is no cell or no island.
        """
        if 0 in adata.shape:
            raise InputError(f"A reference of {adata.n_obs} cells x {adata.n_vars} islands is empty.")
        total = np.zeros(adata.n_vars)
        for x in in_chunks(adata.X):
            total += summed_openness(x)
        made = adata.uns.get(keys.ISLANDS, {})
        return cls.from_table(adata.var, total / adata.n_obs, made, adata.uns.get(keys.GENOME))

    @classmethod
    def from_table(
        cls, var: pd.DataFrame, mean_openness: npt.NDArray[Any], made: Mapping[str, Any], genome: Any
    ) -> Universe:
        """Return the universe of islands as :func:`annatac.pp.peak_islands` describes them.

        Parameters
        ----------
        var
            Table of n islands: ``chrom``, ``start``, ``end``, ``n_peaks``, ``peaks``, ``genes`` where known.
        mean_openness
            n numbers: openness class, mean over the cells.
        made
            ``uns['annatac_islands']``, how the islands were made.
        genome
            ``uns['genome']``, or None.
        """
        table = intervals_of(var)
        return cls(
            names=var.index.to_numpy(dtype=object),
            chrom=None if table is None else to_ucsc(table["chrom"]),
            start=None if table is None else table["start"].to_numpy(),
            end=None if table is None else table["end"].to_numpy(),
            bin_size=int(made["bin_size"]) if table is not None and "bin_size" in made else None,
            genome=None if genome is None or table is None else genome_label(str(genome)),
            genes=_strings(var, keys.GENES),
            peaks=_strings(var, keys.PEAKS),
            n_peaks=(
                var[keys.N_PEAKS].to_numpy(dtype=np.int32)
                if keys.N_PEAKS in var
                else np.ones(len(var), dtype=np.int32)
            ),
            mean_openness=mean_openness.astype(np.float32),
        )

    def take(self, rows: npt.ArrayLike) -> Universe:
        """Return the universe of some islands only; ``rows`` is a bool mask or an int array, order kept."""
        fields = ("names", "n_peaks", "mean_openness", "chrom", "start", "end", "genes", "peaks")
        values: dict[str, Any] = {name: getattr(self, name) for name in fields}
        chosen = np.asarray(rows)
        taken: dict[str, Any] = {name: None if v is None else v[chosen] for name, v in values.items()}
        return replace(self, **taken)

    def intervals(self) -> pd.DataFrame | None:
        """Return chrom, start, end of the n islands, or None without coordinates."""
        if self.chrom is None:
            return None
        return pd.DataFrame({"chrom": self.chrom, "start": self.start, "end": self.end})

    @property
    def keeps_peaks(self) -> bool:
        """Whether the reference's peaks are known; not where bins were counted."""
        return self.chrom is not None and self.peaks is not None and all(self.peaks)

    def member_peaks(self) -> pd.DataFrame | None:
        """Return chrom, start, end of the reference's peaks, each once; None where bins were counted."""
        if not self.keeps_peaks:
            return None
        assert self.chrom is not None
        assert self.peaks is not None
        spans = [peaks.split(";") for peaks in self.peaks]
        flat = pd.Series([span for island in spans for span in island], dtype=object)
        edges = flat.str.split("-", n=1, expand=True).astype(np.int64)
        table = pd.DataFrame(
            {"chrom": np.repeat(self.chrom, [len(s) for s in spans]), "start": edges[0], "end": edges[1]}
        )
        return table.drop_duplicates(ignore_index=True)

    def index_of(self, names: Any) -> npt.NDArray[np.int64]:
        """Return the position of each of m names in the universe, int64, -1 for an unknown one.

        '1:0-5000', 'chr1-0-5000' and 'chr1:0-5000' are the same island.
        """
        wanted = pd.Series(list(names), dtype=object).astype(str)
        found = self._index.get_indexer(pd.Index(wanted)).astype(np.int64)
        if self.has_coordinates:
            odd = (found < 0) & ~wanted.str.fullmatch(_CANONICAL_NAME).to_numpy()
            table = parse_names(wanted[odd]) if odd.any() else None
            if table is not None:
                respelt = island_names(to_ucsc(table["chrom"]), table["start"], table["end"])
                found[odd] = self._index.get_indexer(pd.Index(respelt, dtype=object))
        return found

    def save(self, path: str | Path) -> None:
        """Write ``islands.tsv.gz``; the same universe gives the same bytes.

        A name that is 'chrom:start-end' is left out, and so is an end one bin after the start.

        Raises
        ------
        OutputError
            The file cannot be written; nothing is left behind.
        """
        n = len(self)
        empty = np.full(n, "", dtype=object)
        names, end = self.names, empty
        if self.chrom is not None and self.start is not None and self.end is not None:
            names = np.where(names == island_names(self.chrom, self.start, self.end), "", names)
            end = self.end.astype(object)
            if self.bin_size:
                end = np.where(self.end == self.start + self.bin_size, "", end)
        columns = {
            "name": names,
            "chrom": empty if self.chrom is None else self.chrom,
            "start": empty if self.start is None else self.start,
            "end": end,
            "n_peaks": self.n_peaks,
            "genes": empty if self.genes is None else self.genes,
            "peaks": empty if self.peaks is None else self.peaks,
            "mean_openness": [f"{value:.9g}" for value in self.mean_openness.tolist()],
        }
        genome = quote(self.genome, safe="") if self.genome else "-"
        header = f"# annatac islands v{_VERSION} genome={genome} bin_size={self.bin_size or '-'}\n"
        text = header + pd.DataFrame(columns).to_csv(sep="\t", index=False, lineterminator="\n")
        with (
            atomic_path(path) as temporary,
            temporary.open("wb") as handle,
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=handle, mtime=0) as zipped,
        ):
            zipped.write(text.encode())

    @classmethod
    def load(cls, path: str | Path) -> Universe:
        """Read ``islands.tsv.gz``.

        Raises
        ------
        ModelError
            The file is missing, damaged, of another version, or not a universe.
        """
        path = Path(path)
        try:
            text = gzip.decompress(path.read_bytes()).decode()
        except FileNotFoundError as error:
            raise ModelError(f"{path} is missing: the model folder is incomplete. Copy it again.") from error
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise ModelError(f"{path} is damaged ({error}). Copy the model folder again.") from error
        header, _, body = text.partition("\n")
        match = _HEADER.fullmatch(header)
        if match is None:
            raise ModelError(
                f"{path} is not a table of islands: its first line is {header[:60]!r}, expected "
                f"'# annatac islands v{_VERSION} genome=... bin_size=...'."
            )
        if match[1] not in _READABLE:
            raise ModelError(
                f"{path} has format version {match[1]}, this annatac reads versions {' and '.join(_READABLE)}. "
                "Install the "
                "annatac that wrote the model, or train it again."
            )
        table = _read_table(path, body)
        genome = None if match[2] == "-" else unquote(match[2])
        bin_size = None if match[3] == "-" else int(match[3])
        return _from_table(path, table, genome=genome, bin_size=bin_size)


def genome_in(path: str | Path) -> str | None:
    """Return the assembly that ``islands.tsv.gz`` names, without reading the islands; None where it names none.

    Raises
    ------
    ModelError
        The file is missing, damaged or not a universe.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            match = _HEADER.fullmatch(lines.readline())
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Copy the model folder again.") from error
    if match is None:
        raise ModelError(f"{path} is not a table of islands. Copy the model folder again.")
    return None if match[2] == "-" else unquote(match[2])


def summed_openness(x: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """Return the sum over cells of each island's openness class (0..5), float64 (islands,)."""
    weights = np.minimum(x.data, MAX_OPENNESS)
    return np.bincount(x.indices, weights=weights, minlength=x.shape[1]).astype(np.float64, copy=False)


def _strings(var: pd.DataFrame, column: str) -> Names | None:
    return var[column].astype(str).to_numpy(dtype=object) if column in var else None


def _read_table(path: Path, body: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.StringIO(body), sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ModelError(f"{path} is damaged ({error}). Copy the model folder again.") from error
    if tuple(table.columns) != _COLUMNS:
        raise ModelError(
            f"{path} has the columns {', '.join(map(str, table.columns))}; expected {', '.join(_COLUMNS)}."
        )
    if table.empty:
        raise ModelError(f"{path} holds no island.")
    return table


def _from_table(path: Path, table: pd.DataFrame, *, genome: str | None, bin_size: int | None) -> Universe:
    def numbers(column: str, dtype: Any) -> npt.NDArray[Any]:
        try:
            values = table[column].astype(np.float64 if dtype is np.float32 else np.int64).to_numpy()
        except ValueError as error:
            raise ModelError(f"{path}, column {column}: {error}. The file was altered.") from error
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ModelError(f"{path}, column {column}: values must be finite and not negative.")
        return values.astype(dtype)

    def strings(column: str) -> Names | None:
        values = table[column].to_numpy(dtype=object)
        return values if (values != "").any() else None

    chrom, names = strings("chrom"), table["name"].to_numpy(dtype=object)
    start = end = None
    if chrom is not None:
        start = numbers("start", np.int64)
        if bin_size:
            is_bin = (table["end"] == "").to_numpy()
            table.loc[is_bin, "end"] = (start[is_bin] + bin_size).astype(str)
        end = numbers("end", np.int64)
        names = np.where(names == "", island_names(chrom, start, end), names)
    try:
        return Universe(
            names=names,
            chrom=chrom,
            start=start,
            end=end,
            bin_size=bin_size,
            genome=genome,
            genes=strings("genes"),
            peaks=strings("peaks"),
            n_peaks=numbers("n_peaks", np.int32),
            mean_openness=numbers("mean_openness", np.float32),
        )
    except InputError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: {error} The file was altered.") from error
