"""Annotated cells made directly, without a model."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys

HOSTILE = "</script><img src=x onerror=alert(1)>"
TYPES = [HOSTILE, "CMP/LMPP", "B & T <cells>", "GMP", "Größe 'x' \"y\"\u2028z"]


def fake_cells(n_cells=600, *, types=TYPES, n_peaks=60, samples=3, seed=0):
    """Return cells whose types open their own peaks; a tenth are novel, a twentieth low-quality."""
    rng = np.random.default_rng(seed)
    code = rng.integers(len(types), size=n_cells)
    probabilities = rng.dirichlet(np.full(len(types), 0.3), n_cells)
    probabilities[np.arange(n_cells), code] += 3
    probabilities /= probabilities.sum(1, keepdims=True)
    is_novel = np.arange(n_cells) % 10 == 0
    probabilities[is_novel] = rng.dirichlet(np.full(len(types), 50.0), is_novel.sum())
    label = np.where(is_novel, keys.NOVEL_LABEL, np.array(types, dtype=object)[probabilities.argmax(1)])
    low = (np.arange(n_cells) % 20 == 1) & ~is_novel
    own = np.arange(n_peaks)[None, :] % len(types) == probabilities.argmax(1)[:, None]
    counts = rng.random((n_cells, n_peaks)) < np.where(own, 0.6, 0.15)
    counts[:, 0] = True
    start = np.arange(n_peaks) * 5000
    sample = np.array([f"donor {i}" for i in range(samples - 1)] + ["<b>last</b>"], dtype=object)
    truth = np.array(types, dtype=object)[code]
    truth[is_novel] = "unknown <i>type</i>"
    confidence = probabilities.max(1).astype(np.float32)
    reason = np.select([low, is_novel], ["low_quality", "novel"], default="")
    return ad.AnnData(
        X=sp.csr_matrix(counts, dtype=np.int32),
        obs=pd.DataFrame(
            {
                keys.LABEL: pd.Categorical(label, categories=[*types, keys.NOVEL_LABEL]),
                keys.CONFIDENCE: confidence,
                keys.NOVELTY: 1 - confidence,
                keys.IS_NOVEL: is_novel,
                keys.REASON: pd.Categorical(reason, categories=list(keys.REASONS)),
                keys.N_OPEN: rng.lognormal(6, 0.5, n_cells).astype(np.int32),
                keys.SAMPLE: pd.Categorical(sample[rng.integers(samples, size=n_cells)]),
                "truth": truth,
            },
            index=[f"{HOSTILE}-0", *(f"ACGTACGTACGT{i:06d}-1" for i in range(1, n_cells))],
        ),
        var=pd.DataFrame(
            {"chrom": "chr1", "start": start, "end": start + 500},
            index=[f"chr1:{s}-{s + 500}" for s in start],
        ),
        obsm={
            keys.PROBABILITIES: probabilities.astype(np.float32),
            "X_umap": (np.c_[np.cos(code), np.sin(code)] * 6 + rng.normal(size=(n_cells, 2))).astype(
                np.float32
            ),
        },
        uns={
            keys.GENOME: "hg38",
            keys.UNS: {
                "classes": np.array(types),
                "annatac_version": "0.0.7",
                "model_id": "abc123",
                "calibration": "none",
                "parameters": {"novelty_threshold": 0.5, "min_open": 20},
                "overlap": {"share_of_query_counts_known": 0.875, "median_open_known": 400.0},
            },
        },
    )
