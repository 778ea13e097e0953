"""Unlabelled cells as pre-training takes them: from a matrix in memory, or from a corpus on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from annatac import keys
from annatac.config import Recipe
from annatac.corpus.cells import Cells, CsrCells, Rows
from annatac.corpus.selection import OpenIslands, openness_sums
from annatac.corpus.store import Corpus
from annatac.errors import AssemblyError, ConfigError, InputError, OverlapError
from annatac.pp.islands import peak_islands
from annatac.pp.tokens import tokenize
from annatac.pp.universe import Universe
from annatac.pp.validate import validate_counts
from annatac.train.distributed import from_first
from annatac.train.from_base import lent_vectors
from annatac.train.output import island_settings
from annatac.train.positions import profile_positions

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Cells over the islands that are open in any of them.

    Attributes
    ----------
    cells
        In the order of the universe.
    universe
        With the mean openness over these cells.
    island_settings
        How a query's islands are to be made.
    """

    cells: Cells
    universe: Universe
    island_settings: dict[str, Any]


def from_matrix(
    adata: AnnData, recipe: Recipe, *, genes: str | Path | pd.DataFrame | None, bin_size: int
) -> Unlabelled:
    """Return the cells of a matrix (cells x peaks or islands, counts).

    Raises
    ------
    InputError, ConfigError
        As :func:`annatac.pp.peak_islands`.
    """
    validate_counts(adata)
    islands = peak_islands(adata, islands=recipe.islands, genes=genes, bin_size=bin_size)
    universe = Universe.from_islands(islands)
    universe = universe.take(universe.mean_openness > 0)
    tokens, _ = tokenize(islands, universe)
    made = islands.uns.get(keys.ISLANDS, {})
    return Unlabelled(
        cells=CsrCells(tokens),
        universe=universe,
        island_settings=island_settings(made, bin_size),
    )


def from_corpus(corpus: Corpus, recipe: Recipe, *, genes: object | None, bin_size: int | None) -> Unlabelled:
    """Return the cells of a corpus, after one reading of all of it, which holds it against its checksums too.

    Of several processes only the first reads it all.

    Raises
    ------
    DamagedFileError
        A shard does not fit its checksum.
    InputError
        The corpus has no cell, or other islands than the recipe wants.
    ConfigError
        ``genes``, or another bin size than the corpus has.
    """
    _check_options(corpus, recipe, genes=genes, bin_size=bin_size)

    def read_all() -> dict[str, torch.Tensor]:
        corpus.verify()
        return {"sums": torch.from_numpy(openness_sums(corpus))}

    sums = from_first(read_all)["sums"].numpy()
    if not sums.any():
        raise InputError(
            f"The corpus {corpus.folders[0]} holds no open island: there is nothing to learn from."
        )
    mean_openness = (sums / corpus.n_cells).astype(np.float32)
    universe = replace(corpus.universe, mean_openness=mean_openness).take(sums > 0)
    return Unlabelled(
        cells=OpenIslands(corpus, sums > 0),
        universe=universe,
        island_settings=island_settings(corpus.manifest.island_settings, universe.bin_size or 5000),
    )


def profile_vectors(
    universe: Universe, profiles: AnnData, n_dimensions: int, *, bin_size: int
) -> npt.NDArray[np.float32]:
    """Return a vector for every island of the universe from bulk profiles, (len(universe), n_dimensions).

    Parameters
    ----------
    profiles
        Types x peaks, bins or islands, signal in whole numbers; ``obs['assay']`` where they are of several.

    Raises
    ------
    InputError
        Types without names or with a name twice, fewer than two of them, or no counts.
    AssemblyError, OverlapError
        Another assembly, or not one island in common.
    """
    names = profiles.obs_names.astype(str)
    if profiles.n_obs < 2 or not all(names) or not names.is_unique:
        twice = names[names.duplicated()]
        wrong = (
            f"'{twice[0]}' is there twice" if len(twice) else f"found {profiles.n_obs}, or one without a name"
        )
        raise InputError(
            f"Profiles need two types or more, each with a name of its own (obs_names): {wrong}."
        )
    validate_counts(profiles)
    islands = peak_islands(
        profiles, bin_size=bin_size, openness="sum" if not _is_binned(profiles) else "mean"
    )
    own = Universe.from_islands(islands)
    if universe.genome and own.genome and universe.genome != own.genome:
        raise AssemblyError(
            f"The profiles are on {own.genome}, the cells on {universe.genome}. Give profiles of the cells' assembly."
        )
    at = own.index_of(universe.names)
    if not (at >= 0).any():
        raise OverlapError(
            f"None of the cells' {len(universe):,} islands is among the profiles' {len(own):,}: they look like "
            f"'{universe.names[0]}' and '{own.names[0]}'. Give profiles of the same assembly and bin size."
        )
    groups = (
        profiles.obs["assay"].astype(str).to_numpy() if "assay" in profiles.obs else np.zeros(len(names), int)
    )
    levels = np.asarray(islands.X.T.todense(), dtype=np.float32)
    vectors = profile_positions(levels, groups, n_dimensions)
    found = np.empty((len(universe), n_dimensions), dtype=np.float32)
    found[at >= 0] = vectors[at[at >= 0]]
    unknown = np.flatnonzero(at < 0)
    if len(unknown):
        found[unknown] = lent_vectors(universe.take(unknown), own, vectors)
    return found


def _is_binned(adata: AnnData) -> bool:
    return keys.ISLANDS in adata.uns


def _check_options(corpus: Corpus, recipe: Recipe, *, genes: object | None, bin_size: int | None) -> None:
    where, manifest = corpus.folders[0], corpus.manifest
    if genes is not None:
        raise ConfigError(
            f"The islands of a corpus ({where}) are chosen when it is written: leave genes out."
        )
    if bin_size is not None and manifest.bin_size is not None and bin_size != manifest.bin_size:
        raise ConfigError(
            f"The corpus {where} has islands of {manifest.bin_size:,} bp, {bin_size:,} are asked for. Write it "
            "again with that bin size, or leave the option out."
        )
    islands = manifest.island_settings.get("islands", "all")
    if islands not in ("given", recipe.islands):
        raise InputError(
            f"The recipe wants islands '{recipe.islands}', the corpus {where} has '{islands}'. Write the corpus "
            f"again with `annatac prepare --islands {recipe.islands}`, or take another recipe."
        )


def split(cells: Cells, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return training and held-out cells, both ascending: whole blocks are held out, read together later.

    ``share`` of the blocks is held out; of cells in memory a block is one cell.
    """
    n_blocks = -(-cells.n_cells // cells.block)
    order = np.random.default_rng([seed, 0x9E7A]).permutation(n_blocks)
    held = np.zeros(n_blocks, dtype=bool)
    held[order[: round(share * n_blocks)]] = True
    rows = np.arange(cells.n_cells)
    is_held = held[rows // cells.block]
    return rows[~is_held], rows[is_held]
