"""A corpus on disk: many cells over one universe, read in blocks with little memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annatac.corpus.batches import POOL_TOKENS
from annatac.corpus.cells import Flat, Rows
from annatac.corpus.manifest import ISLANDS, Manifest, joined, universe_id
from annatac.corpus.shards import ShardReader
from annatac.errors import AnnatacError, DamagedFileError, InputError
from annatac.pp.universe import Universe

BLOCK = 64  # consecutive cells that are read together

Block = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64]]


class Corpus:
    """Cells on disk as :class:`~annatac.corpus.cells.Cells`: ``corpus.json``, ``islands.tsv.gz`` and ``shards/``.

    Opening reads the manifest and each shard's cell boundaries (4 bytes a cell are kept and 8 in the
    shards' tables). Tokens are read in blocks of 64 cells, and the blocks read last are kept, up to 168 MB.
    Any number of processes may read. A corpus that grows while it is open stays as it was opened.
    Several folders over one universe are one corpus, their samples one after the other.

    Attributes
    ----------
    folders
        Where it lies.
    manifest
        What ``corpus.json`` says; of several, with the samples of all.
    n_cells, n_islands, n_open, checksum
        As :class:`~annatac.corpus.cells.Cells` has them.
    block
        64, or 1 where all its cells are kept once read.
    """

    def __init__(self, folders: Sequence[Path], manifests: Sequence[Manifest]) -> None:
        self.folders, self.manifest = list(folders), joined(manifests, folders)
        self.n_cells, self.n_islands = self.manifest.n_cells, self.manifest.n_islands
        self.checksum = self.manifest.checksum
        self.block = BLOCK if self.manifest.n_tokens > POOL_TOKENS else 1
        self._shards = [
            ShardReader(folder, shard)
            for folder, manifest in zip(folders, manifests, strict=True)
            for sample in manifest.samples
            for shard in sample.shards
        ]
        self._first = np.cumsum([0, *(reader.shard.n_cells for reader in self._shards)])
        lengths = [np.diff(reader.indptr).astype(np.int32) for reader in self._shards]
        self.n_open = np.concatenate([np.zeros(0, dtype=np.int32), *lengths])
        self._held: OrderedDict[int, Block] = OrderedDict()
        self._n_held = 0

    @classmethod
    def open(cls, *paths: str | Path) -> Corpus:
        """Return the corpus in a folder, or in several.

        Raises
        ------
        MissingFileError, InputError, DamagedFileError
            No corpus; another format version; a shard is missing, or not as long as it should be. Of several:
            other universes or island settings, or the same cells twice.
        """
        folders = [Path(path) for path in paths]
        return cls(folders, [Manifest.load(folder) for folder in folders])

    @cached_property
    def universe(self) -> Universe:
        """The islands.

        Raises
        ------
        DamagedFileError
            ``islands.tsv.gz`` is that of another corpus.
        """
        return self._universe_of(self.folders[0])

    def _universe_of(self, folder: Path) -> Universe:
        universe = Universe.load(folder / ISLANDS)
        if universe_id(universe) != self.manifest.universe_id:
            raise DamagedFileError(
                f"{folder / ISLANDS} holds another universe ({len(universe):,} islands) than the shards "
                f"were written for ({self.n_islands:,}). Copy the corpus again."
            )
        return universe

    def samples(self) -> npt.NDArray[np.int32]:
        """Return the sample of each cell, int32 (n_cells,), an index into ``manifest.samples``."""
        sizes = [sample.n_cells for sample in self.manifest.samples]
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def flat(self, rows: Rows) -> Flat:
        """Return islands and classes of the cells ``rows`` one after the other, and each cell's number.

        Fast where the rows lie in blocks that were read lately, as in the batches of
        :func:`~annatac.corpus.plan_batches`.

        Raises
        ------
        DamagedFileError, MissingFileError
            A shard has changed since it was opened.
        """
        if len(rows) == 0:
            return np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.int64)
        islands, classes = [], []
        for row in rows.tolist():
            held = self._block(row // BLOCK)
            start, stop = held[2][row % BLOCK : row % BLOCK + 2]
            islands.append(held[0][start:stop].copy())  # a view would keep its whole block
            classes.append(held[1][start:stop].copy())
        return np.concatenate(islands), np.concatenate(classes), self.n_open[rows].astype(np.int64)

    def _block(self, number: int) -> Block:
        held = self._held.get(number)
        if held is not None:
            self._held.move_to_end(number)
            return held
        held = self._read_block(number)
        self._held[number] = held
        self._n_held += len(held[0])
        while self._n_held > POOL_TOKENS and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._n_held -= len(oldest[0])
        return held

    def _read_block(self, number: int) -> Block:
        first, stop = number * BLOCK, min((number + 1) * BLOCK, self.n_cells)
        islands, classes = [], []
        shard = int(np.searchsorted(self._first, first, side="right")) - 1
        at = first
        while at < stop:  # a block may go over the end of a shard
            begin, end = self._first[shard : shard + 2]
            part = self._shards[shard].read(int(at - begin), int(min(stop, end) - begin))
            islands.append(part[0])
            classes.append(part[1])
            at, shard = min(stop, end), shard + 1
        bounds = np.concatenate([[0], np.cumsum(self.n_open[first:stop], dtype=np.int64)])
        if len(islands) == 1:
            return islands[0], classes[0], bounds
        return np.concatenate(islands), np.concatenate(classes), bounds

    def verify(self) -> None:
        """Hold every shard against its checksum, and the universe against the manifest.

        Raises
        ------
        DamagedFileError
            Names all that do not fit.
        """
        wrong: list[str] = []
        checks: list[Callable[[], object]] = [partial(self._universe_of, folder) for folder in self.folders]
        for check in (*checks, *(reader.verify for reader in self._shards)):
            try:
                check()
            except (AnnatacError, OSError) as error:
                wrong.append(str(error))
        if len(wrong) == 1:
            raise DamagedFileError(wrong[0])
        if wrong:
            where = " and ".join(map(str, self.folders))
            raise DamagedFileError(f"{len(wrong)} files of {where} are damaged:\n" + "\n".join(wrong))


def check_same_universe(universe: Universe, manifest: Manifest, folder: Path) -> None:
    """Refuse islands that are not those of a corpus.

    Raises
    ------
    InputError
        They differ.
    """
    if universe_id(universe) != manifest.universe_id:
        raise InputError(
            f"The corpus {folder} is over another universe: it has {manifest.n_islands:,} islands on "
            f"{manifest.genome or 'no assembly'}, those given are {len(universe):,} on "
            f"{universe.genome or 'no assembly'}. Choose another folder."
        )
