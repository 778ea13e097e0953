"""Several training runs beside each other: what a base gives (the paper's ablation of pre-training)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.pl.canvas import pyplot
from annatac.pl.palette import COLORS
from annatac.pl.training import read_epochs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: column of the run log -> title of its panel
PANELS = {"valid_accuracy": "accuracy", "valid_macro_f1": "macro-F1", "valid_loss": "loss"}
_SETTINGS = "training.yaml"
_MARKERS = "osD^v<>P"


def learning_curves(models: Sequence[str | Path], *, names: Sequence[str] | None = None) -> list[Axes]:
    """Draw accuracy, macro-F1 and loss on held-out cells over the epochs of several fine-tunings, a line each.

    Epoch 0 is the network before its first step: with a base, what pre-training alone has given. A ring marks the
    epoch that was kept. Losses of recipes that differ in what they add up are no match.

    Parameters
    ----------
    models
        Two or more model folders, or run logs (``run.jsonl``).
    names
        Of the lines; by default the folder's name, and the base that a model was started from.

    Raises
    ------
    ConfigError
        Fewer than two models, another number of names, or more than there are colours for.
    MissingFileError, DamagedFileError, InputError
        A run log is absent or damaged, or has no fine-tuning or no held-out cells.

    Warns
    -----
    AnnatacWarning
        The models were trained or judged on other numbers of cells.
    """
    if len(models) < 2:
        raise ConfigError(
            f"{len(models)} model is given; two or more are compared, such as one that was fine-tuned with --base and "
            "one without. `annatac plot training` draws a single one."
        )
    if len(models) > len(_MARKERS):
        raise ConfigError(f"{len(models)} models are given; up to {len(_MARKERS)} can be told apart.")
    if names is not None and len(names) != len(models):
        raise ConfigError(f"{len(names)} names are given for {len(models)} models. Give each model one.")
    settings = [_settings(model) for model in models]
    _check_alike(models, settings)
    tables = [_with_start(model) for model in models]
    words = names or [_name(model, its) for model, its in zip(models, settings, strict=True)]
    figure, row = pyplot().subplots(1, len(PANELS), figsize=(4.2 * len(PANELS), 3.6), layout="constrained")
    for ax, (column, title) in zip(row, PANELS.items(), strict=True):
        for number, (table, word) in enumerate(zip(tables, words, strict=True)):
            _draw(ax, table, column, COLORS[(number + 5) % 6], _MARKERS[number], word)
        _dress(ax, title)
    handles, labels = row[0].get_legend_handles_labels()
    columns = len(models) if len(models) <= 3 else -(-len(models) // 2)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return list(row)


def _draw(ax: Axes, table: pd.DataFrame, column: str, color: str, marker: str, word: str) -> None:
    values = table[column].dropna()
    ax.plot(values.index, values, color=color, marker=marker, markersize=4, label=word)
    best = table.attrs.get("best_epoch")
    if best in values.index:
        ax.plot(best, values[best], marker="o", markersize=11, markerfacecolor="none", color=color)


def _dress(ax: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_title(f"{title}, held-out cells", fontsize=11)
    ax.set_xlabel("epoch (0: before training)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.7)


def _with_start(model: str | Path) -> pd.DataFrame:
    """Return the figures of a fine-tuning by epoch, from 0, where the log has what it started with."""
    table = read_epochs(model, "finetune")
    missing = [column for column in PANELS if column not in table or table[column].isna().all()]
    if missing:
        raise InputError(
            f"The run log of {model} has no figures on held-out cells ({', '.join(missing)}): nothing was held out. "
            "Train with finetune.validation_fraction above 0."
        )
    attributes = dict(table.attrs)
    found = table[list(PANELS)].set_axis(table.index + 1)
    start = attributes["start"]
    if all(column in start for column in PANELS):
        first = pd.DataFrame([{column: float(start[column]) for column in PANELS}], index=[0])
        found = pd.concat([first, found])
    found.attrs = {"best_epoch": attributes.get("best_epoch")}
    return found


def _settings(model: str | Path) -> dict[str, Any]:
    path = Path(model) / _SETTINGS
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found if isinstance(found, dict) else {}


def _name(model: str | Path, settings: dict[str, Any]) -> str:
    path = Path(model)
    name = path.parent.name if path.name == "run.jsonl" else path.name
    if not settings:
        return name
    base = settings.get("base")
    return f"{name} (no base)" if base is None else f"{name} (base: {Path(str(base)).name})"


def _check_alike(models: Sequence[str | Path], settings: list[dict[str, Any]]) -> None:
    """Warn where models did not learn from the same numbers of cells: their curves do not compare."""
    counts = [its.get("cells_per_type") for its in settings]
    for model, count in zip(models, counts, strict=True):
        if None not in (count, counts[0]) and count != counts[0]:
            warnings.warn(
                f"{model} was trained on other cells than {models[0]} (other numbers a type): their curves do not "
                "compare. Fine-tune both on the same cells with the same seed.",
                AnnatacWarning,
                stacklevel=3,
            )
