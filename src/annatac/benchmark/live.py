"""A published package as a method: it runs in its own environment, and files go between."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp

from annatac.benchmark.environments import is_ready, python_of
from annatac.benchmark.gene_features import log_gene_scores
from annatac.benchmark.method import Probabilities, labels_of
from annatac.errors import InputError, MissingDependencyError
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

SCRIPTS = Path(__file__).parent / "live_scripts"
INPUT, RESULT, CLASSES = "input.json", "probabilities.npy", "classes.json"
_LOG_LINES = 12


class Live:
    """Hands reference and query to a script of ``live_scripts``, run by the environment's Python.

    The folder between them holds ``reference.npz`` and ``query.npz`` (scipy's CSR, cells x features; counts of peaks,
    or log-normalised gene scores) and ``input.json`` (``labels`` and ``batches`` of the reference, ``features``,
    ``seed``, ``settings``). The script leaves ``probabilities.npy`` (float32, cells x types) and ``classes.json``.
    """

    def __init__(
        self, environment: str, script: str, *, features: Literal["peaks", "genes"], **settings: Any
    ) -> None:
        self.environment, self.script, self.features, self.settings = environment, script, features, settings

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        if not is_ready(self.environment):
            raise MissingDependencyError(not_set_up(self.environment))
        self.x, self.names = self._features(reference)
        self.labels, self.seed = [str(name) for name in labels_of(reference, label_key)], seed
        self.batches = None if batch_key is None else reference.obs[batch_key].astype(str).tolist()

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x, names = self._features(query)
        if names != self.names:
            raise InputError(f"Reference and query differ in their {self.features}.")
        with tempfile.TemporaryDirectory(prefix="annatac-live-") as name:
            folder = Path(name)
            sp.save_npz(folder / "reference.npz", self.x, compressed=False)
            sp.save_npz(folder / "query.npz", x, compressed=False)
            content = {
                "labels": self.labels,
                "batches": self.batches,
                "features": names,
                "seed": self.seed,
                "settings": self.settings,
            }
            (folder / INPUT).write_text(json.dumps(content), encoding="utf-8")
            script = SCRIPTS / f"{self.script}.py"
            done = subprocess.run(
                [str(python_of(self.environment)), str(script), str(folder)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode or not (folder / RESULT).is_file():
                said = done.stdout.decode(errors="replace").splitlines()
                lines = [line.strip() for line in said if line.strip()][-_LOG_LINES:]
                raise InputError(f"{self.script} ended with code {done.returncode}: " + " | ".join(lines))
            probabilities = np.load(folder / RESULT, allow_pickle=False).astype(np.float32)
            classes = json.loads((folder / CLASSES).read_text(encoding="utf-8"))
        return probabilities, [str(name) for name in classes]

    def _features(self, adata: AnnData) -> tuple[sp.csr_matrix, list[str]]:
        if self.features == "genes":
            return log_gene_scores(adata)
        return sp.csr_matrix(as_csr(adata.X), dtype=np.float32), [str(name) for name in adata.var_names]


def not_set_up(environment: str) -> str:
    """Return what to say where an environment is missing."""
    return f"its environment '{environment}' is not set up: `annatac benchmark --setup` makes it"
