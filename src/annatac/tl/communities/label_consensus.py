"""What the labels of a cluster's cells agree on, and which cells differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Names = npt.NDArray[np.object_]


class Consensus(NamedTuple):
    """Labels within clusters.

    ``label``: for each cell the label that most cells of its cluster have, '' where that is under the least
    share. ``clusters``: a row a cluster. ``conflicts``: a row a cluster and label that is not its consensus.
    """

    label: Names
    clusters: pd.DataFrame
    conflicts: pd.DataFrame


def consensus(
    cluster: Names, label: Names, confidence: npt.NDArray[np.floating], min_share: float
) -> Consensus:
    """Return the consensus of the labels in each cluster, and what differs from it.

    Parameters
    ----------
    cluster, label
        Names, one a cell.
    confidence
        Of the labels, one a cell.
    min_share
        A cluster has a consensus where at least this share of its cells have one label.

    Returns
    -------
    :class:`Consensus`. ``clusters``: ``cluster``, ``n_cells``, ``consensus`` ('' for none), ``most_frequent``,
    ``share`` (of the most frequent), ``n_conflicts``, ``mean_confidence``. ``conflicts``: ``cluster``,
    ``consensus``, ``label``, ``n_cells``, ``share`` (of the cluster), ``mean_confidence``; clusters without a
    consensus are not in it. Labels that tie go by the order of the alphabet.
    """
    clusters, conflicts = [], []
    agreed = np.full(len(label), "", dtype=object)
    for name in pd.unique(cluster):
        rows = np.flatnonzero(cluster == name)
        counts = pd.Series(label[rows], dtype=object).value_counts().sort_index()
        counts = counts.sort_values(ascending=False, kind="stable")
        first, share = str(counts.index[0]), counts.iloc[0] / len(rows)
        answer = first if share >= min_share else ""
        agreed[rows] = answer
        clusters.append(
            {
                "cluster": name,
                "n_cells": len(rows),
                "consensus": answer,
                "most_frequent": first,
                "share": float(share),
                "n_conflicts": len(rows) - int(counts.iloc[0]) if answer else 0,
                "mean_confidence": float(confidence[rows].mean()),
            }
        )
        for other, n in counts.iloc[1:].items() if answer else ():
            conflicts.append(
                {
                    "cluster": name,
                    "consensus": answer,
                    "label": str(other),
                    "n_cells": int(n),
                    "share": float(n / len(rows)),
                    "mean_confidence": float(confidence[rows[label[rows] == other]].mean()),
                }
            )
    columns = ["cluster", "consensus", "label", "n_cells", "share", "mean_confidence"]
    table = pd.DataFrame(clusters).sort_values("n_cells", ascending=False, kind="stable", ignore_index=True)
    differing = pd.DataFrame(conflicts, columns=columns)
    differing = differing.sort_values("n_cells", ascending=False, kind="stable", ignore_index=True)
    return Consensus(agreed, table, differing)
