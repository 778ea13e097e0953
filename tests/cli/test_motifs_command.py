"""`annatac motifs` on synthetic sequence: two types, each with its own motif in its own peaks."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

pytest.importorskip("pyfaidx")
pytest.importorskip("matplotlib").use("Agg")

TYPES = ("B/1", "NK 2")
N_PEAKS, WIDTH = 600, 300


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motifs")
    rng = np.random.default_rng(0)
    words = rng.integers(0, 4, (12, 10))
    lines = ["MEME version 4", "ALPHABET= ACGT"]
    for i, word in enumerate(words):
        lines += [f"MOTIF M{i}.1 factor{i}", "letter-probability matrix: alength= 4 w= 10 nsites= 50"]
        lines += [" ".join("0.94" if b == base else "0.02" for base in range(4)) for b in word]
    (folder / "m.meme").write_text("\n".join(lines) + "\n")
    bases = rng.integers(0, 4, (N_PEAKS, WIDTH))
    counts = rng.poisson(0.5, (80, N_PEAKS))
    for i in range(len(TYPES)):
        mine = np.arange(i * 120, i * 120 + 120)
        counts[i * 40 : i * 40 + 40, mine] += rng.poisson(1.5, (40, 120))
        for peak in mine[:70]:
            bases[peak, 100:110] = words[i]
    text = "".join(np.array(list("ACGT"))[bases.ravel()])
    (folder / "g.fa").write_text(
        ">chr1\n" + "\n".join(text[i : i + 80] for i in range(0, len(text), 80)) + "\n"
    )
    names = [f"chr1:{i * WIDTH}-{i * WIDTH + WIDTH}" for i in range(N_PEAKS)]
    obs = pd.DataFrame({"annatac_label": np.repeat(TYPES, 40)}, index=[f"c{i}" for i in range(80)])
    ad.AnnData(sp.csr_matrix(counts.astype(np.int32)), obs=obs, var=pd.DataFrame(index=names)).write_h5ad(
        folder / "cells.h5ad"
    )
    bed = [name.replace(":", "\t").replace("-", "\t") for name in names]
    (folder / "peaks.bed").write_text("\n".join(bed) + "\n")
    (folder / "sets.bed").write_text("\n".join(f"{line}\tfirst" for line in bed[:120]) + "\n")
    return folder


def shared(inputs):
    return "--fasta", inputs / "g.fa", "--motifs", inputs / "m.meme"


def test_cells(run, inputs, outputs):
    result = run("motifs", inputs / "cells.h5ad", *shared(inputs), "-o", outputs / "m")
    assert result.code == 0, result.err
    assert "n_leading" in result.out
    found = {file.name for file in (outputs / "m").iterdir()}
    assert {"enrichment.csv", "marker_motifs.csv", "motifs.h5ad", "enrichment.png"} <= found
    assert {f"{kind}_factor{i}_M{i}.1.png" for kind in ("logo", "ridge") for i in range(2)} <= found
    table = pd.read_csv(outputs / "m" / "enrichment.csv")
    called = table[table["is_enriched"]]
    assert dict(zip(called["cell_type"], called["name"], strict=True)) == {
        "B/1": "factor0",
        "NK 2": "factor1",
    }
    cells = ad.read_h5ad(outputs / "m" / "motifs.h5ad")
    assert cells.obsm["annatac_motif_z"].shape == (80, 12)
    active = pd.read_csv(outputs / "m" / "marker_motifs.csv")
    assert active.groupby("cell_type").first()["name"].to_dict() == {"B/1": "factor0", "NK 2": "factor1"}
    again = run("motifs", inputs / "cells.h5ad", *shared(inputs), "-o", outputs / "m")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_peaks_without_cells(run, inputs, outputs):
    given = "motifs", inputs / "peaks.bed", *shared(inputs), "-o", outputs / "m"
    refused = run(*given)
    assert refused.code == 2
    assert "--markers" in refused.err
    result = run(*given, "--markers", inputs / "sets.bed", "--names", "factor0", "--names", "M5")
    assert result.code == 0, result.err
    table = pd.read_csv(outputs / "m" / "enrichment.csv")
    assert table["name"].tolist() == ["factor0", "factor5"]
    assert table["cell_type"].unique().tolist() == ["first"]
    assert (outputs / "m" / "logo_factor0_M0.1.png").exists()
    assert not (outputs / "m" / "motifs.h5ad").exists()


def test_tables_of_markers(run, inputs, outputs):
    csv = outputs / "markers.csv"
    assert run("markers", inputs / "cells.h5ad", "-o", csv).code == 0
    result = run(
        "motifs",
        inputs / "cells.h5ad",
        *shared(inputs),
        "--markers",
        csv,
        "-o",
        outputs / "m",
        "--no-pictures",
    )
    assert result.code == 0, result.err
    assert not list((outputs / "m").glob("*.png"))
    pd.DataFrame({"type": ["A"], "name": ["chr1:0-300"]}).to_csv(csv, index=False)
    result = run("motifs", inputs / "cells.h5ad", *shared(inputs), "--markers", csv, "-o", outputs / "n")
    assert result.code == 2
    assert "lacks the columns cell_type, peak; found type, name" in result.err
    (outputs / "far.bed").write_text("chr9\t100\t200\n")
    result = run(
        "motifs",
        inputs / "peaks.bed",
        *shared(inputs),
        "--markers",
        outputs / "far.bed",
        "-o",
        outputs / "n",
    )
    assert result.code == 2
    assert "None of the 1 intervals" in result.err
