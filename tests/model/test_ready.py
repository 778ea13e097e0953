"""Ready models: shipped ones, and fetching from a loopback server, a folder and a hub."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from annatac.errors import DamagedFileError, ModelError, OutputError
from annatac.model import Network, artifact, ready
from annatac.pp.universe import Universe, genome_in


@pytest.fixture
def folder(tmp_path):
    """A tiny base model."""
    from annatac.config import Recipe

    names = np.array([f"f{i}" for i in range(30)], dtype=object)
    known = Universe(names=names, n_peaks=np.ones(30, np.int32), mean_openness=np.ones(30, np.float32))
    recipe = Recipe.load("debug")
    made = artifact.Artifact(
        network=Network(30, 0, recipe.model), universe=known, classes=[], recipe=recipe,
        island_settings={}, card="# a card",
    )  # fmt: skip
    artifact.save(made, tmp_path / "served" / "lab" / "blood" / "resolve" / "main")
    return tmp_path / "served" / "lab" / "blood" / "resolve" / "main"


@pytest.fixture
def server(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def rewrite(folder, change):
    config = json.loads((folder / "config.json").read_text())
    config.pop("sha256")
    change(config)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps({**config, "sha256": digest}))


@pytest.mark.parametrize("way", ["hub", "url", "folder"])
def test_fetching(folder, server, tmp_path, monkeypatch, way):
    monkeypatch.setenv("HF_ENDPOINT", server)
    source = {"hub": "lab/blood", "url": f"{server}/lab/blood/resolve/main/", "folder": folder}[way]
    got = ready.fetch(source, tmp_path / "got")
    assert artifact.load(got).model_id == artifact.load(folder).model_id
    assert ready.facts(got)["card"] == "# a card"
    with pytest.raises(OutputError, match="exists already"):
        ready.fetch(source, tmp_path / "got")


def test_a_hub_name_that_does_not_exist(folder, server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server)
    with pytest.raises(ModelError, match=r"answers 404 .* config\.json: there is no such model"):
        ready.fetch("lab/blod", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_an_altered_or_interrupted_download_leaves_nothing(folder, server, tmp_path):
    weights = folder / "model.safetensors"
    for content in (
        weights.read_bytes()[:-9],
        weights.read_bytes()[:-1] + b"x",
        weights.read_bytes() + b"more",
    ):
        weights.write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"model\.safetensors .* altered or incomplete"):
            ready.fetch(f"{server}/lab/blood/resolve/main", tmp_path / "got")
        assert not [p for p in tmp_path.iterdir() if p.name != "served"]


def test_a_server_that_hangs_up(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as stopped:
        port = stopped.server_port
    with pytest.raises(DamagedFileError, match="could not be fetched whole"):
        ready.fetch(f"http://127.0.0.1:{port}/model", tmp_path / "got")
    assert not list(tmp_path.iterdir())


def test_files_outside_the_folder_are_refused(folder, server, tmp_path):
    rewrite(folder, lambda config: config["files"].update({"../evil": {"bytes": 1, "sha256": ""}}))
    with pytest.raises(ModelError, match=r"lists '\.\./evil', which is no file of a model folder"):
        ready.fetch(folder, tmp_path / "got")
    assert not [p for p in tmp_path.iterdir() if p.name != "served"]


def test_names_and_paths(tmp_path):
    with pytest.raises(ModelError, match=r"no ready model has that name"):
        ready.find(tmp_path / "nowhere")
    for name in ready.names():
        assert ready.facts(name)["bytes"] < 15e6
        assert ready.facts(name)["card"].startswith(f"# {name}")


def test_what_ships_loads():
    if "human-base" not in ready.names():
        pytest.skip("human-base does not ship with this build")
    base = artifact.load(ready.find("human-base"))
    assert base.universe.genome == "hg19"
    assert base.classes == []
    assert ready.facts("human-base")["genomes"] == ["hg19", "hg38"]


def test_the_assembly_is_read_from_the_first_line_alone(folder):
    assert genome_in(folder / "islands.tsv.gz") is None
    assert ready.facts(folder)["genomes"] == []
    (folder / "islands.tsv.gz").write_bytes(gzip.compress(b"name\tchrom\n"))
    with pytest.raises(ModelError, match=r"islands\.tsv\.gz is not a table of islands"):
        ready.facts(folder)
