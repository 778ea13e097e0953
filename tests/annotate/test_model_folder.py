"""The model folder: saved and loaded to the bit, and every file of it guarded."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.numpy import load_file

import annatac
from annatac import tl
from annatac.annotate import reference
from annatac.config import Recipe
from annatac.errors import ModelError, OutputError
from annatac.model import artifact

FILES = (
    "config.json", "model.safetensors", "islands.tsv.gz", "labels.json", "calibration.json", "calibration.safetensors",
    "reference.safetensors", "training.yaml", "metrics.json", "run.jsonl",
)  # fmt: skip


def test_the_folder_holds_what_the_documents_list(model_folder):
    assert {path.name for path in model_folder.iterdir()} == {*FILES, "README.md"}


def test_save_load_predict_is_identical(annotator, query, tmp_path, types):
    tokens, _ = annotator.tokens(query)
    before = annotator.predict(tokens)
    annotator.save(tmp_path / "copy")
    again = annatac.load(tmp_path / "copy")
    after = again.predict(tokens)
    assert np.array_equal(before.probabilities, after.probabilities)
    assert np.array_equal(before.embedding, after.embedding)
    assert again.classes == annotator.classes == types
    assert again.artifact.model_id == annotator.artifact.model_id
    assert again.artifact.recipe == annotator.artifact.recipe
    for name in FILES:
        assert (tmp_path / "copy" / name).read_bytes() is not None
    second = tmp_path / "copy" / "model.safetensors"
    again.save(tmp_path / "third")
    assert (tmp_path / "third" / "model.safetensors").read_bytes() == second.read_bytes()


def test_what_finetune_returns_predicts_as_what_it_saved(query, tmp_path, debug_reference):
    model = annatac.finetune(debug_reference, label_key="cell_type", output=tmp_path / "m", recipe="debug")
    tokens, _ = model.tokens(query)
    saved = annatac.load(tmp_path / "m").predict(tokens)
    assert np.array_equal(model.predict(tokens).probabilities, saved.probabilities)


@pytest.fixture
def debug_reference():
    from annatac.simulate import simulate_cells

    return simulate_cells(320, cell_types=3, n_islands=250, open_islands=70, seed=1)[:100].copy()


def test_a_budget_of_islands_is_the_same_once_saved(query, tmp_path, debug_reference):
    """The order in which islands are kept is no weight: it is made anew from the profiles as they are stored."""
    model = annatac.finetune(
        debug_reference, label_key="cell_type", output=tmp_path / "m", recipe=with_budget(15)
    )
    tokens, _ = model.tokens(query)
    assert (np.diff(tokens.indptr) > 15).all()
    saved = annatac.load(tmp_path / "m")
    found = model.predict(tokens)
    assert np.array_equal(found.embedding, saved.predict(tokens).embedding)
    saved.artifact.network.budget = None
    assert not np.allclose(found.embedding, saved.predict(tokens).embedding, atol=1e-4)


def with_budget(max_open: int) -> Recipe:
    recipe = Recipe.load("debug")
    return replace(recipe, model=replace(recipe.model, max_open=max_open))


def test_a_model_from_before_there_was_a_budget_sees_all(model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    config.pop("sha256")
    assert config["model"].pop("max_open") == 512
    config["sha256"] = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    old = annatac.load(tmp_path / "old").artifact
    assert old.network.budget is None
    assert old.recipe.model.max_open == 0


def test_rows_of_islands_are_stored_in_8_bits(model_folder):
    model = annatac.load(model_folder).artifact
    n_islands, n_types = len(model.universe), len(model.classes)
    stored = {}
    for name in ("model", "calibration", "reference"):
        stored |= load_file(model_folder / f"{name}.safetensors")
    of_islands = {name: tuple(value.shape) for name, value in stored.items() if n_islands in value.shape}
    n_dimensions = model.network.config.position_dim
    assert of_islands == {
        "encoder.table.vectors.codes": (n_islands, n_dimensions),
        "wide.linear.codes": (n_islands, n_types),
        "wide.profile.codes": (n_islands, n_types),
        "log_ratios.codes": (n_islands, n_types + 1),  # the last: what the ratios are held against
        "profiles.codes": (n_islands, n_types),
        "wide.idf": (n_islands,),
    }
    assert all(stored[name].dtype == np.uint8 for name in of_islands if name.endswith(".codes"))


def test_a_model_of_format_version_1_is_read(model_folder, tmp_path, query):
    """Tables in 16 bits, the reference's profiles as types x islands, no constants by depth: what version 1 wrote."""
    model = annatac.load(model_folder)
    wide = model.artifact.network.wide
    wide.typical_open = wide.prior = None
    shutil.copytree(model_folder, tmp_path / "old")
    tables = {
        name: value.half() if value.ndim == 2 else value
        for name, value in model.artifact.network.state_dict().items()
    }
    artifact.save_file(tables, tmp_path / "old" / "model.safetensors")
    artifact.save_file(model.artifact.reference, tmp_path / "old" / "reference.safetensors")
    artifact.save_file(model.artifact.held_out, tmp_path / "old" / "calibration.safetensors")
    config = json.loads((model_folder / "config.json").read_text()) | {"version": 1}
    config.pop("sha256")
    for name in ("model", "reference", "calibration"):
        file = tmp_path / "old" / f"{name}.safetensors"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        config["files"][file.name] = {"bytes": file.stat().st_size, "sha256": digest}
    config["sha256"] = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    old = annatac.load(tmp_path / "old")
    assert torch.equal(old.artifact.reference["profiles"], model.artifact.reference["profiles"])
    tokens, _ = model.tokens(query)
    np.testing.assert_allclose(
        old.predict(tokens).probabilities, model.predict(tokens).probabilities, atol=5e-3
    )
    old.save(tmp_path / "saved again")
    again = annatac.load(tmp_path / "saved again")
    assert again.artifact.model_id == old.artifact.model_id
    assert again.artifact.network.wide.prior is None


def test_the_reference_that_is_kept(annotator, debug_reference, tmp_path):
    from annatac.pp import peak_islands

    kept = annotator.artifact.reference
    n_types, n_islands = len(annotator.classes), len(annotator.artifact.universe)
    assert kept["profiles"].shape == (n_types, n_islands)
    assert kept["n_cells"].tolist() == list(annotator.artifact.training["cells_per_type"].values())
    assert len(kept["sample_indptr"]) == len(kept["sample_labels"]) + 1
    assert np.bincount(kept["sample_labels"]).max() <= 100
    model = annatac.finetune(
        debug_reference, label_key="cell_type", output=tmp_path / "m", recipe="debug", keep_reference=False
    )
    assert not (tmp_path / "m" / "reference.safetensors").exists()
    assert annatac.load(tmp_path / "m").artifact.reference == {}
    with_it = annatac.finetune(debug_reference, label_key="cell_type", output=tmp_path / "n", recipe="debug")
    x = peak_islands(debug_reference).X.toarray() > 0
    at = debug_reference.obs["cell_type"].astype(str).to_numpy() == model.classes[1]
    known = with_it.artifact.universe.index_of(peak_islands(debug_reference).var_names)
    shares = x[at].mean(0)[known >= 0]
    np.testing.assert_allclose(with_it.artifact.reference["profiles"][1], shares, atol=1e-3)
    again = annatac.load(tmp_path / "n").artifact.reference
    assert all(torch.equal(value, again[name]) for name, value in with_it.artifact.reference.items())


def test_few_deep_cells_of_a_reference_are_kept(monkeypatch):
    monkeypatch.setattr(reference, "MAX_OPEN", 100)
    tokens = sp.csr_matrix((np.random.default_rng(0).random((60, 40)) < 0.5).astype(np.uint8))
    labels = np.arange(60) % 2
    kept = reference.reference_tensors(tokens, labels, 2, 0)
    assert len(kept["sample_islands"]) <= 100
    assert np.bincount(kept["sample_labels"]).min() >= 2
    monkeypatch.setattr(reference, "MAX_OPEN", 2)
    kept = reference.reference_tensors(tokens, labels, 2, 0)
    assert sorted(kept["sample_labels"].tolist()) == [0, 1]  # a cell a type, however deep


# ------------------------------------------------------------------------------------- bad folders


def refused(folder: Path, name: str, words: str | None = None) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        annatac.load(folder)
    assert name in str(caught.value), f"the message names {name}: {caught.value}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(broken, name):
    (broken / name).unlink()
    refused(broken, name)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(broken, name):
    whole = (broken / name).read_bytes()
    (broken / name).write_bytes(whole[: len(whole) // 2])
    refused(broken, name)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_is_named(broken, name):
    (broken / name).write_bytes(b"")
    refused(broken, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_an_altered_byte_is_named(broken, name, where):
    content = bytearray((broken / name).read_bytes())
    content[int(where * len(content))] ^= 1
    (broken / name).write_bytes(content)
    refused(broken, name)


@pytest.mark.parametrize("name", sorted(set(FILES) - {"config.json", "labels.json", "calibration.json"}))
def test_a_file_of_another_model_is_named(broken, other, name):
    content = (other / name).read_bytes()
    if content == (broken / name).read_bytes():
        pytest.skip("the two models have this file in common")
    (broken / name).write_bytes(content)
    refused(broken, name, "altered or damaged")


def test_the_config_of_another_model(broken, other):
    (broken / "config.json").write_bytes((other / "config.json").read_bytes())
    refused(broken, "was altered or damaged", "Copy the model folder again")


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_islands", 7), ("n_types", 2), ("islands", {"bin_size": 1000}), ("model", {"depth_exponent": 0.5})],
)
def test_changed_settings_are_seen(broken, key, value):
    """depth_exponent changes every prediction, and no size or tensor would betray it."""
    config = json.loads((broken / "config.json").read_text())
    config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (broken / "config.json").write_text(json.dumps(config))
    refused(broken, "config.json", "altered")


def forge(folder: Path, **changes) -> None:
    """Change config.json and its checksum, as a forger would."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("sha256")
    config |= changes
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps({**config, "sha256": digest}))


def test_a_newer_version_is_named(broken):
    forge(broken, version=4, annatac="9.1")
    refused(broken, str(broken), r"format version 4, this annatac .* reads versions 1, 2, 3.*\(9.1\)")


def test_a_folder_of_another_program(broken):
    forge(broken, format="bert")
    refused(broken, "config.json", "not that of an annatac model")
    (broken / "config.json").write_text("[]")
    refused(broken, "config.json", "not that of an annatac model")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "..", "."])
def test_files_outside_the_folder_are_never_read(broken, name):
    secret = broken.parent / "secret"
    secret.write_text("s")
    config = json.loads((broken / "config.json").read_text())
    facts = {"bytes": 1, "sha256": hashlib.sha256(b"s").hexdigest()}
    forge(broken, files={**config["files"], name: facts})
    refused(broken, name)


def test_weights_that_do_not_fit(broken):
    config = json.loads((broken / "config.json").read_text())
    forge(broken, model={**config["model"], "width": 16})
    refused(broken, "model.safetensors", r"does not fit its config.json.*instead of")
    forge(broken, model={**config["model"], "wide": False})
    refused(broken, "model.safetensors", r"foreign \['readout.bias'")
    forge(broken, model={**config["model"], "colour": 1})
    refused(broken, "config.json", "unknown key 'colour'")


def test_a_list_of_files_that_lacks_one(broken):
    config = json.loads((broken / "config.json").read_text())
    del config["files"]["labels.json"]
    forge(broken, files=config["files"])
    refused(broken, "labels.json", "does not list")


def test_an_island_too_many(broken):
    forge(broken, n_islands=10)
    refused(broken, "config.json", "speaks of 10 islands and 3 types")


def test_no_model_there(tmp_path, broken):
    refused(tmp_path / "none", "none", "it does not exist")
    refused(broken / "labels.json", "labels.json", "it is a file")
    refused(tmp_path, "config.json", "is no model folder")


def test_a_base_model_names_no_types(base_folder, query):
    with pytest.raises(ModelError, match=r"This is a base model.*annatac finetune"):
        annatac.load(base_folder)
    with pytest.raises(ModelError, match="This is a base model"):
        tl.annotate(query, base_folder)
    assert "annatac_label" not in query.obs


def test_the_card_may_be_edited(broken):
    (broken / "README.md").write_text("my notes")
    assert annatac.load(broken).artifact.card == "my notes"
    (broken / "README.md").unlink()
    assert annatac.load(broken).artifact.card == ""


def test_the_card_says_what_it_is(annotator, types):
    card = annotator.artifact.card
    assert all(name.replace("|", "\\|") in card for name in types)
    assert "on hg38" in card
    assert annotator.artifact.model_id in card
    assert f"{annotator.artifact.metrics['held_out']['accuracy']:.3f}" in card


def test_an_existing_folder_is_kept(annotator, broken):
    before = (broken / "config.json").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        annotator.save(broken)
    assert (broken / "config.json").read_bytes() == before
    annotator.save(broken, overwrite=True)
    annatac.load(broken)


def test_the_tables_survive_16_bits(annotator):
    network = annotator.artifact.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    artifact.quantise(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
