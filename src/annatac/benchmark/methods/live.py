"""Published packages themselves, each in an environment that ``annatac benchmark --setup`` makes."""

from __future__ import annotations

from annatac.benchmark.live import Live
from annatac.benchmark.method import MethodSpec

METHODS = {
    "singler_live": MethodSpec(
        about="singler 0.5.0 on gene scores, markers and settings as by default",
        make=lambda: Live("singler", "run_singler", features="genes"),
        source="live",
        environment="singler",
    ),
    "cellcano_live": MethodSpec(
        about="Cellcano 1.0.4 on gene scores; gives labels alone",
        make=lambda: Live("cellcano", "run_cellcano", features="genes"),
        source="live",
        inductive=False,
        environment="cellcano",
    ),
    "celltypist_live": MethodSpec(
        about="CellTypist 1.7.1 on peaks, with feature selection",
        make=lambda: Live("celltypist", "run_celltypist", features="peaks", feature_selection=True),
        source="live",
        environment="celltypist",
    ),
    "rainbow_live": MethodSpec(
        about="scrainbow 0.0.2; gives labels alone",
        make=lambda: Live("rainbow", "run_rainbow", features="peaks"),
        source="live",
        inductive=False,
        environment="rainbow",
    ),
    "peakvi_live": MethodSpec(
        about="PeakVI of scvi-tools 1.4.2 on reference and query together, then 15 nearest neighbours",
        make=lambda: Live("scvi", "run_scvi", features="peaks", model="peakvi", batches=False, epochs=500),
        source="live",
        inductive=False,
        environment="scvi",
    ),
    "scanvi_live": MethodSpec(
        about="scANVI of scvi-tools 1.4.2 on counts of peaks, from scVI; the query's labels unknown",
        make=lambda: Live(
            *("scvi", "run_scvi"),
            features="peaks",
            model="scanvi",
            batches=False,
            epochs=200,
            epochs_labels=20,
        ),
        source="live",
        inductive=False,
        environment="scvi",
    ),
}
