"""Writing a corpus, sample by sample: a sample is in it whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import scipy.sparse as sp

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write in {folder}: {error.strerror or error}.") from error
    with writing(folder):
        if is_corpus(folder):
            manifest = Manifest.load(folder)
            if universe is not None:
                check_same_universe(universe, manifest, folder)
        else:
            manifest = _begin(folder, universe, island_settings or {})
        _sweep(folder, manifest)
        yield CorpusWriter(folder, manifest)


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
    foreign = sorted(p.name for p in folder.iterdir() if p.name not in (".lock", SHARDS, ISLANDS))
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
        shards: list[Shard] = []
        stem = self._stem(name)
        try:
            parts: Iterable[sp.csr_matrix] = [tokens] if isinstance(tokens, sp.csr_matrix) else tokens
            for part in parts:
                if part.shape[1] != self.manifest.n_islands:
                    raise InputError(
                        f"Sample '{name}' is over another universe: {part.shape[1]:,} islands, the corpus has "
                        f"{self.manifest.n_islands:,}. Make its tokens with the corpus's universe."
                    )
                for piece in cut(part, shard_tokens):
                    file = f"{SHARDS}/{stem}-{len(shards):04d}.safetensors"
                    shards.append(write_shard(self.folder / file, piece, file=file))
            return self._add(Sample(name=name, source=source, known=known, **_totals(shards)))
        except BaseException:
            for shard in shards:
                (self.folder / shard.file).unlink(missing_ok=True)
            raise

    def _add(self, sample: Sample) -> Sample:
        self._check_content(sample)
        manifest = self.manifest.with_sample(sample)
        manifest.save(self.folder)
        self.manifest = manifest
        return sample

    def _stem(self, name: str) -> str:
        return f"{len(self.manifest.samples):05d}-{safe_names([name])[0]}"

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


def _totals(shards: list[Shard]) -> dict[str, Any]:
    return {
        "n_cells": sum(shard.n_cells for shard in shards),
        "n_tokens": sum(shard.n_tokens for shard in shards),
        "shards": tuple(shards),
    }
