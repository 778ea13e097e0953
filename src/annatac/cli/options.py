"""Options that several commands have, each defined once."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

READING, ISLANDS, TRAINING, MACHINE = "Reading", "Peak islands", "Training", "Machine"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class IslandChoice(StrEnum):
    """Which islands are kept."""

    all = "all"
    tss = "tss"


class AssignChoice(StrEnum):
    """Which island a peak belongs to."""

    midpoint = "midpoint"
    start = "start"
    overlap = "overlap"


class OpennessChoice(StrEnum):
    """How the counts of an island's peaks become one number."""

    mean = "mean"
    sum = "sum"
    max = "max"
    binary = "binary"


class PrecisionChoice(StrEnum):
    """What the encoder computes in."""

    auto = "auto"
    float32 = "float32"
    bf16 = "bf16"


def set_threads(threads: int | None) -> int | None:
    """Limit the threads of every library, those that are loaded later included."""
    if threads is not None:
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
    return threads


def _option(*names: str, help: str, panel: str | None = None, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, **more)


Genome = Annotated[
    str | None,
    _option(
        "--genome",
        metavar="NAME|FILE",
        help="Assembly of the coordinates: hg38, hg19, mm10, ... or a file of chromosome lengths. "
        "Otherwise what the input states.",
        panel=READING,
    ),
]
Barcodes = Annotated[
    Path | None,
    _option(
        "--barcodes",
        metavar="FILE",
        help="The cells to keep: one barcode a line, or singlecell.csv, or per_barcode_metrics.csv.",
        panel=READING,
    ),
]
MinFragments = Annotated[
    int | None,
    _option(
        "--min-fragments",
        min=1,
        help="Fragments only: keep barcodes with at least so many.",
        panel=READING,
    ),
]
Peaks = Annotated[
    Path | None,
    _option("--peaks", metavar="BED", help="Fragments only: count them in these peaks.", panel=READING),
]
ChromSizes = Annotated[
    Path | None,
    _option(
        "--chrom-sizes",
        metavar="FILE",
        help="Fragments only: chromosome lengths; other chromosomes are left out.",
        panel=READING,
    ),
]
Labels = Annotated[
    Path | None,
    _option(
        "--labels",
        metavar="CSV",
        help="Cell types as a table of barcode and type (CSV or TSV).",
        panel=READING,
    ),
]
Genes = Annotated[
    Path | None,
    _option(
        "--gtf",
        metavar="FILE",
        help="Genes of the assembly (GTF, GFF3 or BED, also gzipped): for islands with a start site, and to "
        "check the assembly.",
        panel=ISLANDS,
    ),
]
BinSize = Annotated[
    int, _option("--bin-size", min=100, metavar="BP", help="Width of an island.", panel=ISLANDS)
]
BinSizeIfAny = Annotated[
    int | None,
    _option(
        "--bin-size",
        min=100,
        metavar="BP",
        help="Width of an island: 5000, or that of the corpus.",
        panel=ISLANDS,
    ),
]
Recipe = Annotated[
    str,
    _option(
        "--recipe",
        metavar="NAME|YAML",
        help="Settings of network and training: default, large, paper, debug, or a file of your own.",
        panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None, _option("--epochs", min=1, help="Epochs, instead of the recipe's.", panel=TRAINING)
]
Resume = Annotated[
    bool, _option("--resume", help="Go on from the checkpoint of an interrupted run.", panel=TRAINING)
]
Overwrite = Annotated[bool, _option("--overwrite", help="Replace an output folder that exists.")]
Seed = Annotated[int, _option("--seed", help="Same seed, same result.", panel=MACHINE)]
Device = Annotated[str, _option("--device", help="auto, cpu, cuda, cuda:0 or mps.", panel=MACHINE)]
Precision = Annotated[
    PrecisionChoice | None,
    _option(
        "--precision",
        help="What the encoder computes in: float32; bf16, where the machine multiplies in it; auto is bf16 on a GPU "
        "that does. Otherwise the recipe's, which is float32.",
        panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    _option(
        "--threads",
        min=1,
        help="Threads to compute with; all cores otherwise.",
        panel=MACHINE,
        callback=set_threads,
        is_eager=True,
    ),
]
Debug = Annotated[
    bool,
    _option("--debug", help="Show tracebacks, and warnings of other libraries.", panel=MACHINE),
]
