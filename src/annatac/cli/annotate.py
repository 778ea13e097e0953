"""``annatac annotate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from annatac.cli import options
from annatac.cli.annotate_rna import by_rna, check_source
from annatac.cli.terminal import cells_bar, counted, say

_NOVELTY, _SAFE, _ASSEMBLY = "Novelty", "Safe labels and sets", "A query on another assembly"
_RNA = "An RNA reference instead of a model"

_REASONS = {
    "low_quality": "are of low quality: few open islands that the model knows",
    "doublet": "look like two types at once (doublet)",
    "ambiguous": "lie between two types (ambiguous)",
}


def annotate(
    context: typer.Context,
    queries: Annotated[list[Path], typer.Argument(metavar="QUERY", help="Cells to name.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="H5AD", help="File to write.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="Ready model or folder (`annatac finetune`).")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the labels as a table.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="HTML", help="Also write a page to look at in any browser (`annatac report`)."),
    ] = None,
    novelty_method: Annotated[
        str | None,
        typer.Option(
            metavar="evidence|softmax",
            help="What makes a cell novel: too little evidence for any type (the default), or, as published, a best "
            "softmax under the threshold.",
            rich_help_panel=_NOVELTY,
        ),
    ] = None,
    novelty_rate: Annotated[
        float,
        typer.Option(
            help="Share of cells of known types that may be called novel; of one type, twice as many (evidence).",
            rich_help_panel=_NOVELTY,
        ),
    ] = 0.05,
    novelty_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="A cell whose best softmax is under it is novel (0.5 as published); selects softmax.",
            rich_help_panel=_NOVELTY,
        ),
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            help="Also write sets of types that miss the true one in such a share of the cells, such as 0.05.",
            rich_help_panel=_SAFE,
        ),
    ] = None,
    safe_level: Annotated[
        float,
        typer.Option(
            help="The probability that the safe label must have: the type, or an ancestor of it.",
            rich_help_panel=_SAFE,
        ),
    ] = 0.95,
    hierarchy: Annotated[
        str | None,
        typer.Option(
            metavar="cell-ontology|FILE|none",
            help="Ancestors of the types, instead of the model's: a CSV of child and parent.",
            rich_help_panel=_SAFE,
        ),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="UCSC chain between the query's and the model's assembly: peaks and fragments are lifted by it.",
            rich_help_panel=_ASSEMBLY,
        ),
    ] = None,
    lift_islands: Annotated[
        bool,
        typer.Option(
            "--lift-islands",
            help="Lift islands too, each whole to where most of it lies: lossy.",
            rich_help_panel=_ASSEMBLY,
        ),
    ] = False,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt/--no-adapt",
            help="Take the query's own cells into the types' profiles first; calls then depend on each other.",
        ),
    ] = False,
    rna_reference: Annotated[
        Path | None,
        typer.Option(
            metavar="H5AD",
            help="Instead of a model: labelled scRNA-seq cells x genes, raw counts; needs --label-key.",
            rich_help_panel=_RNA,
        ),
    ] = None,
    label_key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of its obs with the types.", rich_help_panel=_RNA),
    ] = None,
    rna_layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Its layer of raw counts; X otherwise.", rich_help_panel=_RNA),
    ] = None,
    gtf: Annotated[
        Path | None,
        typer.Option(
            "--gtf",
            metavar="FILE",
            help="Genes of the query's assembly (GTF, GFF3, BED), with symbols.",
            rich_help_panel=_RNA,
        ),
    ] = None,
    genome: options.Genome = None,
    barcodes: options.Barcodes = None,
    min_fragments: options.MinFragments = None,
    chrom_sizes: options.ChromSizes = None,
    device: options.Device = "auto",
    precision: options.Precision = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Name every cell of a query by a fine-tuned model, or by labelled scRNA-seq cells.

    \b
    The output is the query with labels, confidence, novelty, probabilities
    and an embedding. Fragments are counted in the peaks that the model was
    trained on.

    \b
    Examples:
      annatac annotate filtered_peak_bc_matrix.h5 --model model -o out.h5ad
      annatac annotate fragments.tsv.gz --model model -o out.h5ad \\
          --genome hg38 --min-fragments 1000 --csv labels.csv
      annatac annotate query.h5ad --model model -o out.h5ad --report report.html
      annatac annotate day0.h5ad day7.h5ad --model model -o out.h5ad
      annatac annotate query.h5ad --rna-reference rna.h5ad \\
          --label-key cell_type --gtf genes.gtf.gz -o out.h5ad
    """
    check_source(context, model, rna_reference)
    reading: dict[str, Any] = {
        "genome": genome,
        "barcodes": barcodes,
        "min_fragments": min_fragments,
        "chrom_sizes": chrom_sizes,
    }
    if model is None:
        by_rna(
            queries,
            output,
            rna_reference=rna_reference,
            label_key=label_key,
            rna_layer=rna_layer,
            genes=gtf,
            csv=csv,
            report=report,
            novelty_threshold=novelty_threshold,
            **reading,
        )
        return
    from annatac import jobs

    with cells_bar("annotating") as on_progress:
        result = jobs.annotate(
            queries,
            output,
            model=model,
            csv=csv,
            report=report,
            novelty_method=novelty_method,
            novelty_rate=novelty_rate,
            novelty_threshold=novelty_threshold,
            error_rate=error_rate,
            safe_level=safe_level,
            hierarchy=hierarchy,
            chain=chain,
            lift_islands=lift_islands,
            adapt=adapt,
            device=device,
            precision=precision or "float32",
            on_progress=on_progress,
            **reading,
        )
    overlap = result.overlap
    say(
        f"Annotated {sum(result.cells_per_label.values()):,} cells. The model knows "
        f"{overlap['share_of_query_counts_known']:.1%} of their counts; they measured "
        f"{overlap['share_of_model_islands_measured']:.1%} of its islands.\n"
        f"{counted(result.cells_per_label)}"
    )
    for reason, words in _REASONS.items():
        if n := result.cells_per_reason.get(reason):
            say(f"{n:,} cells {words}.")
    if (adapted := result.adaptation) is not None:
        if adapted["used"]:
            say(f"The types' profiles took in {adapted['n_cells']:,} of the query's cells.")
        else:
            say(f"Not adapted to the query: {adapted['why_not']}.")
        if adapted["used"] and error_rate is not None:
            say("The error rate of the sets of types is not guaranteed with --adapt.")
    if result.pooled_types:
        say(
            "Too few held-out cells for a guarantee of their own, so pooled with one another: "
            f"{', '.join(result.pooled_types)}."
        )
    say(f"Written: {', '.join(str(path) for path in (output, csv, report) if path is not None)}")
