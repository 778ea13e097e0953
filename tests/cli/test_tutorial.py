"""docs/tutorial.md, typed as it stands: every command and every Python block, in order, in an empty folder."""

from __future__ import annotations

import gc
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python)?\n(.*?)^```", flags=re.M | re.S)
PICTURES = [
    "training",
    "novelty",
    "confusion",
    "sankey",
    "risk",
    "tsne",
    "umap",
    "markers",
    "volcano",
    "elements",
    "why",
    "path",
    "path_peaks",
    "diffusion",
    "tss",
    "sizes",
    "ms4a1",
    "motifs/enrichment",
    "footprint",
    "composition",
    "monocytes",
]


@pytest.mark.slow
@pytest.mark.dataset("granja2019_bmmc_d6t1", "pbsmall_fragments", "hg19_genes")
@pytest.mark.filterwarnings("default")  # a warning of a library ends no user's tutorial
def test_the_tutorial_runs_as_it_stands(run, tmp_path, monkeypatch):
    for module in ("scanpy", "leidenalg", "pyjaspar", "pyfaidx", "jinja2", "pyBigWig"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind:
            gc.collect()  # a command's process would have closed its files
            exec(compile(text, str(PAGE), "exec"), names)
            continue
        for line in text.splitlines():
            word, *arguments = shlex.split(line)
            assert word == "annatac"
            done = run(*arguments)
            assert done.code == 0, f"{line}\n{done.err}"
    for name in PICTURES:
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000, name
    labels = pd.read_csv("labels.csv", index_col=0)["label"]
    truth = pd.read_csv("truth.csv", index_col=0)["cell_type"].reindex(labels.index)
    assert (labels == truth).mean() > 0.9
    assert Path("report.html").stat().st_size > 100_000
    assert {file.name for file in Path("tracks").iterdir()} >= {"B_cell.bw", "T_cell.bw", "monocyte.bw"}
    assert len(pd.read_csv("bulk/groups.csv")) > 6  # types x donors
    motifs = pd.read_csv("motifs/enrichment.csv").groupby("cell_type").head(3)
    found = {kind: set(rows["name"].str.upper()) for kind, rows in motifs.groupby("cell_type")}
    assert "EBF1" in found["B cell"]
    assert "CEBPA" in found["monocyte"]
    depth = pd.read_csv("depths.csv").set_index("cell_type")["depth"]
    assert depth["B cell"] > 0.2
    assert depth["monocyte"] < 0.1
