"""The workflow as Snakemake runs it, with stand-ins for the two external programs and the real annatac."""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest

from annatac import jobs
from annatac.corpus import Corpus
from annatac.simulate import simulate_cells

pytest.importorskip("snakemake", reason="Snakemake is not installed")

_spec = importlib.util.spec_from_file_location("stand_ins", Path(__file__).with_name("stand_ins.py"))
stand_ins = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stand_ins)

SNAKEFILE = Path(__file__).parents[2] / "workflow" / "Snakefile"


def write_outs(folder: Path, cells: ad.AnnData) -> None:
    """What ``cellranger-atac count`` leaves, as far as the workflow looks at it."""
    folder.mkdir(parents=True)
    with h5py.File(folder / "filtered_peak_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(cells.obs_names, dtype="S")
        group["data"] = cells.X.data.astype(np.int32)
        group["indices"] = cells.X.indices.astype(np.int64)
        group["indptr"] = cells.X.indptr.astype(np.int64)
        group["shape"] = np.array(cells.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        features["id"] = features["name"] = np.array(cells.var_names, dtype="S")
        features["feature_type"] = np.array(["Peaks"] * cells.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * cells.n_vars, dtype="S")
    with gzip.open(folder / "fragments.tsv.gz", "wt") as file:
        file.write(f"chr1\t100\t300\t{cells.obs_names[0]}\t1\n")
    for name in ("fragments.tsv.gz.tbi", "singlecell.csv", "web_summary.html"):
        (folder / name).touch()


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """Programs, the outputs of two samples, a reference of Cell Ranger's and a model."""
    folder = tmp_path_factory.mktemp("workflow")
    cells = simulate_cells(120, cell_types=3, n_islands=300, open_islands=60, donors=3)
    stand_ins.write(folder / "bin")
    for name, donor in (("a", "donor2"), ("b-2", "donor3")):
        write_outs(folder / "stand_in" / name, cells[cells.obs["donor"] == donor].copy())
    (folder / "refdata").mkdir()
    (folder / "refdata" / "reference.json").write_text("{}")
    cells[cells.obs["donor"] == "donor1"].copy().write_h5ad(folder / "reference.h5ad")
    jobs.finetune(
        [folder / "reference.h5ad"], folder / "model", label_key="cell_type", recipe="debug", epochs=1
    )
    return folder


@pytest.fixture
def project(shared, tmp_path) -> Path:
    """A folder with FASTQ files of sample a, a table that takes b from the SRA, and settings."""
    reads = tmp_path / "reads" / "a"
    reads.mkdir(parents=True)
    for read in ("I1", "R1", "R2", "R3"):
        (reads / f"a_S1_L001_{read}_001.fastq.gz").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "samples.tsv").write_text(f"sample\tfastqs\tsra\na\t{reads}\nb-2\t\tSRR1,SRR22\n")
    settings = {
        "reference": shared / "refdata",
        "genome": "hg38",
        "model": shared / "model",
        "count_options": "--force-cells 7",
        "prepare_options": f"--universe {shared / 'model'}",
    }
    lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
    (tmp_path / "config" / "config.yaml").write_text(lines)
    shutil.copytree(shared / "stand_in", tmp_path / "stand_in")
    return tmp_path


def snakemake(
    project: Path, shared: Path | None, *options: str, check: bool = True
) -> subprocess.CompletedProcess:
    """Run the workflow in a project; without ``shared`` no program is on the PATH."""
    system = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    path = system if shared is None else f"{shared / 'bin'}:{system}"
    environment = {**os.environ, "PATH": path, "STAND_IN": str(project / "stand_in"), "OMP_NUM_THREADS": "1"}
    environment["XDG_CACHE_HOME"] = str(project / "cache")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(project),
         "--cores", "2", "--set-threads", "corpus=1", "--nocolor", *options],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_from_reads_to_labels_going_on_after_a_failure(project, shared):
    (project / "stand_in" / "b-2.fails").touch()
    done = snakemake(project, shared, "--keep-going", "--until", "count", check=False)
    assert done.returncode == 1, done.stderr
    assert "cellranger-atac: cellranger-atac cellranger-atac-2.1.0" in done.stderr
    assert "results/logs/count/b-2.log" in done.stderr
    results = project / "results"
    assert "the node went down" in (results / "logs" / "count" / "b-2.log").read_text()
    assert (results / "counts" / "a" / "outs" / "fragments.tsv.gz").is_file(), "the others go on"

    wanted = ["results/corpus.done", "results/labels/b-2.h5ad"]  # one sample's labels are enough here
    snakemake(project, shared, *wanted)
    logs = {name: (results / "logs" / "count" / f"{name}.log").read_text() for name in ("a", "b-2")}
    assert logs["a"] == "counted a anew force-cells 7\n", "once"
    assert logs["b-2"] == "counted b-2 resumed force-cells 7\n"
    assert sorted(path.name for path in (results / "counts").iterdir()) == [".run", "a", "b-2"]
    assert not list((results / "counts" / ".run").iterdir()), "what Cell Ranger works with is removed"
    assert not (results / "fastq").exists(), "and so are the reads"
    corpus = Corpus.open(results / "corpus")
    assert [(s.name, s.n_cells) for s in corpus.manifest.samples] == [("a", 40), ("b-2", 40)]
    assert "annatac_label" in ad.read_h5ad(results / "labels" / "b-2.h5ad").obs
    assert (results / "labels" / "b-2.csv").read_text().startswith("barcode,label,")
    assert "Nothing to be done" in snakemake(project, None, *wanted).stderr, "which needs no program"


def test_programs_that_are_missing_are_named(project):
    done = snakemake(project, None, check=False)
    assert done.returncode == 1
    assert "cellranger-atac is not on the PATH. It belongs to Cell Ranger ATAC 2.0 or later" in done.stderr
    assert "fasterq-dump is not on the PATH. It belongs to SRA Toolkit 3.0 or later" in done.stderr
    assert not (project / "results").exists()


def test_a_wrong_table_is_one_message(project):
    with (project / "config" / "samples.tsv").open("a") as file:
        file.write("a\t\tSRR3\n")
    done = snakemake(project, None, check=False)
    assert done.returncode == 1
    assert "config/samples.tsv, line 4: sample 'a' is there already" in done.stderr
    assert "Traceback" not in done.stderr
