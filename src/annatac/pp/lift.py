"""Cells on one assembly, for a model on another: features are lifted before they are gathered into islands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import AssemblyError, InputError
from annatac.genome.chroms import is_standard
from annatac.genome.liftover import Liftover

if TYPE_CHECKING:
    from anndata import AnnData

BINS_A_ISLAND = 5  # bins at most this part of an island are small enough to go by their midpoint
_PROBES = 20  # positions of an island whose new places are counted


@dataclass(frozen=True)
class Lift:
    """How a query's features get to another assembly.

    Attributes
    ----------
    liftover
        From the query's assembly to the other one.
    whole_islands
        Map islands that are binned already to the island that most of each lies in (about a quarter of their
        sequence lies elsewhere); else they are refused.
    """

    liftover: Liftover
    whole_islands: bool = False

    def features(self, adata: AnnData, table: pd.DataFrame, bin_size: int) -> pd.DataFrame:
        """Return the coordinates of a query's features in the other assembly.

        Peaks, and bins of at most a fifth of an island, go where their midpoint goes.

        Parameters
        ----------
        table
            chrom, start, end of the features, as :func:`annatac.genome.intervals_of` gives them.
        bin_size
            Width of the islands to come, bp.

        Returns
        -------
        The same rows; chrom '' and start = end = -1 for a feature without a counterpart.

        Raises
        ------
        InputError
            The query is in islands already, and ``whole_islands`` is off.
        AssemblyError
            Not one feature has a counterpart.
        """
        made: dict[str, Any] = dict(adata.uns.get(keys.ISLANDS, {}))
        old = int(made.get("bin_size", 0))
        if not made or old * BINS_A_ISLAND <= bin_size:
            lifted = self.liftover.intervals(table)
        elif not self.whole_islands:
            raise InputError(
                f"The query is in islands of {old:,} bp of {self.liftover.source}, the model is on "
                f"{self.liftover.target}. Lifting islands is lossy: give the peaks or the fragments, which are "
                "lifted before they are gathered, or ask for it with lift_islands=True."
            )
        else:
            lifted = self._by_largest_part(table, old)
        if not (lifted["start"] >= 0).any():
            raise AssemblyError(
                f"None of the {len(table):,} features has a counterpart in {self.liftover.target}; the first is "
                f"'{adata.var_names[0]}'. Is the query on {self.liftover.source}?"
            )
        return lifted

    def counting(self, peaks: pd.DataFrame | None, bin_size: int | None) -> dict[str, Any]:
        """Return what to count a query's fragments in, as options of :func:`annatac.io.read.read_one`.

        Parameters
        ----------
        peaks
            A model's, on the other assembly: fragments are counted in their counterparts on the query's.
        bin_size
            Of the islands. Without peaks, bins of a tenth of it, which can be lifted, are counted in.
        """
        if peaks is not None:
            there = self.liftover.back().intervals(peaks)
            return {"peaks": there[there["start"] >= 0].reset_index(drop=True)}
        return {"bin_size": bin_size // 10} if bin_size and bin_size % 10 == 0 else {}

    def _by_largest_part(self, table: pd.DataFrame, width: int) -> pd.DataFrame:
        """Return for each island the whole bin of the other assembly that most of it lies in."""
        step = width // _PROBES
        offsets = np.arange(_PROBES) * step + step // 2
        chrom = np.repeat(table["chrom"].to_numpy(dtype=object), _PROBES)
        position = (table["start"].to_numpy()[:, None] + offsets).ravel()
        to_chrom, to_position, _ = self.liftover.positions(chrom, position)
        votes = pd.DataFrame(
            {
                "row": np.repeat(np.arange(len(table)), _PROBES),
                "chrom": to_chrom,
                "bin": to_position // width,
            }
        )[(to_position >= 0) & is_standard(to_chrom)]
        counted = votes.groupby(["row", "chrom", "bin"], sort=True).size().reset_index(name="n")
        best = (
            counted.sort_values("n", ascending=False, kind="stable").drop_duplicates("row").set_index("row")
        )
        rows = best.index.to_numpy()
        lifted = pd.DataFrame({"chrom": "", "start": -1, "end": -1}, index=range(len(table)))
        lifted["chrom"] = lifted["chrom"].astype(object)
        lifted.loc[rows, "chrom"] = best["chrom"].to_numpy(dtype=object)
        lifted.loc[rows, "start"] = best["bin"].to_numpy() * width
        lifted.loc[rows, "end"] = (best["bin"].to_numpy() + 1) * width
        return lifted.set_index(table.index)
