"""Cellcano through its two commands: gene scores in, labels out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from exchange import read, write_labels

reference, query, content = read()
command = Path(sys.executable).parent / "Cellcano"
environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}
genes = [name.upper() for name in content["features"]]
classes = sorted(set(content["labels"]))
codes = [f"type{classes.index(label)}" for label in content["labels"]]  # its files part a name at ':'


def table(log_scores, prefix):
    """Return genes x cells; Cellcano scales each cell to 10,000 and takes the logarithm itself."""
    scores = np.expm1(log_scores.toarray())
    return pd.DataFrame(scores.T, index=genes, columns=[f"{prefix}{i}" for i in range(len(scores))])


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    table(reference, "r").to_csv(folder / "reference.csv")
    table(query, "q").to_csv(folder / "query.csv")
    metadata = pd.DataFrame({"celltype": codes}, index=[f"r{i}" for i in range(len(codes))])
    metadata.index.name = "barcode"
    metadata.to_csv(folder / "metadata.csv")
    common = ["-o", str(folder), "--prefix", "x_"]
    train = ["train", "-i", str(folder / "reference.csv"), "-m", str(folder / "metadata.csv"), *common]
    predict = [
        "predict",
        "-i",
        str(folder / "query.csv"),
        "--trained_model",
        str(folder / "x_MLP_model"),
        *common,
    ]
    for arguments in (train, predict):
        subprocess.run([str(command), *arguments], env=environment, check=True)
    found = pd.read_csv(folder / "x_celltypes.csv", index_col=0)["pred_celltype"]
calls = found.reindex([f"q{i}" for i in range(query.shape[0])])
write_labels([classes[int(name.removeprefix("type"))] for name in calls], classes)
