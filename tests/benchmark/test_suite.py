"""Suites are read strictly; tasks are all different and come in an order that says something early."""

from __future__ import annotations

import json

import pytest
import yaml

from annatac.benchmark import one_set
from annatac.benchmark.suite import ProtocolConfig, SetConfig, Suite, suite_names
from annatac.benchmark.tasks import Task, tasks_of
from annatac.errors import ConfigError

ONE = {"methods": ["logistic"], "sets": [{"name": "a", "reference": "a.h5ad"}]}


def written(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_is_valid_and_described(name):
    suite = Suite.load(name)
    assert suite.description
    tasks = tasks_of(suite, lambda one: ["x", "y"])
    assert len({task.id for task in tasks}) == len(tasks)


def test_a_file_of_ones_own(tmp_path):
    suite = Suite.load(written(tmp_path, ONE))
    assert suite.name == "mine"
    assert suite.sets[0].n_folds == 5
    assert [protocol.kind for protocol in suite.protocols] == ["split"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["logstic"]}, "Unknown method 'logstic'.*Did you mean 'logistic'"),
        ({"seed": [0]}, "unknown key 'seed'.*Did you mean 'seeds'"),
        ({"methods": ["logistic", "logistic"]}, "names methods twice: logistic"),
        ({"sets": [{"name": "a/b", "reference": "x"}]}, "'a/b' cannot be the name of a set"),
        ({"sets": [{"name": "a", "reference": "x", "held_out": ["p"]}]}, "names no batch_key"),
        ({"sets": [{"name": "a", "reference": "x", "folds": [5]}]}, "fold 5 of 5"),
        ({"sets": [{"name": "a", "reference": "x", "types": {"b": 1}}]}, "types.b is 1; a value of type str"),
        ({"protocols": [{"kind": "label_noise"}]}, "needs levels"),
        ({"protocols": [{"kind": "depth", "levels": [1.5]}]}, "shares over 0 and up to 1"),
        ({"protocols": [{"kind": "depht", "levels": [0.5]}]}, "Did you mean 'depth'"),
        ({"protocols": [{"kind": "split", "sets": ["b"]}]}, "names the set 'b', which the suite lacks"),
        ({"seeds": [-1]}, "The seed is -1"),
    ],
)
def test_a_wrong_suite_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        Suite.load(written(tmp_path, ONE | change))


def test_an_unknown_suite_names_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"No suite 'quik': shipped ones are .*Did you mean 'quick'"):
        Suite.load("quik")


def test_tasks_by_hand():
    suite = Suite(
        methods=("logistic", "naive_bayes"),
        single_seed=("naive_bayes",),
        seeds=(3, 4),
        sets=(
            SetConfig(name="a", reference="a.h5ad", folds=(0, 2)),
            SetConfig(name="b", reference="b.h5ad"),
        ),
        protocols=(
            ProtocolConfig(kind="split"),
            ProtocolConfig(kind="rare", sets=("b",), methods=("logistic",)),
            ProtocolConfig(
                kind="label_noise", levels=(0.1, 0.2), repeats=2, sets=("b",), methods=("logistic",)
            ),
        ),
    )
    tasks = tasks_of(suite, lambda one: ["T/x", "B"])
    split = [task for task in tasks if task.kind == "split"]
    assert len(split) == 3 * (2 + 1)  # splits x (seeds of logistic + the one of naive Bayes)
    assert {task.seed for task in split if task.method == "naive_bayes"} == {3}
    assert tasks[: len(split)] == split, "the cheap protocol comes first"
    assert [task.seed for task in split[:6]] == [3] * 6, "the first seed of all comes before the second"
    assert {task.cell_type for task in tasks if task.kind == "rare"} == {"T/x", "B"}
    assert sum(task.kind == "label_noise" for task in tasks) == 2 * 2 * 2  # levels x repeats x seeds
    assert all("/" not in task.id for task in tasks), "types are data: they are in no file name"
    assert len({task.id for task in tasks}) == len(tasks)


def test_a_task_survives_json():
    config = SetConfig(name="a", reference="a.h5ad", types={"CMP/LMPP": "progenitor"})
    task = Task(set=config, method="logistic", kind="rare", cell_type="CMP/LMPP", level=1.0)
    again = Task.from_dict(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert again.id == task.id


def test_one_set_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(one_set.sets, "n_batches", lambda config: 3)
    suite = one_set.suite_of_one("data/my cells.h5ad", batch_key="donor")
    assert suite.sets[0].name == "my-cells"
    assert suite.sets[0].folds == (0, 1, 2), "each donor is held out once"
    study = one_set.suite_of_one("a.h5ad", query="b.h5ad", batch_key="donor")
    assert (study.sets[0].query, study.sets[0].folds) == ("b.h5ad", (0,))
