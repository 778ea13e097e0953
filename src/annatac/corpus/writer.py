"""Writing a corpus, sample by sample: a sample is in it whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import scipy.sparse as sp

from annatac.corpus.lock import FILE as LOCK
from annatac.corpus.lock import writing
from annatac.corpus.manifest import FILE, ISLANDS, Manifest, Sample, Source, is_corpus, universe_id
from annatac.corpus.shards import SHARD_TOKENS, Shard, cut, write_shard
from annatac.corpus.store import check_same_universe
from annatac.errors import InputError, OutputError
from annatac.io.safe_names import safe_names
from annatac.pp.universe import Universe

SHARDS = "shards"


@contextmanager
def open_for_writing(
    folder: str | Path, universe: Universe | None = None, *, island_settings: dict[str, Any] | None = None
) -> Iterator[CorpusWriter]:
    """Yield the writer of a new corpus over ``universe``, or of one that exists; nobody else writes meanwhile.

    A new corpus without a sample is not kept.

    Parameters
    ----------
    universe
        Of a new corpus. An existing one must have the same, or it is left out.
    island_settings
        How islands are made from peaks (``bin_size``, ``assign``, ``openness``), kept in the manifest.

    Raises
    ------
    OutputError
        Another process writes there; the folder holds something else, or cannot be written.
    InputError
        The corpus that is there is over another universe, or of another format version.
    """
    folder = Path(folder)
    check_folder(folder)
    is_made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write in {folder}: {error.strerror or error}.") from error
    with writing(folder):
        if is_corpus(folder):
            manifest = Manifest.load(folder)
            if universe is not None:
                check_same_universe(universe, manifest, folder)
            yield from _writer(folder, manifest)
            return
        try:
            yield from _writer(folder, _begin(folder, universe, island_settings or {}))
        finally:
            if not (is_corpus(folder) and Manifest.load(folder).samples):
                _discard(folder, whole=is_made)


def _writer(folder: Path, manifest: Manifest) -> Iterator[CorpusWriter]:
    _sweep(folder, manifest)
    writer = CorpusWriter(folder, manifest)
    try:
        yield writer
    finally:
        _sweep(folder, writer.manifest)


def _discard(folder: Path, *, whole: bool) -> None:
    """Remove a corpus that holds nothing; the folder too where it was made for it."""
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    for name in (FILE, ISLANDS, LOCK):
        (folder / name).unlink(missing_ok=True)
    if whole:
        folder.rmdir()


def check_folder(folder: Path) -> None:
    """Refuse to write a corpus into a file, or a folder that holds something else.

    Raises
    ------
    OutputError
        It is one.
    """
    if not folder.exists() or is_corpus(folder):
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file. A corpus is a folder: choose another name.")
    foreign = sorted(p.name for p in folder.iterdir() if p.name not in (LOCK, SHARDS, ISLANDS))
    foreign = [name for name in foreign if not name.startswith((f".{FILE}.", f".{ISLANDS}."))]
    if foreign:
        raise OutputError(
            f"{folder} holds something else than a corpus ({', '.join(foreign[:3])}). Choose another name."
        )


def _begin(folder: Path, universe: Universe | None, island_settings: dict[str, Any]) -> Manifest:
    if universe is None:
        raise InputError(f"{folder} holds no corpus yet: give the universe of a new one.")
    manifest = Manifest(
        universe_id=universe_id(universe),
        n_islands=len(universe),
        genome=universe.genome,
        bin_size=universe.bin_size,
        island_settings=island_settings,
    )
    universe.save(folder / ISLANDS)
    manifest.save(folder)
    return manifest


def _sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what a killed writer left: shards of a sample that was not finished, temporary folders."""
    listed = {shard.file for sample in manifest.samples for shard in sample.shards}
    for path in (folder / SHARDS).glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif f"{SHARDS}/{path.name}" not in listed:
            path.unlink(missing_ok=True)


class CorpusWriter:
    """Appends samples to a corpus that is locked; made by :func:`open_for_writing`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    def append(
        self,
        name: str,
        tokens: sp.csr_matrix | Iterable[sp.csr_matrix],
        *,
        source: Source | None = None,
        known: float = 1.0,
        shard_tokens: int = SHARD_TOKENS,
    ) -> Sample:
        """Add a sample; the manifest names it once all its shards are on disk.

        Parameters
        ----------
        tokens
            uint8 CSR, cells x islands of the universe, classes 1..5; or several such, one after the other.
        source, known
            What it was read from; the share of its counts in islands of the universe.
        shard_tokens
            Open islands a shard, about.

        Raises
        ------
        InputError
            The sample has no cell, is there already (by name or by content), or is over another universe.
        OutputError
            The disk is full; the corpus stays as it was.
        """
        self._check_name(name)
        with stage(self.folder) as place:
            shards = write_staged(
                place, tokens, name=name, n_islands=self.manifest.n_islands, shard_tokens=shard_tokens
            )
            return self.adopt(name, place, shards, source=source, known=known)

    def adopt(self, name: str, place: Path, shards: Sequence[Shard], **facts: Any) -> Sample:
        """Add a sample whose shards are in ``place``, as :func:`write_staged` left them; ``facts`` are the rest of it.

        Raises
        ------
        InputError, OutputError
            As :meth:`append`.
        """
        self._check_name(name)
        stem = f"{len(self.manifest.samples):05d}-{safe_names([name])[0]}"
        named = tuple(
            replace(shard, file=f"{SHARDS}/{stem}-{i:04d}.safetensors") for i, shard in enumerate(shards)
        )
        sample = Sample(
            name=name,
            n_cells=sum(shard.n_cells for shard in named),
            n_tokens=sum(shard.n_tokens for shard in named),
            shards=named,
            **facts,
        )
        self._check_content(sample)
        manifest = self.manifest.with_sample(sample)
        moved: list[Path] = []
        try:
            for shard, final in zip(shards, named, strict=True):
                os.replace(place / shard.file, self.folder / final.file)
                moved.append(self.folder / final.file)
            manifest.save(self.folder)
        except BaseException:
            for path in moved:
                path.unlink(missing_ok=True)
            raise
        self.manifest = manifest
        return sample

    def sort(self, names: Sequence[str]) -> None:
        """Put the samples ``names`` into this order, behind all others: what is the same is then numbered alike.

        Raises
        ------
        OutputError
            The manifest cannot be written; the corpus stays as it was.
        """
        place = {name: number for number, name in enumerate(names)}
        samples = tuple(sorted(self.manifest.samples, key=lambda sample: place.get(sample.name, -1)))
        if samples != self.manifest.samples:
            manifest = replace(self.manifest, samples=samples)
            manifest.save(self.folder)
            self.manifest = manifest

    def _check_name(self, name: str) -> None:
        if any(sample.name == name for sample in self.manifest.samples):
            raise InputError(f"Sample '{name}' is in the corpus already. Give another name, or leave it out.")

    def _check_content(self, sample: Sample) -> None:
        if sample.n_cells == 0:
            raise InputError(f"Sample '{sample.name}' has no cell. Leave it out.")
        content = [shard.sha256 for shard in sample.shards]
        for other in self.manifest.samples:
            if [shard.sha256 for shard in other.shards] == content:
                raise InputError(
                    f"Sample '{sample.name}' holds the same cells as '{other.name}', which is in the corpus "
                    "already. Leave one out."
                )


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """Yield a new place in a corpus for the shards of a sample that is not finished; what is left there goes.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    place = new_place(folder)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def new_place(folder: Path) -> Path:
    """Return a new empty folder as :func:`stage` makes it; the next writer removes it, if nobody else does."""
    try:
        (folder / SHARDS).mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".sample-", dir=folder / SHARDS))
    except OSError as error:
        raise OutputError(f"Cannot write in {folder / SHARDS}: {error.strerror or error}.") from error


def write_staged(
    place: Path,
    tokens: sp.csr_matrix | Iterable[sp.csr_matrix],
    *,
    name: str,
    n_islands: int,
    shard_tokens: int = SHARD_TOKENS,
) -> list[Shard]:
    """Write the shards of a sample into ``place`` and return them; any process may, without the corpus's lock.

    Where tokens come part by part, no more than a shard and a part of them is held; the shards are the same.

    Raises
    ------
    InputError, OutputError
        Another universe; the disk is full.
    """
    shards: list[Shard] = []
    parts: Iterable[sp.csr_matrix] = [tokens] if isinstance(tokens, sp.csr_matrix) else tokens
    for piece in _filled(parts, shard_tokens):
        if piece.shape[1] != n_islands:
            raise InputError(
                f"Sample '{name}' is over another universe: {piece.shape[1]:,} islands, the corpus has "
                f"{n_islands:,}. Make its tokens with the corpus's universe."
            )
        file = f"{len(shards):04d}.safetensors"
        shards.append(write_shard(place / file, piece, file=file))
    return shards


def _filled(parts: Iterable[sp.csr_matrix], n_tokens: int) -> Iterator[sp.csr_matrix]:
    """Yield what :func:`~annatac.corpus.shards.cut` makes of all parts, one below the other."""
    held: list[sp.csr_matrix] = []
    for part in parts:
        held.append(part)
        if sum(some.nnz for some in held) > n_tokens:
            *full, rest = cut(_below(held), n_tokens)
            yield from full
            held = [rest]
    if held:
        yield from cut(_below(held), n_tokens)


def _below(parts: list[sp.csr_matrix]) -> sp.csr_matrix:
    return parts[0] if len(parts) == 1 else sp.csr_matrix(sp.vstack(parts, format="csr"))
