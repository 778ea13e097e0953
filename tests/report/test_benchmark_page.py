"""The page of a benchmark, from result files made by hand; in a browser where there is one."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from annatac.benchmark.results import comparisons, evaluation_of_task, read_outcome, tidy
from annatac.benchmark.scoring import judge
from annatac.benchmark.suite import ProtocolConfig, SetConfig, Suite
from annatac.benchmark.tasks import Task, tasks_of
from annatac.report import benchmark_page as page_module
from annatac.report.benchmark_page import benchmark_page, drawn_methods
from annatac.report.benchmark_tables import changed_tables, failures, score_rows

TYPES = ["B <cell>", "T", "NK"]


def outcome_of(task: Task) -> dict:
    """What a run leaves: annatac is right in 27 of 30 cells, naive Bayes in 21; LSI runs out of time."""
    head = {"schema": 1, "version": "0", "task": task.to_dict(), "log": [], "wall_s": 2.0, "peak_mb": 300.0}
    if task.method == "lsi_knn":
        return {**head, "status": "timeout", "error": "stopped after 5 s"}
    truth = np.repeat(np.array(TYPES, dtype=object), 10)
    n_wrong = (3 if task.method == "annatac" else 9) + 3 * (task.kind != "split")
    call = np.arange(30) // 10
    call[:n_wrong] = 1
    probabilities = np.full((30, 3), 0.1)
    probabilities[np.arange(30), call] = 0.8
    known = set(TYPES) - ({task.cell_type} if task.kind == "held_out" else set())
    found = judge(truth, probabilities, TYPES, known)
    found["cells"]["rows"] = found["cells"].pop("index")
    return {**head, "status": "ok", "error": "", "fit_s": 1.0, "predict_s": 0.1, "n_reference": 60, **found}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A suite of three protocols, its result files and its page."""
    folder = tmp_path_factory.mktemp("benchmark")
    suite = Suite(
        name="mine",
        methods=("annatac", "naive_bayes", "lsi_knn"),
        sets=tuple(SetConfig(name=name, reference="x.h5ad") for name in ("one", "two", "three")),
        protocols=(
            ProtocolConfig(kind="split"),
            ProtocolConfig(kind="label_noise", levels=(0.1, 0.2), sets=("one",)),
            ProtocolConfig(kind="rare", types=("T",), sets=("one",)),
            ProtocolConfig(kind="held_out", types=("NK",), sets=("one",)),
        ),
    )
    paths = []
    for task in tasks_of(suite, lambda one: TYPES):
        paths.append(folder / f"{task.id}.json")
        paths[-1].write_text(json.dumps(outcome_of(task)))
    table = tidy(paths)
    page = benchmark_page(table, comparisons(paths, "annatac"), paths, suite, folder / "benchmark.html")
    return table, paths, page


def test_the_page_says_what_the_tables_hold(run):
    table, _, page = run
    html = page.read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<(?!/?b>)[^>]*>", " ", html))
    assert "<b>0.900</b> /" in text, "the highest accuracy is bold"
    assert "stopped after 5 s" in text
    assert "another type, drawn by the other types" in text
    assert "B <cell>" not in html, "names are data, never markup"
    assert html.count("<svg") == len(re.findall(r'<svg role="img" aria-label="[^"]+"', html)) > 8
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html), "nothing is loaded from the network"
    assert len(failures(table)) == 7


def test_rows_by_hand(run):
    table, _, _ = run
    rows = dict(score_rows(table))
    assert next(iter(rows)) == "annatac"
    assert rows["annatac"][0].accuracy == pytest.approx(0.9)
    assert rows["annatac"][0].best_accuracy
    assert not rows["naive bayes"][0].best_accuracy
    assert (rows["lsi knn"][0].n_runs, rows["lsi knn"][0].n_failed) == (0, 1)
    tables = {
        one["title"].split(":")[1].strip()[:8]: one for one in changed_tables(table) if ":" in one["title"]
    }
    np.testing.assert_allclose(dict(tables["Accuracy"]["rows"])["annatac"], [10.0, 10.0])  # 3 cells of 30
    np.testing.assert_allclose(dict(tables["recall o"]["rows"])["annatac"], [100.0, 100.0])
    assert drawn_methods(table) == ["annatac", "naive_bayes"]


def test_a_task_as_an_evaluation(run):
    _, paths, _ = run
    outcome = next(one for path in paths if (one := read_outcome(path))["task"]["method"] == "annatac")
    found = evaluation_of_task(outcome)
    assert found.summary["accuracy"] == pytest.approx(0.9)
    assert found.confusion.loc["B <cell>"].to_dict() == {"B <cell>": 7, "NK": 0, "T": 3}


def test_without_what_it_needs_it_says_so(run, monkeypatch, tmp_path):
    from annatac.errors import MissingDependencyError

    def absent():
        raise MissingDependencyError("no")

    monkeypatch.setattr(page_module, "check_jinja2", absent)
    with pytest.raises(MissingDependencyError, match=r"annatac\[benchmark\]"):
        benchmark_page(run[0], run[0], [], None, tmp_path / "x.html")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_opens_without_a_complaint(run, browser, dark):
    browser.messages.clear()
    browser.requests.clear()
    browser.open(run[2], width=400 if dark else 1280, height=900, dark=dark)
    assert browser.messages == []
    assert all(one.startswith(("file:", "data:")) for one in browser.requests)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
