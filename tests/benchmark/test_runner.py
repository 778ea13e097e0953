"""Tasks in processes of their own: results, crashes, limits, going on, and the tables made of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from annatac.benchmark.results import comparisons, means, read_outcome, tidy, write_tables
from annatac.benchmark.runner import Limits, run_tasks
from annatac.benchmark.suite import SetConfig
from annatac.benchmark.tasks import Task
from annatac.benchmark.worker import run_task
from annatac.cli import main
from annatac.errors import ConfigError, InputError, OutputError
from annatac.simulate import simulate_cells


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    simulate_cells(240, cell_types=3, n_islands=400, open_islands=60, donors=3).write_h5ad(file)
    return file


def task(path, method="naive_bayes", **more):
    return Task(set=SetConfig(name="sim", reference=str(path)), method=method, kind="split", **more)


@pytest.fixture(scope="module")
def finished(path, tmp_path_factory):
    """Two tasks that end well and one that crashes, two at a time."""
    folder = tmp_path_factory.mktemp("run")
    tasks = [task(path, name, fold=fold) for name in ("naive_bayes",) for fold in (0, 1)]
    tasks += [task(path.parent / "absent.h5ad")]
    told = []
    paths = run_tasks(tasks, folder, workers=2, on_done=told.append)
    return folder, tasks, paths, told


def test_each_task_leaves_one_file_and_a_crash_does_not_stop_the_rest(finished):
    _, tasks, paths, told = finished
    outcomes = [read_outcome(one) for one in paths]
    assert [one["status"] for one in outcomes] == ["ok", "ok", "failed"]
    assert [Task.from_dict(one["task"]) for one in outcomes] == tasks
    assert outcomes[2]["error"].endswith("`annatac datasets list` has the names.")
    assert any("worker.py" in line for line in outcomes[2]["log"]), "the end of the traceback is kept"
    for one in outcomes[:2]:
        assert 20 < one["peak_mb"] < 4000
        assert 0 < one["fit_s"] < one["wall_s"]
        assert one["n_reference"] == 192
    assert [one.n_done for one in told] == [1, 2, 3]


def test_a_process_says_what_a_call_says(finished):
    _, tasks, paths, _ = finished
    called, ran = run_task(tasks[0]), read_outcome(paths[0])
    for name in ("scores", "per_type", "cells", "n_reference_of_type"):
        assert called[name] == ran[name]


def test_a_run_goes_on_where_it_was(finished):
    folder, tasks, paths, _ = finished
    before = [one.stat().st_mtime_ns for one in paths]
    told = []
    again = run_tasks(tasks, folder, on_done=told.append)
    assert again == paths
    assert not told
    assert [one.stat().st_mtime_ns for one in paths] == before
    paths[1].write_text('{"schema": 1, "half')  # what no run of ours leaves, but a disk might
    run_tasks(tasks, folder, retry_failed=True, on_done=told.append)
    assert sorted(one.outcome["status"] for one in told) == ["failed", "ok"]


def test_time_and_memory_end_a_task_and_a_higher_limit_runs_it_again(path, tmp_path):
    late = run_tasks([task(path)], tmp_path / "a", limits=Limits(seconds=0.3))
    assert read_outcome(late[0])["status"] == "timeout"
    assert read_outcome(late[0])["error"] == "stopped after 0.3 s"
    large = run_tasks([task(path)], tmp_path / "a", limits=Limits(memory_mb=40))
    assert read_outcome(large[0])["status"] == "out_of_memory"
    assert "of 40 MiB" in read_outcome(large[0])["error"]
    told = []
    run_tasks([task(path)], tmp_path / "a", limits=Limits(memory_mb=40), on_done=told.append)
    assert not told, "the same limit would end it again"
    assert "sim" in tidy(large)["set"].tolist()
    assert set(tidy(large)["metric"]) == {"wall_s", "peak_mb"}


def test_ctrl_c_leaves_no_process_and_no_half_file(path, tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has none\n"
        "from annatac.benchmark.runner import run_tasks; from annatac.benchmark.tasks import Task\n"
        f"run_tasks([Task.from_dict({task(path, 'mlp').to_dict()!r})], {str(tmp_path / 'out')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    worker = _first_child(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert not list((tmp_path / "out" / "tasks").glob("*.json"))


def _first_child(pid):
    """Return the process number of the worker, once it is there."""
    for _ in range(600):
        for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
            try:
                stat = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()  # noqa: SIM115
                words = open(f"/proc/{entry}/cmdline").read()  # noqa: SIM115
            except (OSError, ValueError):
                continue
            if int(stat[1]) == pid and "annatac.benchmark.worker" in words:
                return int(entry)
        time.sleep(0.05)
    pytest.skip("no /proc to look for the worker in")


def test_one_run_a_folder(path, tmp_path):
    from annatac.corpus.lock import writing

    with writing(tmp_path), pytest.raises(OutputError, match="Another process writes"):
        run_tasks([task(path)], tmp_path)
    with pytest.raises(ConfigError, match="workers is 0"):
        run_tasks([], tmp_path, workers=0)


def test_the_table_is_tidy(finished, tmp_path):
    table = tidy(finished[2])
    first = table[(table["method"] == "naive_bayes") & (table["fold"] == 0) & (table["status"] == "ok")]
    assert set(first[first["cell_type"] == ""]["metric"]) == {
        *("accuracy", "macro_f1", "cohen_kappa", "jaccard_micro", "jaccard_weighted"),
        *("balanced_accuracy", "calibration_error", "fit_s", "predict_s", "wall_s", "peak_mb"),
    }
    f1 = first[first["metric"] == "f1"]
    assert f1["n_cells"].sum() == 48
    assert f1["value"].mean() == pytest.approx(first[first["metric"] == "macro_f1"]["value"].iloc[0])
    csv, parquet = write_tables(table, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table, check_dtype=False)
    assert len(pd.read_csv(csv)) == len(table)


def test_means_count_what_failed(finished):
    found = means(tidy(finished[2])).set_index("method")
    assert found.loc["naive_bayes", ["n_runs", "n_failed"]].tolist() == [2, 1]
    values = tidy(finished[2]).query("method == 'naive_bayes' and metric == 'accuracy'")["value"]
    assert found.loc["naive_bayes", "accuracy"] == pytest.approx(values.mean())


def test_ours_against_the_best_rival(finished, tmp_path):
    """Files as three seeds would leave them; the rival with the higher mean is chosen."""
    outcome = read_outcome(finished[2][0])
    names, cells = outcome["cells"]["names"], outcome["cells"]
    right = cells["truth"]
    paths = []
    for method, n_wrong in (("annatac", 2), ("naive_bayes", 6), ("lsi_knn", 12)):
        for seed in range(3):
            call = [(t + 1) % len(names) if i < n_wrong + seed % 2 else t for i, t in enumerate(right)]
            one = json.loads(json.dumps(outcome))
            one["task"] |= {"method": method, "seed": seed}
            one["cells"]["call"] = call
            one["scores"]["accuracy"][0] = float(np.mean(np.array(call) == np.array(right)))
            paths.append(tmp_path / f"{method}{seed}.json")
            paths[-1].write_text(json.dumps(one))
    found = comparisons(paths, "annatac", by=("accuracy",)).iloc[0]
    assert (found["rival"], found["n_runs"]) == ("naive_bayes", 3)
    assert found["difference"] == pytest.approx(4 / 48)
    assert found["low"] < found["difference"] < found["high"]
    assert np.isnan(found["p_runs"]), "every run differs by the same: no spread to test against"


def test_what_is_no_result_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="is no result file of the benchmark"):
        read_outcome(tmp_path / "x.json")


@pytest.fixture(scope="module")
def odd(path, tmp_path_factory):
    """A reference with a type of one cell and a name in two spellings; a query with a type that it lacks."""
    folder = tmp_path_factory.mktemp("odd")
    cells = read_h5ad(path)
    labels = cells.obs["cell_type"].astype(str).to_numpy(dtype=object)
    is_query = (cells.obs["donor"] == "donor3").to_numpy()
    first, second = sorted(set(labels))[:2]
    in_reference, in_query = np.flatnonzero(~is_query), np.flatnonzero(is_query)
    labels[in_reference[0]] = "lone"
    labels[in_reference[labels[in_reference] == first][:10]] = first.upper()
    labels[in_query[labels[in_query] == second][:5]] = "unheard of"
    cells.obs["cell_type"] = labels
    cells[~is_query].copy().write_h5ad(folder / "reference.h5ad")
    cells[is_query].copy().write_h5ad(folder / "query.h5ad")
    return folder, first


def compare(folder, *more):
    arguments = [
        "--reference",
        folder / "reference.h5ad",
        "--query",
        folder / "query.h5ad",
        "-o",
        folder / "o",
    ]
    return main(["benchmark", *map(str, arguments), *more])


def test_the_command_says_what_is_odd_about_the_labels(odd, capsys):
    folder, first = odd
    assert compare(folder, "--methods", "naive_bayes") == 0
    shown = capsys.readouterr()
    assert "[1/1]" in shown.err
    assert f"differ only in case or spelling in the reference: '{first.upper()}' and '{first}'" in shown.err
    assert "left out of the scores: unheard of (5)" in " ".join(shown.out.split())
    assert "naive_bayes" in shown.out
    table = pd.read_csv(folder / "o" / "results.csv", keep_default_na=False)
    assert not {"lone", "unheard of"} & set(table[table["metric"] == "f1"]["cell_type"])
    accuracy = table[(table["metric"] == "accuracy")]["n_cells"].astype(int).tolist()
    assert accuracy == [80 - 5]
    assert "unheard of (5)" in (folder / "o" / "benchmark.html").read_text()


def test_the_command_ends_well_where_a_method_does_not(odd, capsys):
    folder, _ = odd
    assert compare(folder, "--methods", "naive_bayes,mlp", "--limit-minutes", "0.01") == 0
    shown = capsys.readouterr()
    assert "timeout: stopped after 0.6 s" in shown.err
    assert "1 of them did not end well" in shown.out
    status = pd.read_csv(folder / "o" / "results.csv").groupby("method")["status"].first()
    assert status.to_dict() == {"mlp": "timeout", "naive_bayes": "ok"}
    assert main(["benchmark", "--list"]) == 0
    assert "suite quick" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "quick", "--reference", "x"], "either --suite or --reference"),
        (["--reference", "absent.h5ad"], "neither a data set nor a file"),
        (["--suite", "quick", "--sets", "granja_"], "no set 'granja_'; it has granja"),
        (["--suite", "quick", "--seeds", "a"], "whole numbers such as 0,1,2"),
    ],
)
def test_wrong_options_of_the_command(arguments, message, tmp_path, capsys):
    assert main(["benchmark", *arguments, "-o", str(tmp_path / "o")]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in said
    assert not (tmp_path / "o").exists()
