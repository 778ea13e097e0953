"""A folder of peak or coverage files, one a cell type, as profiles x bins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError, InputError, MissingDependencyError
from annatac.genome.bed import bed_lines
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import island_names

if TYPE_CHECKING:
    from anndata import AnnData

BIN_BP = 500
_PEAKS = re.compile(r"\.(bed|narrowpeak|broadpeak)(\.gz)?$", re.IGNORECASE)
_COVERAGE = re.compile(r"\.(bw|bigwig)$", re.IGNORECASE)


def is_profile_folder(path: Path) -> bool:
    """Return whether a path is to be read by :func:`read_folder`."""
    return path.is_dir()


def read_folder(folder: Path, *, peaks: pd.DataFrame | None = None) -> AnnData:
    """Return profiles (one a file) x bins of 500 bp, or x ``peaks``; ``obs['cell_type']`` are the files' names.

    Raises
    ------
    InputError
        No such file, a line that is no peak (file and line are named), or a file without signal.
    ConfigError
        bigWig files without ``peaks`` to measure them in, or together with peak files.
    MissingDependencyError
        bigWig files, and pyBigWig is not installed.
    """
    from anndata import AnnData

    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    of_peaks = [path for path in files if _PEAKS.search(path.name)]
    of_coverage = [path for path in files if _COVERAGE.search(path.name)]
    if not of_peaks and not of_coverage:
        raise InputError(
            f"{folder} holds no profile. Expected files named by type, such as 'CD4 T.narrowPeak.gz', 'NK.bed' or "
            "'B.bw'."
        )
    if of_peaks and of_coverage:
        raise ConfigError(
            f"{folder} holds peak files ({of_peaks[0].name}) and bigWig files ({of_coverage[0].name}), whose units "
            "differ. Keep one kind."
        )
    if of_coverage:
        if peaks is None:
            raise ConfigError(
                f"{folder} holds bigWig files: name the peaks to measure them in (--peaks: a BED file, or cells)."
            )
        table = peaks.reset_index(drop=True)
        signal = sp.csr_matrix(np.stack([_coverage(path, table) for path in of_coverage]))
        used = of_coverage
    else:
        used = of_peaks
        binned = [_bins(path) for path in used]
        table = pd.concat(binned)[["chrom", "bin"]].drop_duplicates().sort_values(["chrom", "bin"])
        at = pd.MultiIndex.from_frame(table)
        rows = [at.get_indexer(pd.MultiIndex.from_frame(bins[["chrom", "bin"]])) for bins in binned]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        values = np.concatenate([bins["signal"].to_numpy(np.float32) for bins in binned])
        signal = sp.csr_matrix((values, np.concatenate(rows), indptr), shape=(len(used), len(table)))
        signal.sort_indices()
        start = table["bin"].to_numpy() * BIN_BP
        table = pd.DataFrame({"chrom": table["chrom"].to_numpy(), "start": start, "end": start + BIN_BP})
    names = [_PEAKS.sub("", _COVERAGE.sub("", path.name)) for path in used]
    var = pd.DataFrame(
        {keys.CHROM: table["chrom"], keys.START: table["start"], keys.END: table["end"]}
    ).set_axis(island_names(table["chrom"], table["start"], table["end"]))
    obs = pd.DataFrame({"cell_type": names}, index=[path.name for path in used])
    return AnnData(signal, obs=obs, var=var)


def _bins(path: Path) -> pd.DataFrame:
    """Return the bins that a file's peaks lie in (by at least half a bin, or by their middle): chrom, bin, signal."""
    chroms: list[str] = []
    spans: list[tuple[int, int, float]] = []
    for line in bed_lines(path, what="peak"):
        n = len(line.fields)
        value = line.fields[6] if n >= 9 else line.fields[4] if n >= 5 else "1"
        try:
            signal = float(value)
        except ValueError:
            signal = -1.0
        if not 0 <= signal < np.inf:
            raise InputError(
                f"{path}, line {line.number}: the signal {value!r} is no number of 0 or more. Expected it in column 5 "
                "(BED) or 7 (narrowPeak)."
            )
        chroms.append(line.fields[0])
        spans.append((line.start, line.end, signal))
    starts, ends, signals = (np.array(column) for column in zip(*spans, strict=True))
    if not signals.any():  # a BED file whose scores are all 0 says where, not how much
        signals = np.ones_like(signals)
    middle = (starts + ends) // 2 // BIN_BP
    first = np.minimum((starts + BIN_BP // 2) // BIN_BP, middle).astype(np.int64)
    last = np.maximum((ends - BIN_BP // 2) // BIN_BP, middle).astype(np.int64)
    n = last - first + 1
    bins = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(n.sum())
    table = pd.DataFrame(
        {"chrom": np.repeat(to_ucsc(chroms), n), "bin": bins, "signal": np.repeat(signals, n)}
    )
    return table.groupby(["chrom", "bin"], as_index=False)["signal"].max()


def _coverage(path: Path, peaks: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return the mean coverage of each peak in a bigWig file."""
    try:
        import pyBigWig
    except ImportError as error:
        raise MissingDependencyError(
            "Reading bigWig files needs pyBigWig: `pip install 'annatac[bigwig]'`."
        ) from error
    try:
        file: Any = pyBigWig.open(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} is no bigWig file ({error}).") from error
    lengths = file.chroms()
    style = dict(zip(to_ucsc(list(lengths)), lengths, strict=True))
    signal = np.zeros(len(peaks), dtype=np.float32)
    triples = zip(to_ucsc(peaks["chrom"]), peaks["start"].tolist(), peaks["end"].tolist(), strict=True)
    for i, (chrom, start, end) in enumerate(triples):
        name = style.get(chrom)
        if name is not None and start < lengths[name]:
            mean = file.stats(name, start, min(end, lengths[name]), exact=True)[0]
            signal[i] = max(mean or 0.0, 0.0)
    file.close()
    return signal
