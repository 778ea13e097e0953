"""Ready models: those that ship with the package, and fetching others from a hub, a web server or a folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from annatac.errors import DamagedFileError, ModelError, nearest
from annatac.io.atomic import atomic_dir
from annatac.model import artifact
from annatac.pp import places
from annatac.pp.universe import genome_in

SHIPPED = Path(__file__).parents[1] / "models"
HUB = "https://huggingface.co"
TIMEOUT_S = 60
_MOST_CONFIG_BYTES = 2**20
_MOST_CARD_BYTES = 2**20
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_CHUNK = 2**20


def names() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{artifact.CONFIG}"))


def find(name_or_path: str | Path) -> Path:
    """Return the folder of a ready model by its name, or of any model by its path; a path that exists comes first.

    Raises
    ------
    ModelError
        Neither a path that exists nor a ready model's name.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.exists():
        return path
    if name in names():
        return SHIPPED / name
    hub = (
        f" Is it on the hub? `annatac models fetch {name} -o FOLDER` first."
        if _HUB_NAME.fullmatch(name)
        else ""
    )
    raise ModelError(
        f"No model at {path}: it does not exist, and no ready model has that name.{nearest(name, names())}{hub} Give "
        f"the folder that `annatac finetune -o` wrote, or one of: {', '.join(names()) or 'none ships'}."
    )


def facts(name_or_path: str | Path) -> dict[str, Any]:
    """Return what a model is without reading its weights: types, islands, assemblies, sizes and its card.

    ``genomes`` are the assembly of its islands and those on which it has places of its peaks.

    Raises
    ------
    ModelError
        No such model, or no model folder.
    """
    path = find(name_or_path)
    config = artifact.read_config(path)
    labels = json.loads((path / artifact.LABELS).read_text(encoding="utf-8"))
    card = path / artifact.CARD
    genomes = [genome_in(path / artifact.ISLANDS), *map(places.genome_of, sorted(config["files"]))]
    return {
        "name": path.name,
        "folder": str(path),
        "kind": "annotator" if config["n_types"] else "base",
        "types": [entry["name"] for entry in labels["types"]],
        "n_islands": config["n_islands"],
        "genomes": [genome for genome in genomes if genome],
        "bytes": sum(file.stat().st_size for file in path.iterdir()),
        "card": card.read_text(encoding="utf-8") if card.is_file() else "",
    }


def fetch(source: str | Path, output: str | Path, *, revision: str = "main", overwrite: bool = False) -> Path:
    """Copy a model to the folder ``output``, every file held against the checksum in its config.json.

    Parameters
    ----------
    source
        A ready model's name, a folder, the http(s) address of a model folder, or ``OWNER/NAME`` of a public
        repository on the Hugging Face hub (``$HF_ENDPOINT`` names another hub).
    revision
        Branch, tag or commit of a hub repository.

    Raises
    ------
    ModelError
        No such model, or not one of this version of annatac.
    DamagedFileError
        A file came incomplete or altered. Nothing is left behind.
    OutputError
        ``output`` exists or cannot be written.
    """
    place = str(source)
    if not Path(source).exists() and place not in names():
        if _HUB_NAME.fullmatch(place):
            hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
            place = f"{hub}/{place}/resolve/{revision}"
        elif not re.match(r"https?://", place):
            find(source)  # says what was expected
    else:
        place = str(find(source))
    with atomic_dir(output, overwrite=overwrite) as folder:
        _copy(place, folder, artifact.CONFIG, most=_MOST_CONFIG_BYTES)
        listed = artifact.read_config(folder)["files"]
        for name, its in listed.items():
            if Path(name).name != name or name in ("", ".", "..", artifact.CONFIG) or "\\" in name:
                raise ModelError(
                    f"The config.json of {source} lists '{name}', which is no file of a model folder."
                )
            digest = _copy(place, folder, name, most=int(its["bytes"]))
            if digest != its["sha256"]:
                raise DamagedFileError(
                    f"{name} of {source} came altered or incomplete ({(folder / name).stat().st_size:,} bytes of "
                    f"{its['bytes']:,}). Nothing was written: fetch it again, or ask whoever offers it."
                )
        try:
            _copy(place, folder, artifact.CARD, most=_MOST_CARD_BYTES)
        except ModelError:
            (folder / artifact.CARD).write_text("", encoding="utf-8")  # a card is a courtesy
        artifact.load(folder)
    return Path(output)


def _copy(place: str, folder: Path, name: str, *, most: int) -> str:
    """Copy one file, at the most ``most`` bytes and one; return its SHA-256."""
    digest, n_left = hashlib.sha256(), most + 1
    try:
        if re.match(r"https?://", place):
            reader = urllib.request.urlopen(f"{place.rstrip('/')}/{name}", timeout=TIMEOUT_S)
        else:
            reader = (Path(place) / name).open("rb")
        with reader, (folder / name).open("wb") as out:
            while n_left > 0 and (chunk := reader.read(min(_CHUNK, n_left))):
                digest.update(chunk)
                out.write(chunk)
                n_left -= len(chunk)
    except urllib.error.HTTPError as error:
        raise ModelError(
            f"{place} answers {error.code} ({error.reason}) for {name}: there is no such model, or it is not public. "
            "Check the name; for a private one download the folder by other means and give its path."
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"{place} is no model folder: it has no {name}.") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise DamagedFileError(
            f"{name} could not be fetched whole from {place} ({error}). Nothing was written: try again, or download "
            "the folder by other means and give its path."
        ) from error
    return digest.hexdigest()
