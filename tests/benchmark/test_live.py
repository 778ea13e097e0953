"""Published packages out of process: what goes between, environments that are absent, agreement where one is there."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from annatac.benchmark import environments, live
from annatac.benchmark.environments import ENVIRONMENTS, Environment, is_ready, set_up
from annatac.benchmark.live import Live
from annatac.benchmark.method import method, methods
from annatac.benchmark.methods.celltypist import CellTypist
from annatac.benchmark.results import read_outcome, tidy
from annatac.benchmark.runner import run_tasks
from annatac.benchmark.suite import SetConfig, Suite
from annatac.benchmark.tasks import Task
from annatac.benchmark.worker import run_task
from annatac.cli import main
from annatac.errors import ConfigError, InputError, MissingDependencyError
from annatac.simulate import simulate_cells

SCRIPT = """
import numpy as np
from exchange import read, write_labels
reference, query, content = read()
assert content["settings"] == {"n": 1} and reference.shape[1] == query.shape[1] == len(content["features"])
names = sorted(set(content["labels"]))
labels = np.array(content["labels"])
centres = np.vstack([np.asarray(reference[labels == name].mean(axis=0)) for name in names])
write_labels([names[i] for i in (query @ centres.T).argmax(1)], names)
"""


@pytest.fixture(scope="module")
def cells():
    return simulate_cells(240, cell_types=3, n_islands=400, open_islands=60, donors=3)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A cache without an environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def environment_here(nowhere, monkeypatch, tmp_path):
    """An environment that is this Python, and a folder of scripts with ``exchange.py``."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "exchange.py").write_text((live.SCRIPTS / "exchange.py").read_text())
    monkeypatch.setattr(live, "SCRIPTS", scripts)
    monkeypatch.setitem(ENVIRONMENTS, "mine", lambda: Environment(about="", steps=()))
    place = nowhere / "annatac" / "rivals" / "mine"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "environment.json").write_text(json.dumps({"steps": []}))
    return scripts


def test_a_script_gets_the_cells_and_leaves_its_calls(cells, environment_here):
    (environment_here / "nearest.py").write_text(SCRIPT)
    made = Live("mine", "nearest", features="peaks", n=1)
    made.fit(cells, "cell_type", "donor", 0)
    probabilities, classes = made.predict(cells)
    assert classes == sorted(set(cells.obs["cell_type"]))
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities.sum(1), 1)
    truth = cells.obs["cell_type"].to_numpy(dtype=object)
    assert (np.array(classes, dtype=object)[probabilities.argmax(1)] == truth).mean() > 0.5
    with pytest.raises(InputError, match="differ in their peaks"):
        made.predict(cells[:, ::-1])


def test_a_script_that_fails_says_why(cells, environment_here):
    (environment_here / "broken.py").write_text("raise SystemExit('no such option')")
    made = Live("mine", "broken", features="peaks")
    made.fit(cells, "cell_type", None, 0)
    with pytest.raises(InputError, match="broken ended with code 1: no such option"):
        made.predict(cells[:5])


def test_a_method_without_its_environment_is_recorded_and_the_rest_goes_on(cells, nowhere, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    one = SetConfig(name="sim", reference=str(tmp_path / "cells.h5ad"))
    tasks = [Task(set=one, method=name, kind="split") for name in ("singler_live", "naive_bayes")]
    told = []
    paths = run_tasks(tasks, tmp_path / "out", on_done=told.append)
    assert [read_outcome(path)["status"] for path in paths] == ["not_set_up", "ok"]
    assert "`annatac benchmark --setup` makes it" in read_outcome(paths[0])["error"]
    assert [one.n_done for one in told] == [1, 2]
    assert set(tidy(paths)["status"]) == {"not_set_up", "ok"}
    run_tasks(tasks, tmp_path / "out", on_done=told.append)
    assert len(told) == 3, "it is asked for again, what ended well is not"
    with pytest.raises(MissingDependencyError, match="'singler' is not set up"):
        method("singler_live").make().fit(cells, "cell_type", None, 0)


def test_an_environment_is_whole_or_gone(nowhere, monkeypatch):
    """pip is asked for a package that cannot be: nothing is left, and the next call tries again."""
    absent = ("--no-index", "annatac-no-such-package==0")
    monkeypatch.setitem(ENVIRONMENTS, "mine", lambda: Environment(about="", steps=(absent,)))
    ran = []

    def without_venv(command, name):
        ran.append(command)
        if command[1:3] == ["-m", "venv"]:
            place = environments.python_of(name)
            place.parent.mkdir(parents=True)
            place.symlink_to(sys.executable)
            return ""
        return real(command, name)

    real = environments._run
    monkeypatch.setattr(environments, "_run", without_venv)
    with pytest.raises(InputError, match=r"could not be made: .*annatac-no-such-package"):
        set_up("mine")
    assert not (nowhere / "annatac" / "rivals" / "mine").exists()
    monkeypatch.setitem(ENVIRONMENTS, "mine", lambda: Environment(about="", steps=()))
    place = set_up("mine")
    assert is_ready("mine")
    assert json.loads((place / "environment.json").read_text())["steps"] == []
    n = len(ran)
    set_up("mine")
    assert len(ran) == n, "it is there: nothing is run"
    monkeypatch.setitem(ENVIRONMENTS, "mine", lambda: Environment(about="", steps=(("x==2",),)))
    assert not is_ready("mine"), "other pins are wished now"
    with pytest.raises(ConfigError, match="Did you mean 'mine'"):
        set_up("mime")


def test_every_live_method_has_an_environment_a_script_and_pins():
    specs = {name: spec for name, spec in methods().items() if spec.source == "live"}
    assert {spec.environment for spec in specs.values()} == set(ENVIRONMENTS)
    for spec in specs.values():
        assert (live.SCRIPTS / f"{spec.make().script}.py").is_file()
    for name in ENVIRONMENTS:
        words = [word for step in ENVIRONMENTS[name]().steps for word in step if not word.startswith("-")]
        assert any("==" in word for word in words), f"{name} pins nothing"
    assert set(specs) <= set(Suite.load("full").methods)


def test_the_command_refuses_what_needs_no_environment(capsys):
    assert main(["benchmark", "--setup", "--methods", "logistic"]) == 2
    assert "'logistic' needs no environment; these do: singler_live" in capsys.readouterr().err


def test_celltypist_keeps_the_features_that_its_first_pass_weighs_most(cells):
    made = CellTypist()
    made.n_top = 5
    made.fit(cells, "cell_type", None, 0)
    assert 5 <= len(made.chosen) <= 15
    probabilities, classes = made.predict(cells)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert len(classes) == 3


@pytest.mark.slow
@pytest.mark.dataset("schep2017_lines", "hg19_genes")
@pytest.mark.parametrize("name", ["singler", "celltypist"])
def test_ours_agrees_with_the_package(name):
    """Where its environment is set up; perf/agreement.py records more pairs and sets."""
    if not is_ready(method(f"{name}_live").environment):
        pytest.skip(f"the environment of {name} is not set up (annatac benchmark --setup)")
    one = next(one for one in Suite.load("full").sets if one.name == "schep")
    ours, theirs = (
        run_task(Task(set=one, method=method, kind="split"))["scores"]["accuracy"][0]
        for method in (name, f"{name}_live")
    )
    assert abs(ours - theirs) <= 0.02
