from __future__ import annotations

import pandas as pd
import pytest
from typer.testing import CliRunner

from annatac import simulate
from annatac.cli.app import app

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    adata = simulate.simulate_cells(600, cell_types=["A/1", "B 2"], donors=4, n_islands=400, open_islands=120)
    adata.obs["disease"] = pd.Categorical(
        ["ill" if d in ("donor1", "donor2") else "well" for d in adata.obs["donor"]]
    )
    adata.write_h5ad(folder / "cells.h5ad")
    genes = adata.var.iloc[::20].assign(symbol=[f"G{i}" for i in range(len(adata.var.iloc[::20]))])
    lines = [
        f"{c}\t{s}\t{e + 3000}\t{g}\t+"
        for c, s, e, g in zip(*(genes[k] for k in ("chrom", "start", "end", "symbol")), strict=True)
    ]
    (folder / "genes.bed").write_text("\n".join(lines) + "\n")
    return folder


def _run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_markers(cells):
    files = [cells / name for name in ("m.csv", "m.bed", "heat.png", "volcano.png")]
    out = _run(
        *("markers", cells / "cells.h5ad", "-o", files[0], "--groupby", "cell_type"),
        *("--gtf", cells / "genes.bed", "--bed", files[1], "--heatmap", files[2]),
        *("--volcano", files[3], "--type", "B 2", "--donor-key", "donor"),
    )
    assert "n_markers" in out
    assert all(file.stat().st_size > 100 for file in files)
    assert {"gene", "donor_fdr"} <= set(pd.read_csv(files[0]))


def test_elements(cells):
    out = _run(
        *("elements", cells / "cells.h5ad", "-o", cells / "e.csv", "--groupby", "cell_type"),
        *("--gtf", cells / "genes.bed", "--plot", cells / "e.png"),
    )
    assert "gene body" in out
    assert (cells / "e.png").exists()
    assert "all types" in set(pd.read_csv(cells / "e.csv")["cell_type"])


@pytest.mark.filterwarnings("ignore")
def test_conditions(cells):
    shared = ("--condition-key", "disease", "--sample-key", "donor", "--groupby", "cell_type")
    out = _run("conditions", cells / "cells.h5ad", "-o", cells / "c.csv", *shared, "--plot", cells / "c.png")
    assert "well (2 samples) over ill (2 samples)" in out
    _run(
        "conditions",
        cells / "cells.h5ad",
        "-o",
        cells / "d.csv",
        *shared,
        "--type",
        "A/1",
        "--compare",
        "well",
        "ill",
    )
    assert {"log2_fold_change", "fdr"} <= set(pd.read_csv(cells / "d.csv"))
