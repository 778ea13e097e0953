"""``annatac report``."""

from __future__ import annotations


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
