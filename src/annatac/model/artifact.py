"""The model folder: plain tensors, tables and JSON, each with its size and checksum. No pickle, no code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from annatac import __version__
from annatac.config import ModelConfig, Recipe, from_dict
from annatac.errors import ConfigError, ModelError
from annatac.io.atomic import atomic_dir
from annatac.model.network import Network
from annatac.model.packing import packed, rounded, table_bits, unpacked
from annatac.pp import places
from annatac.pp.universe import Universe

FORMAT = "annatac model"
VERSION = 3
# 1: tables in 16 bits, a reference without limit; 1, 2: a wide path whose constants know nothing of depth
READABLE = (1, 2, 3)
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ISLANDS = "islands.tsv.gz"
LABELS = "labels.json"
CALIBRATION = "calibration.json"
HELD_OUT = "calibration.safetensors"
REFERENCE = "reference.safetensors"
TRAINING = "training.yaml"
METRICS = "metrics.json"
MISLABELLED = "mislabelled.tsv"
CARD = "README.md"
RUN_LOG = "run.jsonl"
VECTORS = "encoder.table.vectors"
SINCE_3 = {"wide.prior", "wide.typical_open"}
WIDE = ("wide.linear", "wide.profile")  # one row an island, as are the next two
RATIOS, PROFILES = "log_ratios", "profiles"  # of the held-out cells' evidence and of the reference
HALF = (VECTORS, "wide.idf")  # stored in 16 bits where they are not packed
SCALE = (
    VECTORS + ".scale"
)  # of a base model, whose vectors are stored in 8 bits: what a column's unit is worth


@dataclass
class Artifact:
    """All that a model folder holds.

    Attributes
    ----------
    network
        On the CPU, in evaluation mode.
    universe
        Its islands.
    classes
        The C types in the order of the logits; empty for a base model.
    recipe
        With every setting resolved.
    island_settings
        How islands are made from peaks: ``bin_size``, ``assign``, ``openness``.
    reference
        Profiles of the types and a sample of tokens, or empty.
    class_ids
        Cell Ontology id of each type, '' where none is known; empty for a base model.
    hierarchy
        The types' ancestors as plain values (:class:`annatac.annotate.hierarchy.Hierarchy`), or empty.
    calibration, held_out
        What was learnt from reference cells that the network has not seen, as plain values and as tensors
        (:class:`annatac.annotate.trust.Trust`); ``{'method': 'none'}`` and empty where there were too few.
    places
        By assembly, where the universe's peaks lie there (:mod:`annatac.pp.places`).
    mislabelled
        Reference cells that were not learnt from: ``cell``, ``label``, ``looks_like``, ``probability_right``; or None.
    metrics, training
        Figures of the held-out cells, and what it was trained on.
    card
        README.md, the model card.
    """

    network: Network
    universe: Universe
    classes: list[str]
    recipe: Recipe
    island_settings: dict[str, Any]
    reference: dict[str, Tensor] = field(default_factory=dict)
    class_ids: list[str] = field(default_factory=list)
    hierarchy: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=lambda: {"method": "none"})
    held_out: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, pd.DataFrame] = field(default_factory=dict)
    mislabelled: pd.DataFrame | None = None
    card: str = ""
    run_log: str = ""

    @property
    def model_id(self) -> str:
        """A short name for these weights: the first 12 digits of their checksum."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()[:12]


def quantise(network: Network) -> None:
    """Round the per-island tables to the 16, 8 or 4 bits they are stored in, so that saving changes nothing."""
    state, bits = network.state_dict(), _bits(network)
    for name in (*bits, *(name for name in HALF if name in state.keys() - bits.keys())):
        state[name].copy_(rounded(state[name], bits[name]) if name in bits else state[name].half().float())
    if network.n_types == 0:
        vectors, scale = _in_8_bits(state[VECTORS].cpu())
        state[VECTORS].copy_(vectors.float() * scale)
    network.rank_islands()


def save(artifact: Artifact, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the model folder, whole or not at all.

    Raises
    ------
    OutputError
        It exists and ``overwrite`` is false, the place is not writable, or the disk is full.
    """
    with atomic_dir(path, overwrite=overwrite) as folder:
        save_file(_stored(artifact.network), folder / WEIGHTS)
        artifact.universe.save(folder / ISLANDS)
        _write_json(folder / LABELS, _labels(artifact))
        _write_json(folder / CALIBRATION, artifact.calibration)
        _write_json(folder / METRICS, artifact.metrics)
        training = {"recipe": _plain(asdict(artifact.recipe)), **_plain(artifact.training)}
        (folder / TRAINING).write_text(yaml.safe_dump(training, sort_keys=False), encoding="utf-8")
        (folder / CARD).write_text(artifact.card, encoding="utf-8")
        (folder / RUN_LOG).write_text(artifact.run_log, encoding="utf-8")
        bits = dict.fromkeys((RATIOS, PROFILES), table_bits(len(artifact.universe)))
        for name, tensors in ((HELD_OUT, artifact.held_out), (REFERENCE, artifact.reference)):
            if tensors:
                save_file(packed(_turned(tensors), bits), folder / name)
        if artifact.mislabelled is not None:
            artifact.mislabelled.to_csv(folder / MISLABELLED, sep="\t", index=False, float_format="%.3g")
        for genome, table in artifact.places.items():
            places.save_places(table, folder / places.file_of(genome))
        files = sorted(path for path in folder.iterdir() if path.name != CARD)
        config = {
            "format": FORMAT,
            "version": VERSION,
            "annatac": __version__,
            "n_islands": len(artifact.universe),
            "n_types": len(artifact.classes),
            "model": _plain(asdict(artifact.network.config)),
            "islands": artifact.island_settings,
            "files": {file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files},
        }
        _write_json(folder / CONFIG, {**config, "sha256": _sha256_of(config)})


def load(path: str | Path) -> Artifact:
    """Read and check a model folder.

    Raises
    ------
    ModelError
        No model folder, another version, or a file that is missing, damaged, foreign or altered.
    """
    path = Path(path)
    config = read_config(path)
    _check_files(path, config)
    try:
        before = {"max_open": 0}  # there was no budget yet
        model = from_dict(ModelConfig, before | config["model"], where=f"{path / CONFIG}: model")
        training = yaml.safe_load((path / TRAINING).read_text(encoding="utf-8"))
        recipe = from_dict(Recipe, training.pop("recipe"), where=f"{path / TRAINING}: recipe")
    except (ConfigError, yaml.YAMLError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} was not written by this version of annatac: {error}") from error
    universe = Universe.load(path / ISLANDS)
    labels = _read_json(path / LABELS)
    classes = [entry["name"] for entry in labels["types"]]
    if len(universe) != config["n_islands"] or len(classes) != config["n_types"]:
        raise ModelError(
            f"{path}: {CONFIG} speaks of {config['n_islands']:,} islands and {config['n_types']} types, "
            f"found {len(universe):,} and {len(classes)}. The folder mixes two models: copy it again."
        )
    elsewhere = {genome: name for name in config["files"] if (genome := places.genome_of(name))}
    network = Network(len(universe), len(classes), model)
    _load_weights(network, path / WEIGHTS)
    return Artifact(
        network=network.eval(),
        universe=universe,
        classes=classes,
        recipe=replace(recipe, model=model),
        island_settings=config["islands"],
        class_ids=[entry.get("ontology_id", "") for entry in labels["types"]],
        hierarchy=labels.get("hierarchy", {}),
        reference=_of_reference(path, config["version"]) if REFERENCE in config["files"] else {},
        metrics=_read_json(path / METRICS),
        training=training,
        calibration=_read_json(path / CALIBRATION),
        held_out=_tensors(path / HELD_OUT) if HELD_OUT in config["files"] else {},
        mislabelled=_mislabelled(path / MISLABELLED) if MISLABELLED in config["files"] else None,
        places={genome: places.load_places(path / name) for genome, name in elsewhere.items()},
        card=(path / CARD).read_text(encoding="utf-8") if (path / CARD).is_file() else "",
        run_log=(path / RUN_LOG).read_text(encoding="utf-8"),
    )


def _mislabelled(path: Path) -> pd.DataFrame:
    names = dict.fromkeys(("cell", "label", "looks_like"), str)
    return pd.read_csv(path, sep="\t", dtype=names, keep_default_na=False)


def _labels(artifact: Artifact) -> dict[str, Any]:
    ids = artifact.class_ids or [""] * len(artifact.classes)
    types = [
        {"name": name} | ({"ontology_id": one} if one else {})
        for name, one in zip(artifact.classes, ids, strict=True)
    ]
    return {"types": types} | ({"hierarchy": artifact.hierarchy} if artifact.hierarchy else {})


def _stored(network: Network) -> dict[str, Tensor]:
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    packed_state = packed(state, _bits(network))
    stored = {name: value.half() if name in HALF else value for name, value in packed_state.items()}
    if network.n_types == 0:  # a base knows many islands, and its vectors are all that is large
        stored[VECTORS], stored[SCALE] = _in_8_bits(state[VECTORS])
    return stored


def _bits(network: Network) -> dict[str, int]:
    """Return the tables that are packed, and in how many bits; published forms and trained positions are not."""
    if network.n_types == 0 or not network.config.thin:
        return {}
    tables = [
        *(WIDE if network.wide is not None else ()),
        *([VECTORS] if network.config.position == "fixed" else ()),
    ]
    return dict.fromkeys(tables, table_bits(network.n_islands))


def _turned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the reference's tensors with its profiles as islands x types, or the reverse."""
    return {name: value.T.contiguous() if name == PROFILES else value for name, value in tensors.items()}


def _of_reference(path: Path, version: int) -> dict[str, Tensor]:
    tensors = _tensors(path / REFERENCE)
    return tensors if version == 1 else _turned(tensors)


def _in_8_bits(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 (L, R) and the scale of each column, a power of 2: rounding twice changes nothing."""
    largest = vectors.abs().amax(0)
    scale = torch.where(largest > 0, torch.exp2(torch.ceil(torch.log2(largest / 127))), 1.0)
    return torch.round(vectors / scale).to(torch.int8).contiguous(), scale


def _load_weights(network: Network, path: Path) -> None:
    tensors = {name: value.float() for name, value in _tensors(path).items()}
    if SCALE in tensors and VECTORS in tensors:
        scale = tensors.pop(SCALE)
        if scale.shape != tensors[VECTORS].shape[1:]:
            raise ModelError(f"{path} holds {SCALE} of another length than {VECTORS}: copy the folder again.")
        tensors[VECTORS] = tensors[VECTORS] * scale
    if network.wide is not None and not SINCE_3 & tensors.keys():  # of format 1 or 2, or saved again
        network.wide.prior = network.wide.typical_open = None
    expected = network.state_dict()
    missing, foreign = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    if missing or foreign or shapes:
        raise ModelError(
            f"{path} does not fit its {CONFIG}: missing {missing or 'nothing'}, foreign {foreign or 'nothing'}, of "
            f"another shape {shapes or 'none'}. The folder mixes two models: copy it again."
        )
    network.load_state_dict(tensors)
    network.rank_islands()


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return unpacked(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Copy the model folder again.") from error


def read_config(path: Path) -> dict[str, Any]:
    """Return config.json of a model folder, held against its checksum.

    Raises
    ------
    ModelError
        No model folder, another version, or altered.
    """
    if not path.is_dir():
        found = "it is a file" if path.is_file() else "it does not exist"
        raise ModelError(f"No model at {path}: {found}. Give the folder that `annatac finetune -o` wrote.")
    if not (path / CONFIG).is_file():
        raise ModelError(
            f"{path} is no model folder: it has no {CONFIG}. Give the folder that `annatac finetune -o` "
            "wrote."
        )
    config = _read_json(path / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ModelError(f"{path / CONFIG} is not that of an annatac model (no format '{FORMAT}').")
    if config.get("version") not in READABLE:
        raise ModelError(
            f"{path} has format version {config.get('version')}, this annatac {__version__} reads versions "
            f"{', '.join(map(str, READABLE))}. Install the annatac that wrote it ({config.get('annatac')}), or "
            "train it again."
        )
    needed = {"n_islands", "n_types", "model", "islands", "files", "annatac", "sha256"}
    if needed - config.keys():
        raise ModelError(
            f"{path / CONFIG} lacks {', '.join(sorted(needed - config.keys()))}: it was altered. Copy the model "
            "folder again."
        )
    if config.pop("sha256") != _sha256_of(config):
        raise ModelError(f"{path / CONFIG} was altered or damaged. Copy the model folder again.")
    return config


def _check_files(path: Path, config: dict[str, Any]) -> None:
    listed = config["files"]
    for name in (WEIGHTS, ISLANDS, LABELS, CALIBRATION, TRAINING, METRICS, RUN_LOG):
        if name not in listed:
            raise ModelError(f"{path / CONFIG} does not list {name}: it was altered. Copy the model again.")
    for name, facts in listed.items():
        file = path / name
        if Path(name).name != name:
            raise ModelError(f"{path / CONFIG} lists '{name}', which is not a file of the folder.")
        if not file.is_file():
            raise ModelError(f"{file} is missing. Copy the model folder again.")
        if file.stat().st_size != facts["bytes"] or _sha256(file) != facts["sha256"]:
            raise ModelError(
                f"{file} was altered or damaged: {file.stat().st_size:,} bytes, expected {facts['bytes']:,} "
                "with another checksum. Copy the model folder again."
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(config: dict[str, Any]) -> str:
    """Return the checksum of config.json's other entries: it is the one file that no other one vouches for."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Copy the model folder again.") from error


def _plain(value: Any) -> Any:
    """Return tuples as lists, all the way down: what YAML and JSON know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
