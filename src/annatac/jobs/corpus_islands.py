"""The islands of a corpus: of a new one, and whether options are those of one that exists."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from annatac.corpus.manifest import ISLANDS, Manifest, is_corpus, universe_id
from annatac.errors import ConfigError
from annatac.genome.assemblies import genome_label
from annatac.pp.bins import all_islands
from annatac.pp.universe import Universe


def existing_universe(
    folder: Path,
    made: dict[str, Any],
    *,
    genome: str | None,
    bin_size: int | None,
    universe: str | Path | None,
) -> Universe | None:
    """Return the universe of the corpus that is there, or None; refuse options that it was not written with.

    Raises
    ------
    ConfigError
        Names the option.
    """
    if not is_corpus(folder):
        return None
    manifest = Manifest.load(folder)
    if universe is not None and universe_id(_load(universe)) != manifest.universe_id:
        raise ConfigError(
            f"The corpus {folder} is over other islands than those of {universe}. Leave --universe out, or write "
            "another corpus."
        )
    wanted = {**made, "bin_size": bin_size, "genome": None if genome is None else genome_label(genome)}
    held = {**manifest.island_settings, "bin_size": manifest.bin_size, "genome": manifest.genome}
    for name, value in wanted.items():
        if name not in held or (value is None and name in ("bin_size", "genome")):
            continue
        if name == "islands" and held.get(name) == "given" and value == "all":
            continue  # the default, beside islands that were given
        if value != held.get(name):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"The corpus {folder} was written with {option} {held.get(name)}, now it is {value}. Samples of one "
                "corpus are made alike: repeat the options that it was written with, or write another."
            )
    return Universe.load(folder / ISLANDS)


def new_universe(
    source: str | Path | None,
    *,
    genome: str | None,
    islands: str,
    genes: str | Path | None,
    bin_size: int | None,
) -> Universe:
    """Return the islands of a new corpus: all bins of the assembly, or those of a model, corpus or islands.tsv.gz.

    Raises
    ------
    ConfigError, ModelError
        No assembly is named, or options that are not those of the islands given; no islands are there.
    """
    if source is None:
        if genome is None:
            raise ConfigError(
                "A new corpus is over all bins of an assembly: name it with --genome, such as hg38. Or give the "
                "islands of a model with --universe."
            )
        return all_islands(genome, bin_size=bin_size or 5000, islands=islands, genes=genes)
    path, universe = Path(source), _load(source)
    if bin_size is not None and bin_size != universe.bin_size:
        raise ConfigError(f"{path} has islands of {universe.bin_size} bp. Leave --bin-size out.")
    if genome is not None and universe.genome is not None and genome_label(genome) != universe.genome:
        raise ConfigError(f"{path} is on {universe.genome}, not on {genome}. Leave --genome out.")
    if islands != "all":
        raise ConfigError(f"{path} says which islands there are. Leave --islands out.")
    return replace(
        universe,
        peaks=None,  # whole islands are counted: which peaks a model saw in them is its own business
        n_peaks=np.ones(len(universe), dtype=np.int32),
        mean_openness=np.zeros(len(universe), dtype=np.float32),
    )


def _load(source: str | Path) -> Universe:
    path = Path(source)
    return Universe.load(path / ISLANDS if path.is_dir() else path)


def mark(value: Any) -> Any:
    """Return an option as the manifest keeps it: of a file its name and the start of its checksum."""
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    path = Path(value)
    if not path.is_file():
        return str(value)
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
