"""Motifs of annotated cells, or of sets of peaks: tables, deviations, logos and pictures in a folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.genome.bed import bed_lines, read_bed
from annatac.genome.intervals import intervals_of, island_names, open_text, overlaps_any
from annatac.io.atomic import atomic_dir
from annatac.io.motif_files import JASPAR, read_motifs
from annatac.io.read import read_one
from annatac.io.safe_names import safe_names
from annatac.io.write import write_annotated

if TYPE_CHECKING:
    from anndata import AnnData

    from annatac.io.motif_files import Motif

ENRICHMENT, ACTIVITY, CELLS = "enrichment.csv", "marker_motifs.csv", "motifs.h5ad"


def motifs(
    path: str | Path,
    output: str | Path,
    *,
    fasta: str | Path | None,
    source: str | Path = JASPAR,
    names: Sequence[str] | None = None,
    groupby: str | None = None,
    markers: str | Path | None = None,
    genome: str | None = None,
    p_value: float = 5e-5,
    max_fdr: float = 0.05,
    min_log2_enrichment: float = 0.5,
    n_top: int = 1,
    pictures: bool = True,
    overwrite: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Write a folder of the motifs enriched in each type's marker peaks, and of each cell's deviations.

    Parameters
    ----------
    path
        Annotated cells with peaks, or a BED file of all peaks (then ``markers`` is needed, and there are no
        deviations).
    markers
        Sets of peaks: CSV of ``annatac markers`` (columns cell_type, peak), or BED (name = type; without
        names, one set); computed from the cells otherwise.
    n_top
        Leading motifs of each type that get a logo and a ridge plot.

    Returns
    -------
    DataFrame, a row a type: n_peaks, n_enriched, n_leading, the three surest leading motifs.

    Raises
    ------
    ConfigError
        No FASTA; peaks without cells and without ``markers``.
    """
    from annatac import tl

    if fasta is None:
        raise ConfigError(
            "Motifs are looked for in the sequence of the peaks: give the FASTA of the assembly, --fasta hg38.fa. Cell "
            "Ranger's reference has it as fasta/genome.fa."
        )

    chosen = read_motifs(source, names=names)
    adata = _peaks_alone(path) if _is_bed(path) else read_one(path)
    with_cells = adata.n_obs > 0
    if not with_cells and markers is None:
        raise ConfigError(
            f"{path} holds peaks and no cells: name the sets of peaks to test with --markers (CSV or BED)."
        )
    column = groupby or keys.LABEL
    sets: Any = peak_sets(markers, adata) if markers is not None else None
    with atomic_dir(output, overwrite=overwrite) as folder:
        tl.motif_scan(adata, chosen, fasta, genome=genome, p_value=p_value)
        if sets is None:
            sets = tl.markers(adata, column, seed=seed)
        table = tl.motif_enrichment(adata, sets, max_fdr=max_fdr, min_log2_enrichment=min_log2_enrichment)
        _write(table, folder / ENRICHMENT)
        if with_cells:
            _write_deviations(adata, path, folder, column)
        if pictures:
            _draw(adata, table, folder, chosen, column, n_top, with_cells=with_cells)
    return _summary(table)


def peak_sets(path: str | Path, adata: AnnData) -> Mapping[str, Any]:
    """Return by type the peaks that a CSV (columns cell_type, peak) or BED file (name = type) holds.

    Peaks of a BED file are those that share a base with it. A BED file without names is one set, called as the file.

    Raises
    ------
    InputError
        The columns are missing, or the file holds none of the peaks.
    """
    path = Path(path)
    if not _is_bed(path):
        with open_text(path) as handle:
            table = pd.read_csv(handle, sep=None, engine="python", dtype=str)
        if missing := {"cell_type", "peak"} - set(table.columns):
            raise InputError(
                f"{path} lacks the columns {', '.join(sorted(missing))}; found {', '.join(table.columns[:8])}. "
                "Give what `annatac markers` wrote, or a BED file."
            )
        return {str(name): rows["peak"].tolist() for name, rows in table.groupby("cell_type", sort=False)}
    bed, peaks = read_bed(path), intervals_of(adata.var)
    if peaks is None:
        raise InputError(f"The features have no coordinates, so {path} cannot be laid on them. Give a CSV.")
    types = _bed_names(path) or [path.name.split(".")[0]] * len(bed)
    sets = {}
    for name in dict.fromkeys(types):
        sets[name] = overlaps_any(peaks, bed[np.array(types, dtype=object) == name])
    if not any(mask.any() for mask in sets.values()):
        raise InputError(
            f"None of the {len(bed):,} intervals of {path} overlaps one of the {adata.n_vars:,} peaks, the first "
            f"of which is {adata.var_names[0]}. Give peaks of the same assembly."
        )
    return sets


def _is_bed(path: str | Path) -> bool:
    return Path(path).name.removesuffix(".gz").lower().endswith((".bed", ".narrowpeak", ".broadpeak"))


def _bed_names(path: Path) -> list[str] | None:
    """Return the fourth column, or None where some line has none."""
    names = [line.fields[3].strip() if len(line.fields) > 3 else "" for line in bed_lines(path)]
    return None if any(name in ("", ".") for name in names) else names


def _peaks_alone(path: str | Path) -> AnnData:
    import anndata
    import scipy.sparse as sp

    table = read_bed(path).drop_duplicates(ignore_index=True)
    table.index = pd.Index(island_names(table["chrom"], table["start"], table["end"]).astype(str))
    return anndata.AnnData(sp.csr_matrix((0, len(table)), dtype=np.int32), var=table)


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, float_format="%.6g")


def _write_deviations(adata: AnnData, source: str | Path, folder: Path, column: str) -> None:
    from annatac import tl

    tl.motif_deviations(adata)
    _write(tl.marker_motifs(adata, column), folder / ACTIVITY)
    write_annotated(
        folder / CELLS,
        source=source,
        adata=adata,
        obs=pd.DataFrame(index=adata.obs_names),
        obsm={name: adata.obsm[name] for name in (keys.MOTIF_DEVIATIONS, keys.MOTIF_Z)},
        uns={keys.MOTIFS: adata.uns[keys.MOTIFS]},
    )


def _draw(
    adata: AnnData,
    table: pd.DataFrame,
    folder: Path,
    chosen: Sequence[Motif],
    column: str,
    n_top: int,
    *,
    with_cells: bool,
) -> None:
    from annatac import pl

    leading = _leading(table)
    if leading.empty:
        warnings.warn(
            "No motif is enriched in any set: there is no picture of enrichment, and no logo.",
            AnnatacWarning,
            stacklevel=3,
        )
        return
    pl.save(pl.motif_enrichment(table), folder / "enrichment.png")
    shown = list(dict.fromkeys(leading.groupby("cell_type", sort=False).head(n_top)["motif"]))
    by_id = {motif.id: motif for motif in chosen}
    files = safe_names([f"{by_id[i].name}_{i}" if by_id[i].name != i else i for i in shown])
    for motif, file in zip(shown, files, strict=True):
        pl.save(pl.motif_logo(by_id[motif]), folder / f"logo_{file}.png")
        if with_cells:
            pl.save(pl.motif_ridge(adata, motif, column), folder / f"ridge_{file}.png")


def _leading(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["is_enriched"] & (table["leader"] == table["motif"])]


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    by_type = table.groupby("cell_type", sort=False)
    leading = _leading(table).groupby("cell_type", sort=False)
    result = by_type.agg(n_peaks=("n_peaks", "first"), n_enriched=("is_enriched", "sum"))
    result["n_leading"] = leading.size().reindex(result.index, fill_value=0)
    first = leading["name"].agg(lambda names: ", ".join(names[:3]))
    result["surest"] = first.reindex(result.index).fillna("-")
    return result
