"""What every script here shares. They run under a rival's own Python, where annatac is not installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp


def read():
    """Return reference and query (CSR, cells x features) and the content of ``input.json``."""
    folder = Path(sys.argv[1])
    content = json.loads((folder / "input.json").read_text(encoding="utf-8"))
    return sp.load_npz(folder / "reference.npz"), sp.load_npz(folder / "query.npz"), content


def write(probabilities, classes):
    """Leave probabilities (cells x classes) for annatac."""
    folder = Path(sys.argv[1])
    (folder / "classes.json").write_text(json.dumps([str(name) for name in classes]), encoding="utf-8")
    np.save(folder / "probabilities.npy", np.asarray(probabilities, dtype=np.float32), allow_pickle=False)


def write_labels(labels, classes):
    """Leave labels of a package that gives nothing else: each with a probability of 1."""
    classes = [str(name) for name in classes]
    place = {name: i for i, name in enumerate(classes)}
    write(np.eye(len(classes))[[place[str(label)] for label in labels]], classes)
