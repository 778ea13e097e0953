"""A model that names cells: counts in, probabilities and vectors out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from annatac.annotate.calibration import softmax
from annatac.annotate.hierarchy import Hierarchy, hierarchy_of
from annatac.annotate.lifting import Lifting, placed
from annatac.annotate.query import QueryTokens, to_islands_of
from annatac.annotate.trust import Trust
from annatac.corpus.batches import TOKEN_BUDGET, CellsOnDevice, collate, in_order_of_depth
from annatac.corpus.cells import Rows
from annatac.errors import ModelError
from annatac.model import artifact as artifacts
from annatac.model import ready
from annatac.model.artifact import Artifact
from annatac.model.network import Network
from annatac.pp.islands import peak_islands
from annatac.pp.lift import Lift
from annatac.pp.tokens import Overlap
from annatac.train.device import choose_device, choose_precision
from annatac.train.freed_memory import give_back_freed_memory

if TYPE_CHECKING:
    from anndata import AnnData

CPU_TOKENS = 32_768  # padded tokens a batch: larger ones take a CPU as long, and more memory
GPU_TOKENS = 524_288  # smaller ones leave a large GPU waiting for the next
GPU_ALIKE = 0.85  # tokens of a batch's shallowest cell over those of its deepest, at the least
GPU_BYTES_A_TOKEN = 16_384  # in float32, of the widest recipe
CPU_CELLS, GPU_CELLS = 256, 2_048  # of a batch
TRIM_EVERY = 32  # batches


@dataclass(frozen=True)
class Predictions:
    """What the network says of n cells.

    Attributes
    ----------
    probabilities
        float32 (n, C), softmax over the known types, not calibrated; rows sum to 1. A cell without a known open
        island gets the shares of the types in the reference.
    embedding
        float32 (n, width of the head's last hidden layer).
    n_open
        int32 (n,), open islands that the model knows.
    logits
        float32 (n, C), of which ``probabilities`` are the softmax.
    decision
        float32 (n,), best decision value of the wide path's linear half; the best logit without a wide path.
    """

    probabilities: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    n_open: npt.NDArray[np.int32]
    logits: npt.NDArray[np.float32]
    decision: npt.NDArray[np.float32]


class Annotator:
    """A fine-tuned model, ready to name the cells of a query.

    Parameters
    ----------
    artifact
        As :func:`annatac.model.artifact.load` gives it.
    lifting
        How queries on another assembly are lifted. See :meth:`with_chain`.
    """

    def __init__(self, artifact: Artifact, lifting: Lifting = Lifting()) -> None:  # noqa: B008 (frozen)
        if not artifact.classes:
            raise ModelError(
                "This is a base model: it knows islands but no cell types. Fine-tune it first: "
                "`annatac finetune REFERENCE --base MODEL -o NEW_MODEL`."
            )
        self.artifact = artifact
        self.lifting = replace(lifting, places=artifact.places)
        self.trust = Trust.of(artifact.calibration, artifact.held_out)

    @classmethod
    def load(cls, path: str | Path) -> Annotator:
        """Read a model folder.

        Raises
        ------
        ModelError
            See :func:`annatac.model.artifact.load`; or it is a base model without types.
        """
        return cls(artifacts.load(ready.find(path)))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model folder, whole or not at all."""
        artifacts.save(self.artifact, path, overwrite=overwrite)

    @property
    def classes(self) -> list[str]:
        """The C cell types, in the order of the probabilities."""
        return self.artifact.classes

    @property
    def hierarchy(self) -> Hierarchy | None:
        """The types' ancestors, or None where the model was fine-tuned without."""
        stored = self.artifact.hierarchy
        if not stored:
            return None
        return Hierarchy.from_dict(stored, self.classes, self.artifact.class_ids)

    def with_hierarchy(self, source: str | Path) -> Annotator:
        """Return the same model with other ancestors of its types (see :func:`annatac.finetune`).

        Raises
        ------
        InputError, LabelError
            The hierarchy cannot be read, or lacks a type.
        """
        tree = hierarchy_of(self.classes, source)
        stored = {} if tree is None else tree.to_dict()
        ids = self.artifact.class_ids if tree is None else tree.class_ids
        return Annotator(replace(self.artifact, hierarchy=stored, class_ids=ids), self.lifting)

    def with_chain(self, path: str | Path | None, *, lift_islands: bool = False) -> Annotator:
        """Return the same model, for queries on another assembly too: they are lifted to the model's.

        Parameters
        ----------
        path
            UCSC chain file between the two assemblies, in either direction. None: one is looked for among
            :mod:`annatac.datasets` when a query needs it.
        lift_islands
            Also take queries whose counts are in islands already, at a loss (see :class:`annatac.pp.lift.Lift`).
        """
        return Annotator(self.artifact, Lifting(None if path is None else Path(path), lift_islands))

    def with_places(self, chain: str | Path, genome: str) -> Annotator:
        """Return the same model, for queries on another assembly too: see :func:`annatac.annotate.lifting.placed`."""
        return Annotator(placed(self.artifact, chain, genome), self.lifting)

    def calibrated(self, predicted: Predictions) -> npt.NDArray[np.float32]:
        """Return the probabilities of the known types by which cells are called, float32 (n, C); rows sum to 1.

        The calibrated softmax of ``predicted.logits``; the plain one where the model is not calibrated. A cell without
        a known open island keeps the shares of the types in the reference.
        """
        logits, n_open = predicted.logits, predicted.n_open
        found = softmax(logits) if self.trust is None else self.trust.probabilities(logits, n_open)
        found[n_open == 0] = predicted.probabilities[n_open == 0]
        return found

    @property
    def prior(self) -> npt.NDArray[np.float32]:
        """Share of each type in the reference, float32 (C,)."""
        n_cells = self.artifact.training["cells_per_type"]
        counts = np.array([n_cells[name] for name in self.classes], dtype=np.float32)
        return counts / counts.sum()

    def read(self, inputs: str | Path | Sequence[str | Path], **options: Any) -> AnnData:
        """Read a query; fragments are counted in the peaks (or bins) that this model was trained on.

        Parameters
        ----------
        inputs
            One path or several.
        options
            As those of :func:`annatac.read`.

        Returns
        -------
        Matrices: features and counts as they are on disk. Fragments: cells x islands. Several inputs: cells x
        the union of their islands, named ``sample:barcode``, with ``obs['sample']``.
        """
        from annatac.pp.reading import join_samples, sample_names

        paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
        if len(paths) == 1:
            return self._read_one(paths[0], options)
        names = sample_names(paths)
        options = {**options, "backed": False}
        return join_samples((self._islands(self._read_one(path, options)) for path in paths), names)

    def _read_one(self, path: Path, options: dict[str, Any]) -> AnnData:
        from annatac.io.read import fragments_genome, holds_fragments, read_one

        wants_fragments = any(options.get(name) is not None for name in ("peaks", "min_fragments"))
        if not holds_fragments(path, preferred=wants_fragments):
            return read_one(path, **options)
        universe = self.artifact.universe
        own: dict[str, Any] = {"bin_size": universe.bin_size} if universe.bin_size else {}
        own |= {"peaks": universe.member_peaks()} if options.get("peaks") is None else {}
        lift = self.lifting.to(universe, options.get("genome") or fragments_genome(path))
        if lift is not None:
            own |= lift.counting(own.get("peaks"), universe.bin_size)
        counted = read_one(path, **(options | own))
        return self._islands(counted, lift) if universe.has_coordinates else counted

    def _islands(self, adata: AnnData, lift: Lift | None = None) -> AnnData:
        """Return a query's islands on the model's assembly; peaks that the model never saw are left out."""
        options = to_islands_of(self.artifact.universe, adata, self.lifting)
        if lift is not None:
            options["lift"] = lift
        return peak_islands(adata, **options, **self.artifact.island_settings)

    def query(self, adata: AnnData) -> QueryTokens:
        """Return a query's cells, checked, as tokens of this model that are made when they are asked for.

        Raises
        ------
        InputError, AssemblyError, OverlapError
            See :class:`annatac.annotate.query.QueryTokens`.
        """
        return QueryTokens(adata, self.artifact.universe, self.artifact.island_settings, self.lifting)

    def tokens(self, adata: AnnData) -> tuple[sp.csr_matrix, Overlap]:
        """Return all tokens of a query (uint8 CSR, cells x islands of the model) and their overlap.

        Raises
        ------
        InputError, AssemblyError, OverlapError
            See :class:`annatac.annotate.query.QueryTokens`.
        """
        query = self.query(adata)
        return query.tokens(0, query.n_cells), query.overlap

    def predict(
        self,
        tokens: sp.csr_matrix,
        *,
        device: str = "auto",
        precision: str = "float32",
        batch_size: int | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Predictions:
        """Return probabilities and vectors of the cells of ``tokens`` (uint8 CSR over the universe).

        ``precision``: see :func:`annatac.train.device.choose_precision`. ``batch_size``: cells at a time at the most,
        by default what suits the device. ``on_progress`` is called with the number of cells done after each batch.
        """
        where = choose_device(device)
        network = self.artifact.network.to(where).eval()
        network.encoder_dtype = choose_precision(precision, where)
        n_cells = tokens.shape[0]
        n_open = np.diff(tokens.indptr).astype(np.int32)
        probabilities = np.empty((n_cells, len(self.classes)), dtype=np.float32)
        embedding = np.empty((n_cells, network.config.head_hidden[-1]), dtype=np.float32)
        logits, decision = np.empty_like(probabilities), np.empty(n_cells, dtype=np.float32)
        done = 0

        on_gpu = CellsOnDevice(tokens, where) if where.type == "cuda" else None

        def name(rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            batch = collate(tokens, rows, device=where) if on_gpu is None else on_gpu.batch(rows)
            wide = None if network.wide is None else network.wide.scores(batch)
            output = network(batch, wide)
            scores = output.logits_BC if wide is None else wide[0]
            return output.logits_BC, scores.amax(1), output.embedding_BD

        with network.predicting():
            batches = batches_of(network, n_open, where, batch_size)
            named: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = map(name, batches)
            if on_gpu is not None:  # it is given all there is to do before the first answer is waited for
                named = list(named)
            for number, (rows, found) in enumerate(zip(batches, named, strict=True), start=1):
                logits[rows], decision[rows], embedding[rows] = (each.cpu().numpy() for each in found)
                probabilities[rows] = found[0].softmax(1).cpu().numpy()
                done += len(rows)
                if on_progress is not None:
                    on_progress(done)
                if number % TRIM_EVERY == 0:
                    give_back_freed_memory()
        give_back_freed_memory()
        network.encoder_dtype = torch.float32
        probabilities[n_open == 0] = self.prior
        return Predictions(probabilities, embedding, n_open, logits, decision)


def batches_of(
    network: Network, n_open: npt.NDArray[np.integer], device: torch.device, batch_size: int | None = None
) -> list[Rows]:
    """Return batches of cells of so many open islands: large ones for a GPU, by what the encoder sees of a cell."""
    n_tokens, budget = network.n_tokens(n_open), token_budget(device)
    if device.type != "cuda":
        return in_order_of_depth(n_tokens, batch_size=batch_size or CPU_CELLS, token_budget=budget)
    most = 0 if network.budget is None else network.budget.max_open
    size = batch_size or GPU_CELLS
    return in_order_of_depth(n_tokens, batch_size=size, token_budget=budget, max_open=most, alike=GPU_ALIKE)


def token_budget(device: torch.device) -> int:
    """Return how many padded tokens a batch of prediction has at the most."""
    if device.type == "cuda":
        return max(1, min(GPU_TOKENS, torch.cuda.mem_get_info(device)[0] // GPU_BYTES_A_TOKEN))
    return CPU_TOKENS if device.type == "cpu" else TOKEN_BUDGET


def load(path: str | Path) -> Annotator:
    """Return the annotator in a model folder (see :meth:`Annotator.load`)."""
    return Annotator.load(path)
