"""Groups of novel cells and labels within clusters, as a report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from annatac import keys

if TYPE_CHECKING:
    from anndata import AnnData

N_MARKERS, N_CONFLICTS = 5, 20


class Clusters(NamedTuple):
    """``groups``: a row a group of novel cells, with ``nearest`` and ``markers`` as text; ``conflicts``: a row a
    cluster and label that is not its consensus, the largest first; ``n_conflicts``: cells in all of them."""

    groups: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    n_clusters: int
    n_without: int
    n_conflicts: int


def clusters_of(adata: AnnData) -> Clusters | None:
    """Return what :func:`annatac.tl.clusters` wrote, or None where it did not."""
    found = adata.uns.get(keys.CLUSTERS)
    if found is None:
        return None
    markers, consensus, conflicts = found["markers"], found["consensus"], found["conflicts"]
    groups = []
    for row in found["groups"].to_dict("records"):
        own = markers[markers["group"].astype(str) == row["group"]].head(N_MARKERS)
        genes = own["gene"] if "gene" in own else [None] * len(own)
        row["markers"] = ", ".join(
            f"{peak} ({gene})" if isinstance(gene, str) and gene else str(peak)
            for peak, gene in zip(own["peak"], genes, strict=True)
        )
        row["by_probability"] = _nearest(row, "by_probability", "probability")
        row["by_profile"] = _nearest(row, "by_profile", "correlation")
        groups.append(row)
    return Clusters(
        groups,
        conflicts.head(N_CONFLICTS).to_dict("records"),
        n_clusters=len(consensus),
        n_without=int((consensus["consensus"].astype(str) == "").sum()),
        n_conflicts=int(consensus["n_conflicts"].sum()),
    )


def _nearest(row: dict[str, Any], name: str, number: str) -> str:
    return ", ".join(
        f"{row[f'{name}_{i}']} ({row[f'{number}_{i}']:.2f})" for i in (1, 2) if row[f"{name}_{i}"]
    )
