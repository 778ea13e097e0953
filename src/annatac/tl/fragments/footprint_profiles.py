"""Footprints: insertions around sites, what the bias of Tn5 expects there, and the numbers drawn from both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import ConfigError, InputError, nearest

NORMALISATIONS = ("subtract", "divide", "none")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Footprints:
    """Insertions around the sites of motifs, by cell type.

    Attributes
    ----------
    motifs, types
        Names of the sets of sites and of the cell types, in the order of the arrays.
    position
        int64, 2 * flank + 1: bp from the middle of the site, in the direction of its strand.
    insertions
        int64, motifs x types x positions: what was seen.
    expected
        float64, the same shape: what the bias of Tn5 alone would give for as many insertions at the same
        sites; None without a FASTA.
    bias_variance
        float64, motifs: variance of the logarithm of core over shoulder that the counting of k-mers leaves in
        ``expected``; None without a FASTA.
    n_sites, n_cells
        int64: sites of each motif, cells of each type.
    core_bp
        int64: width taken as the footprint's middle, for each motif.
    shoulder_bp, flank_norm_bp
        Width of the shoulder on each side of the core, and of the outermost stretch on each side whose mean
        is 1 in every profile.
    type_order
        All types of the data, by which plots choose colours.
    """

    motifs: list[str]
    types: list[str]
    position: npt.NDArray[np.int64]
    insertions: npt.NDArray[np.int64]
    expected: Floats | None
    bias_variance: Floats | None
    n_sites: npt.NDArray[np.int64]
    n_cells: npt.NDArray[np.int64]
    core_bp: npt.NDArray[np.int64]
    shoulder_bp: int
    flank_norm_bp: int
    type_order: list[str]

    def index_of(self, motif: str | None) -> int:
        """Return the number of a motif; of None, of the only one.

        Raises
        ------
        InputError
            No such motif (the nearest is named), or None among several.
        """
        if motif is None and len(self.motifs) == 1:
            return 0
        if motif in self.motifs:
            return self.motifs.index(str(motif))
        which = "No motif is named" if motif is None else f"There is no motif '{motif}'."
        hint = nearest(str(motif), self.motifs) if motif is not None else "."
        raise InputError(f"{which}{hint} There are: {', '.join(self.motifs)}.")

    def bias(self) -> Floats:
        """Return the expected insertions over their flank mean, motifs x types x positions (1 without FASTA)."""
        if self.expected is None:
            return np.ones(self.insertions.shape)
        return self._over_flank(self.expected)

    def profile(self, normalise: str = "subtract") -> Floats:
        """Return the footprints, float64, motifs x types x positions; NaN where a flank has no insertion.

        Parameters
        ----------
        normalise
            ``'subtract'``: insertions over their flank mean minus the bias over its own (0 in the flank);
            ``'divide'``: their ratio (1 in the flank); ``'none'``: insertions over their flank mean.
        """
        if normalise not in NORMALISATIONS:
            raise ConfigError(
                f"normalise is '{normalise}'; expected one of: {', '.join(NORMALISATIONS)}."
                f"{nearest(normalise, NORMALISATIONS)}"
            )
        seen = self._over_flank(self.insertions.astype(float))
        if normalise == "none":
            return seen
        bias = self.bias()
        if normalise == "subtract":
            return seen - bias
        ratio = np.divide(seen, bias, out=np.full(seen.shape, np.nan), where=bias > 0)
        return self._over_flank(ratio)

    def table(self) -> pd.DataFrame:
        """Return the depth of every footprint, one row a motif and type.

        Returns
        -------
        DataFrame: motif, cell_type, n_sites, n_cells, n_insertions (in the window), n_core (in the core),
        depth (1 - core / shoulder, of insertions over expected ones: 0 no protection, 1 full), depth_se (its
        error by the counts of insertions and of the k-mers that taught the bias), flank_accessibility (shoulder over
        outer flank, fold), depth_subtract (shoulder minus core of the subtracted profile, in units of the outer
        flank), depth_uncorrected (as depth, of the insertions alone), is_bias_corrected.
        """
        rows = []
        subtracted, outer = self.profile("subtract"), self._is_outer()
        for m, motif in enumerate(self.motifs):
            core, shoulder = zones(self.position, int(self.core_bp[m]), self.shoulder_bp)
            of_bias = 0.0 if self.bias_variance is None else self.bias_variance[m]
            for t, name in enumerate(self.types):
                seen = self.insertions[m, t].astype(float)
                expected = np.ones_like(seen) if self.expected is None else self.expected[m, t]
                n_core, n_shoulder = seen[core].sum(), seen[shoulder].sum()
                with np.errstate(divide="ignore", invalid="ignore"):
                    in_core = n_core / expected[core].sum()
                    in_shoulder = n_shoulder / expected[shoulder].sum()
                    ratio = in_core / in_shoulder
                    error = ratio * np.sqrt(1 / max(n_core, 1.0) + 1 / n_shoulder + of_bias)
                    flank = in_shoulder / (seen[outer].sum() / expected[outer].sum())
                    plain = 1 - seen[core].mean() / seen[shoulder].mean()
                rows.append(
                    {
                        "motif": motif,
                        "cell_type": name,
                        "n_sites": int(self.n_sites[m]),
                        "n_cells": int(self.n_cells[t]),
                        "n_insertions": int(seen.sum()),
                        "n_core": int(n_core),
                        "depth": 1 - ratio,
                        "depth_se": error,
                        "flank_accessibility": flank,
                        "depth_subtract": subtracted[m, t, shoulder].mean() - subtracted[m, t, core].mean(),
                        "depth_uncorrected": plain,
                        "is_bias_corrected": self.expected is not None,
                    }
                )
        return pd.DataFrame(rows).replace([np.inf, -np.inf], np.nan)

    def to_frame(self) -> pd.DataFrame:
        """Return every position as a row: motif, cell_type, position_bp, insertions, expected, and profiles."""
        m, t, p = self.insertions.shape
        table = pd.DataFrame(
            {
                "motif": np.repeat(np.array(self.motifs, dtype=object), t * p),
                "cell_type": np.tile(np.repeat(np.array(self.types, dtype=object), p), m),
                "position_bp": np.tile(self.position, m * t),
                "insertions": self.insertions.ravel(),
            }
        )
        if self.expected is not None:
            table["expected"] = self.expected.ravel()
        for name in NORMALISATIONS if self.expected is not None else ("none",):
            table[f"profile_{name}"] = self.profile(name).ravel()
        return table

    def _is_outer(self) -> npt.NDArray[np.bool_]:
        return np.abs(self.position) > int(self.position.max()) - self.flank_norm_bp

    def _over_flank(self, values: Floats) -> Floats:
        mean = values[..., self._is_outer()].mean(axis=-1, keepdims=True)
        return np.divide(values, mean, out=np.full(values.shape, np.nan), where=mean > 0)


def zones(
    position: npt.NDArray[np.int64], core_bp: int, shoulder_bp: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which positions are the core and which its shoulders, bool like ``position``."""
    first, last = -((core_bp - 1) // 2), core_bp // 2  # of an even width the left one of two is the middle
    core = (position >= first) & (position <= last)
    near = (position >= first - shoulder_bp) & (position <= last + shoulder_bp)
    return core, near & ~core
