"""Annotated cells and their fragment files: quality, footprints, coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.genome.intervals import intervals_of
from annatac.io.atomic import atomic_path
from annatac.io.motif_files import JASPAR
from annatac.io.read import read_one
from annatac.io.write import write_annotated
from annatac.jobs.outputs import check_outputs

if TYPE_CHECKING:
    from anndata import AnnData

    from annatac.tl.fragments.footprint_profiles import Footprints


def fragment_files(arguments: Sequence[str | Path]) -> str | Path | Mapping[str, str]:
    """Return one file, or files by sample from arguments such as ``sample=fragments.tsv.gz``.

    Raises
    ------
    ConfigError
        Several files of which one has no sample.
    """
    texts = [str(argument) for argument in arguments]
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).is_file()):
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    for sample, _, path in pairs:
        if not sample or not path:
            raise ConfigError(
                f"Several fragment files need the sample of each: expected SAMPLE=FILE, found '{sample}'."
            )
    return {sample: path for sample, _, path in pairs}


def fragment_qc(
    path: str | Path,
    output: str | Path | None = None,
    *,
    fragments: Sequence[str | Path],
    genes: str | Path | None = None,
    groupby: str | None = None,
    tss_plot: str | Path | None = None,
    sizes_plot: str | Path | None = None,
) -> pd.DataFrame:
    """Add fragment counts, start-site enrichment and nucleosome signal to a file of cells, and draw them.

    Returns
    -------
    DataFrame, a row a type: n_cells, and the median of each new column of ``obs``; ``attrs`` has n_read,
    n_matched and the file written.
    """
    from anndata import AnnData

    from annatac import tl

    if tss_plot is not None and genes is None:
        raise ConfigError("The start-site profile needs genes: give them with --gtf.")
    written = Path(path if output is None else output)
    check_outputs(written, pictures=(tss_plot, sizes_plot))
    adata = read_one(path, backed=True)
    classes = {keys.UNS: adata.uns[keys.UNS]} if keys.UNS in adata.uns else {}
    cells = AnnData(obs=adata.obs.copy(), uns=classes)
    tl.fragment_qc(cells, fragment_files(fragments), genes=genes, groupby=groupby)
    new = [keys.N_FRAGMENTS, keys.NUCLEOSOME_SIGNAL, *([keys.TSS_ENRICHMENT] if genes is not None else [])]
    result = cells.uns[keys.FRAGMENT_QC]
    write_annotated(
        written, source=path, adata=adata, obs=cells.obs[new], obsm={}, uns={keys.FRAGMENT_QC: result}
    )
    if tss_plot is not None or sizes_plot is not None:
        from annatac import pl

        if tss_plot is not None:
            pl.save(pl.tss_profile(cells), tss_plot)
        if sizes_plot is not None:
            pl.save(pl.fragment_sizes(cells), sizes_plot)
    column = groupby or (keys.LABEL if keys.LABEL in cells.obs else None)
    by = cells.obs[column].astype(str) if column else pd.Series("all cells", index=cells.obs_names)
    table = cells.obs[new].groupby(by.to_numpy()).median()
    table.insert(0, "n_cells", by.value_counts().reindex(table.index).to_numpy())
    table.attrs.update(n_read=result["n_read"], n_matched=result["n_matched"], written=str(written))
    return table


def footprints(
    path: str | Path,
    output: str | Path,
    *,
    fragments: Sequence[str | Path],
    sites: Sequence[str] = (),
    motifs: Sequence[str] = (),
    source: str | Path = JASPAR,
    fasta: str | Path | None = None,
    genome: str | None = None,
    background: str | Path | None = None,
    groupby: str | None = None,
    types: list[str] | None = None,
    flank_bp: int = 250,
    kmer: int = 6,
    min_cells: int = 10,
    seed: int = 0,
    profiles: str | Path | None = None,
    plot: str | Path | None = None,
    normalise: str | None = None,
) -> Footprints:
    """Compute footprints of cells and write the table of depths (CSV), the profiles (CSV) and pictures.

    Several motifs make several pictures: their names, made safe, are added to the name of ``plot``.

    Parameters
    ----------
    sites
        BED files, each as ``FILE`` or ``NAME=FILE``.
    motifs, source
        Names of motifs of a JASPAR release or a motif file, whose sites in the cells' peaks are looked at (needs
        ``fasta``).

    Raises
    ------
    ConfigError
        Neither sites nor motifs; two of one name; no FASTA for motifs or for ``normalise``.
    """
    from annatac import tl

    check_outputs(output, profiles, pictures=[plot])
    if normalise in ("subtract", "divide") and fasta is None:
        raise ConfigError(
            f"--normalise {normalise} takes out the bias of Tn5, which is learnt from the sequence: give --fasta FILE."
        )
    if not sites and not motifs:
        raise ConfigError(
            "Name the sites to look at: --sites FILE.bed, or with --fasta a motif, as --motif CTCF."
        )
    if motifs and fasta is None:
        raise ConfigError(
            "The sites of a motif are looked for in the sequence of the peaks: give --fasta FILE."
        )
    named: dict[str, str | Path | pd.DataFrame] = {}
    for text in sites:
        name, equal, file = text.partition("=")
        if not equal or Path(text).is_file():
            name, file = Path(text).name.removesuffix(".gz").removesuffix(".bed"), text
        if name in named:
            raise ConfigError(f"Two sets of sites are called '{name}'. Name them: --sites NAME=BED.")
        named[name] = file
    adata = read_one(path, backed=True)
    if motifs:
        for name, table in _sites_of_motifs(adata, motifs, source, fasta, genome).items():
            named[name if name not in named else f"{name} (motif)"] = table
    result = tl.footprints(
        adata,
        fragment_files(fragments),
        named,
        groupby=groupby,
        types=types,
        fasta=fasta,
        genome=genome,
        background=background,
        flank_bp=flank_bp,
        kmer=kmer,
        min_cells=min_cells,
        seed=seed,
    )
    write_csv(result.table(), output)
    if profiles is not None:
        write_csv(result.to_frame(), profiles)
    if plot is not None:
        from annatac import pl
        from annatac.io.safe_names import safe_names

        several = len(result.motifs) > 1
        for motif, slug in zip(result.motifs, safe_names(result.motifs), strict=True):
            picture = Path(plot)
            picture = picture.with_stem(f"{picture.stem}_{slug}") if several else picture
            pl.save(pl.footprint(result, motif, normalise=normalise), picture)
    return result


def _sites_of_motifs(
    adata: AnnData,
    motifs: Sequence[str],
    source: str | Path,
    fasta: str | Path | None,
    genome: str | None,
) -> dict[str, pd.DataFrame]:
    """Return the sites in the peaks, by the motif's name; with its id where several motifs have one name."""
    from annatac import tl

    found = tl.motif_sites(adata, source, fasta, names=motifs, genome=genome)
    if found.empty:
        raise InputError(
            f"None of the {adata.n_vars:,} peaks has a site of {', '.join(motifs)}: there is no footprint to look at."
        )
    n_ids = found.groupby("name")["motif"].nunique()
    label = found["name"].where(found["name"].map(n_ids) == 1, found["name"] + " " + found["motif"])
    columns = ["chrom", "start", "end", "strand"]
    return {str(name): rows[columns] for name, rows in found.groupby(label, sort=False)}


def tracks(
    path: str | Path,
    *,
    fragments: Sequence[str | Path],
    region: str | None = None,
    plot: str | Path | None = None,
    table: str | Path | None = None,
    folder: str | Path | None = None,
    file_format: str = "bigwig",
    genes: str | Path | None = None,
    peaks: str | Path | None = None,
    groupby: str | None = None,
    types: list[str] | None = None,
    genome: str | None = None,
    bin_size: int | None = None,
    count: str = "insertions",
    normalise: str = "total",
    min_cells: int = 10,
    overwrite: bool = False,
) -> list[Path]:
    """Draw the coverage of a region by type, write it as CSV, or write the whole genome's as bigWig.

    Returns
    -------
    The files and folders written.
    """
    from annatac import tl

    if region is None and folder is None and plot is None and table is None:
        raise ConfigError(
            "Name a region to draw (--region, with -o), or a folder for the coverage of the whole genome (--bigwig)."
        )
    if region is not None and plot is None and table is None:
        raise ConfigError(f"Where shall {region} go? Name a picture (-o FILE) or a table (--table CSV).")
    if region is None and (plot is not None or table is not None):
        raise ConfigError(
            f"{plot if plot is not None else table} shows a region: name it with --region, as "
            "chr12:6,780,000-6,830,000 or, with --gtf, as a gene."
        )
    check_outputs(table, pictures=[plot])
    adata = read_one(path, backed=True)
    files = fragment_files(fragments)
    written: list[Path] = []
    if region is not None:
        found = tl.coverage(
            adata,
            files,
            region,
            groupby=groupby,
            types=types,
            genes=genes,
            bin_size=bin_size,
            count=count,
            normalise=normalise,
            min_cells=min_cells,
        )
        if table is not None:
            write_csv(found.to_frame(), table)
            written.append(Path(table))
        if plot is not None:
            from annatac import pl

            drawn = peaks if peaks is not None or not adata.n_vars else intervals_of(adata.var)
            written.append(pl.save(pl.tracks(found, genes=genes, peaks=drawn), plot))
    if folder is not None:
        tl.export_coverage(
            adata,
            files,
            folder,
            groupby=groupby,
            types=types,
            file_format=file_format,
            genome=genome,
            bin_size=bin_size or 50,
            count=count,
            normalise=normalise,
            min_cells=min_cells,
            overwrite=overwrite,
        )
        written.append(Path(folder))
    return written


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
