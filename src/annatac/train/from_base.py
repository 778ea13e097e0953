"""What training takes from a base model: its encoder, and a vector for every island of the reference."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac.config import ModelConfig, Recipe
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, OverlapError
from annatac.model.artifact import Artifact
from annatac.pp.lift import Lift
from annatac.pp.quality import MIN_OPEN_TO_CALL
from annatac.pp.universe import Universe
from annatac.train.placing import place

MOST = 0.9  # of a reference's islands are known to a base that fits it, on another assembly too
NEAR_BP = 25_000  # islands so near an unknown one lend it their vectors
# settings of the model that stay the recipe's
OWN = ("max_open", "head_hidden", "dropout", "wide", "wide_place")

Floats = npt.NDArray[np.float32]


def with_encoder_of(base: Artifact, recipe: Recipe) -> Recipe:
    """Return the recipe with the base model's encoder; its budget of islands, head and wide path stay the recipe's.

    Raises
    ------
    ConfigError
        The recipe asks for another encoder than the base has, or for other islands.
    """
    if base.classes:
        raise ConfigError(
            "The base names cell types: it is a fine-tuned model. Start from one that `annatac pretrain` wrote, or "
            "from a ready base (`annatac models list`)."
        )
    has, plain = base.network.config, ModelConfig()
    wanted = [
        f"{item.name} {getattr(recipe.model, item.name)!r} (the base: {getattr(has, item.name)!r})"
        for item in fields(ModelConfig)
        if item.name not in OWN
        and getattr(recipe.model, item.name) not in (getattr(has, item.name), getattr(plain, item.name))
    ]
    if wanted:
        raise ConfigError(
            f"The recipe '{recipe.name}' does not fit the base model, whose encoder is taken over: it wants "
            f"{', '.join(wanted)}. Take the recipe that the base was pre-trained with ('{base.recipe.name}'), or "
            "pre-train a base with this one."
        )
    if recipe.islands != base.recipe.islands:
        raise ConfigError(
            f"The recipe '{recipe.name}' takes islands '{recipe.islands}', the base model was pre-trained on "
            f"'{base.recipe.islands}'. Take a recipe with the base's choice."
        )
    own = {name: getattr(recipe.model, name) for name in OWN}
    return replace(recipe, model=replace(has, **own))


def resolve_place(recipe: Recipe, *, has_base: bool) -> Recipe:
    """Return the recipe with ``wide_place`` 'base' made 'always' or 'never', as the network needs it."""
    if recipe.model.wide_place != "base":
        return recipe
    reads = has_base and recipe.model.wide and recipe.model.thin and recipe.model.position == "fixed"
    return replace(recipe, model=replace(recipe.model, wide_place="always" if reads else "never"))


def base_vectors(
    universe: Universe, base: Artifact, tokens: sp.csr_matrix, lift: Lift | None = None
) -> Floats:
    """Return a vector for every island of a reference, (len(universe), R) float32, from a base model.

    An island that the base knows has its vector there (on another assembly: the mean of those its peaks lie in).
    Another has the mean of the base's islands with the same gene, where both name genes; else of those within 25
    kb; else of all.

    Parameters
    ----------
    tokens
        The reference's cells over ``universe``, to see how much of them the base knows.
    lift
        From the reference's assembly to the base's, where they differ.

    Raises
    ------
    AssemblyError
        The base is on another assembly, and there is no lift.
    OverlapError
        The base knows too few of the islands that are open in the median cell.
    """
    own = base.universe
    if lift is None:
        check_assembly(universe.genome, own.genome)
    places = place(universe, own, lift)
    is_known = places.is_known
    n_known = np.add.reduceat(np.r_[is_known[tokens.indices], 0], tokens.indptr[:-1]).astype(np.int64)
    n_known[np.diff(tokens.indptr) == 0] = 0
    median = float(np.median(n_known)) if len(n_known) else 0.0
    if median < MIN_OPEN_TO_CALL:
        raise OverlapError(_too_few(universe, own, is_known, median))
    if lift is not None and is_known.mean() < MOST:
        warnings.warn(
            f"The base is on {own.genome}, the reference on {universe.genome}: by {lift.liftover.means} the base "
            f"knows {is_known.mean():.1%} of its {len(universe):,} islands. The model stays on {universe.genome}.",
            AnnatacWarning,
            stacklevel=2,
        )
    vectors = base.network.encoder.table.vectors.detach().numpy()
    found = np.asarray(places.weights @ vectors, dtype=np.float32)
    unknown = np.flatnonzero(~is_known)
    if len(unknown):
        found[unknown] = lent_vectors(places.there.take(unknown), own, vectors)
    return found


def check_assembly(reference: str | None, base: str | None) -> None:
    """Refuse a base on another assembly than the reference, where no chain leads from one to the other.

    Raises
    ------
    AssemblyError
        They differ.
    """
    if reference and base and reference != base:
        raise AssemblyError(
            f"The base model is on {base}, the reference on {reference}: its islands are elsewhere. Give a UCSC chain "
            "file between the two, in either direction (--chain hg19ToHg38.over.chain.gz), or take a base of the "
            "same assembly."
        )


def lent_vectors(unknown: Universe, own: Universe, vectors: Floats) -> Floats:
    """Return vectors for islands that the base does not know: see :func:`base_vectors`."""
    found = np.tile(vectors.mean(0), (len(unknown), 1)).astype(np.float32)
    if unknown.chrom is not None and own.chrom is not None:
        assert unknown.start is not None
        assert own.start is not None
        for chrom in np.unique(unknown.chrom.astype(str)):
            here = np.flatnonzero(own.chrom == chrom)
            asked = np.flatnonzero(unknown.chrom == chrom)
            here = here[np.argsort(own.start[here], kind="stable")]
            starts = own.start[here]
            first = np.searchsorted(starts, unknown.start[asked] - NEAR_BP, side="left")
            last = np.searchsorted(starts, unknown.start[asked] + NEAR_BP, side="right")
            sums = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors[here], 0, dtype=float)])
            near = last > first
            lent = (sums[last] - sums[first])[near] / (last - first)[near, None]
            found[asked[near]] = lent
    if unknown.genes is not None and own.genes is not None:
        with_gene: dict[str, list[int]] = {}
        for i, genes in enumerate(own.genes):
            for gene in filter(None, genes.split(";")):
                with_gene.setdefault(gene, []).append(i)
        for i, genes in enumerate(unknown.genes):
            rows = sorted({row for gene in genes.split(";") for row in with_gene.get(gene, [])})
            if rows:
                found[i] = vectors[rows].mean(0)
    return found


def _too_few(universe: Universe, own: Universe, is_known: npt.NDArray[np.bool_], median: float) -> str:
    message = (
        f"The median cell has {median:g} open islands that the base model knows; at least {MIN_OPEN_TO_CALL} are "
        f"needed. The base has {len(own):,} islands, the reference {len(universe):,}, and {is_known.sum():,} "
        f"({is_known.mean():.1%}) are in both; they look like '{own.names[0]}' and '{universe.names[0]}'."
    )
    if own.bin_size and universe.bin_size and own.bin_size != universe.bin_size:
        return (
            f"{message} The base has bins of {own.bin_size:,} bp, the reference of {universe.bin_size:,}: pass "
            f"`--bin-size {own.bin_size}`."
        )
    return f"{message} Take a base of the same species and assembly, or none (`--base none`)."
