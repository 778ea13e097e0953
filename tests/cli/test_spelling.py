"""Parameters in messages are named as they were typed."""

from __future__ import annotations

import pytest

from annatac.cli.spelling import as_typed

KNOWN = [
    ("markers", "Lower min_cells, or set donor_key.", "Lower min_cells, or set --donor-key."),
    ("conditions", "Lower min_cells, or set block_key.", "Lower --min-cells, or set --block-key."),
    ("footprints", "flank_bp is 3; widen flank_bp.", "--flank is 3; widen --flank."),
    ("prepare x.h5ad", "islands='tss' needs genes: give a GTF.", "--islands tss needs genes: give a GTF."),
    ("motifs", "give its FASTA (fasta=).", "give its FASTA (--fasta)."),
    ("annotate q.h5ad --model m", "ask for it with lift_islands=True.", "ask for it with --lift-islands."),
    ("annotate q.h5ad", "go without: adapt=False.", "go without: --no-adapt."),
    (
        "plot umap",
        "obsm['X_umap'] of truth_key, or 'min_cells'",
        "obsm['X_umap'] of truth_key, or 'min_cells'",
    ),
]


@pytest.mark.parametrize(("command", "message", "wanted"), KNOWN)
def test_by_hand(command, message, wanted):
    assert as_typed(message, command.split()) == wanted


@pytest.mark.parametrize(
    "message",
    [
        "The cells' genes, types and plot are words here, the types' too.",
        "Call annatac.tl.footprints(adata, fragments, flank_bp=300).",
        "No column 'min_cells' in /data/min_cells/x.csv or min_cells.h5ad.",
        "Type `annatac pseudobulk --min-cells 3` (min-cells).",
    ],
)
def test_what_is_no_parameter_stays(message):
    assert as_typed(message, ["footprints", "cells.h5ad"]) == message


def test_errors_and_warnings_of_a_command(run, monkeypatch):
    import warnings

    from annatac.errors import AnnatacWarning, ConfigError

    def broken(*_, **__):
        warnings.warn("kmer=8 is long", AnnatacWarning, stacklevel=1)
        raise ConfigError("min_cells is 3")

    monkeypatch.setattr("annatac.jobs.footprints", broken)
    done = run("footprints", "x.h5ad", "--fragments", "f", "--sites", "s", "-o", "o.csv")
    assert done.code == 2
    assert done.err == "warning: --kmer 8 is long\nerror: --min-cells is 3\n"
