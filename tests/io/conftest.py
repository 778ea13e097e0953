"""Cells, peaks and fragments that the tests of reading share."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))  # for io_inputs, the writers of test files


@pytest.fixture
def counts() -> sp.csr_matrix:
    """20 cells x 12 peaks."""
    dense = np.random.default_rng(0).poisson(0.6, size=(20, 12))
    return sp.csr_matrix(dense.astype(np.int32))


@pytest.fixture
def peaks() -> pd.DataFrame:
    start = np.arange(12, dtype=np.int64) * 3000 + 100
    return pd.DataFrame({"chrom": ["chr1"] * 6 + ["chr2"] * 6, "start": start, "end": start + 500})


@pytest.fixture
def peak_names(peaks: pd.DataFrame) -> list[str]:
    return [f"{c}:{s}-{e}" for c, s, e in peaks.itertuples(index=False)]


@pytest.fixture
def barcodes() -> list[str]:
    return [f"{'ACGT'[i % 4]}{'ACGT'[i // 4 % 4]}{'GT'[i // 16]}ACCATTGACG-1" for i in range(20)]


@pytest.fixture
def adata(counts: sp.csr_matrix, peak_names: list[str], barcodes: list[str]) -> ad.AnnData:
    return ad.AnnData(X=counts, obs=pd.DataFrame(index=barcodes), var=pd.DataFrame(index=peak_names))


@pytest.fixture
def fragments(barcodes: list[str]) -> pd.DataFrame:
    """3,000 fragments of 20 cells on three chromosomes, one of them past 100 Mb, sorted."""
    rng = np.random.default_rng(1)
    n = 3000
    table = pd.DataFrame(
        {
            "chrom": rng.choice(["chr1", "chr10", "GL000009.2"], n),
            "start": rng.choice([0, 40_000, 99_980_000, 1_999_990_000], n) + rng.integers(0, 30_000, n),
            "width": rng.choice([1, 35, 180, 6000], n),
            "barcode": rng.choice(barcodes, n),
            "reads": rng.integers(1, 12, n),
        }
    )
    table["end"] = table["start"] + table["width"]
    table = table.sort_values(["chrom", "start"], kind="stable", ignore_index=True)
    return table[["chrom", "start", "end", "barcode", "reads"]]
