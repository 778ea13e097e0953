"""What config.yaml says, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = ("annatac", "cellranger-atac", "fasterq-dump")
DEFAULTS: dict[str, Any] = {
    "samples": "config/samples.tsv",
    "output": "results",
    "reference": None,
    "genome": None,
    "corpus": True,
    "model": None,
    "report": False,
    "count_options": "",
    "prepare_options": "",
    "annotate_options": "",
    "programs": {},
}


class SettingsError(ValueError):
    """A setting is missing or wrong; the message says what is expected."""


@dataclass(frozen=True)
class Settings:
    """The settings, each with a value; the comments of config.yaml say what they mean."""

    samples: str
    output: str
    reference: str
    genome: str
    corpus: bool
    model: str | None
    report: bool
    count_options: str
    prepare_options: str
    annotate_options: str
    programs: dict[str, str]


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Return the settings of a configuration as Snakemake has read it.

    Raises
    ------
    SettingsError
        An unknown or missing setting, a value of another kind, or no such reference.
    """
    _no_others(config, list(DEFAULTS), "setting")
    values: dict[str, Any] = {
        name: default if config.get(name) is None else config[name] for name, default in DEFAULTS.items()
    }
    for name in ("reference", "genome"):
        if not values[name]:
            raise SettingsError(f"config.yaml says no '{name}': {_WHAT[name]}")
    for name, default in DEFAULTS.items():
        kind = type(default) if isinstance(default, bool | dict) else str
        if values[name] is not None and not isinstance(values[name], kind):
            words = {bool: "true or false", dict: "names and paths", str: "text"}[kind]
            raise SettingsError(f"'{name}' of config.yaml is {values[name]!r}; {words} is expected.")
    if not Path(values["reference"]).is_dir():
        raise SettingsError(
            f"There is no folder {values['reference']} (reference of config.yaml). {_WHAT['reference']}"
        )
    _no_others(values["programs"], list(PROGRAMS), "program")
    values["programs"] = {name: str(values["programs"].get(name) or name) for name in PROGRAMS}
    values["model"] = values["model"] or None
    return Settings(**values)


_WHAT = {
    "reference": "give the folder of Cell Ranger's reference (refdata-cellranger-arc-GRCh38-2024-A, or one that "
    "`cellranger-atac mkref` made).",
    "genome": "give the assembly of the reference as annatac calls it: hg38, mm10, ... or a file of chromosome "
    "lengths.",
}


def _no_others(given: Mapping[str, Any], known: list[str], what: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(known)}."
            raise SettingsError(f"config.yaml has an unknown {what} '{name}'. {hint}")
