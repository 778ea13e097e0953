"""``annatac report``."""

from __future__ import annotations

import sys

import anndata as ad

from annatac import keys


def test_report_of_annotated_cells(run, annotated, outputs):
    out = outputs / "report.html"
    done = run("report", annotated, "-o", out, "--truth", "cell_type", "--by", "donor", "--no-markers")
    assert done.code == 0, done.err
    assert f"Written: {out}" in done.out
    text = out.read_text(encoding="utf-8")
    assert "Against the known types" in text
    assert "Simulated cells." in text
    assert [path.name for path in outputs.iterdir()] == ["report.html"]


def test_a_wrong_column_is_named(run, annotated, outputs):
    done = run("report", annotated, "-o", outputs / "report.html", "--truth", "cell_typ")
    assert done.code == 2
    assert "Did you mean 'cell_type'?" in done.err
    assert not list(outputs.iterdir())


def test_annotate_writes_the_report_of_its_output(run, inputs, model, outputs):
    out, page = outputs / "out.h5ad", outputs / "report.html"
    done = run("annotate", inputs / "query.h5ad", "--model", model, "-o", out, "--report", page)
    assert done.code == 0, done.err
    assert f"Written: {out}, {page}" in done.out
    text = page.read_text(encoding="utf-8")
    assert "Cell types of out.h5ad" in text
    assert text.rstrip().endswith("</html>")
    found = set(ad.read_h5ad(out, backed="r").obs[keys.LABEL].cat.remove_unused_categories().cat.categories)
    assert all(f">{'novel' if name == keys.NOVEL_LABEL else name}<" in text for name in found)
    assert sorted(path.name for path in outputs.iterdir()) == ["out.h5ad", "report.html"]


def test_a_report_that_cannot_be_written_is_refused_before_any_work(run, inputs, model, outputs, monkeypatch):
    def touched(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr("annatac.annotate.annotator.Annotator.load", touched)
    command = ["annotate", inputs / "query.h5ad", "--model", model, "-o", outputs / "out.h5ad", "--report"]
    (outputs.parent / "file").write_text("")
    done = run(*command, outputs.parent / "file" / "report.html")
    assert done.code == 2
    assert "is not a folder" in done.err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run(*command, outputs / "report.html")
    assert done.code == 2
    assert "pip install 'annatac[report]'" in done.err
    assert not list(outputs.iterdir())


def test_a_failing_report_leaves_the_cells_and_no_part_of_a_page(run, inputs, model, outputs, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    out, page = outputs / "out.h5ad", outputs / "report.html"
    page.write_text("older")
    monkeypatch.setattr("pathlib.Path.write_text", full)
    done = run("annotate", inputs / "query.h5ad", "--model", model, "-o", out, "--report", page)
    monkeypatch.undo()
    assert done.code == 2
    assert f"Cannot write {page}: the disk is full" in done.err
    assert page.read_text() == "older"
    assert ad.read_h5ad(out).n_obs == 120
    assert sorted(path.name for path in outputs.iterdir()) == ["out.h5ad", "report.html"]
