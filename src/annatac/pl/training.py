"""How training went, from the run log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from annatac.errors import ConfigError, DamagedFileError, InputError, MissingFileError
from annatac.pl.canvas import axes_or_new, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
#: What a panel shows: (column of the log, words, colour, line style).
PANELS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "loss": (("train_loss", "training", _BLUE, "-"), ("valid_loss", "validation", _ORANGE, "--")),
    "quality": (
        ("valid_accuracy", "accuracy, validation", _ORANGE, "--"),
        ("valid_macro_f1", "macro-F1, validation", _GREEN, "-"),
    ),
}


def training_curves(
    log: str | Path, *, panel: str = "loss", phase: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the loss, or the quality on the validation cells, over the epochs of a run (from 1).

    Parameters
    ----------
    log
        The run's JSONL log, or the folder that holds it as ``run.jsonl``.
    panel
        ``'loss'`` (training and validation) or ``'quality'`` (accuracy and macro-F1).
    phase
        ``'pretrain'`` or ``'finetune'``; the last phase in the log otherwise.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    MissingFileError, DamagedFileError, InputError
        The log is absent, has a line that is not JSON, or no epoch of the phase.
    ConfigError
        An unknown panel.
    """
    if panel not in PANELS:
        raise ConfigError(f"panel is '{panel}'; expected one of: {', '.join(PANELS)}.")
    epochs = read_epochs(log, phase)
    pyplot()  # a clear error where matplotlib is missing
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax, 5.0, 3.4)
    drawn = 0
    for column, words, color, style in PANELS[panel]:
        if column in epochs and epochs[column].notna().any():
            values = epochs[column].dropna()
            marker = "o" if len(values) <= 30 else None
            ax.plot(
                values.index + 1,
                values,
                color=color,
                linestyle=style,
                marker=marker,
                markersize=3.5,
                label=words,
            )
            drawn += 1
    if not drawn:
        ax.text(0.5, 0.5, "no validation cells in this run", ha="center", va="center", transform=ax.transAxes)
    if panel == "quality" and "score" in epochs and epochs["score"].notna().any():
        _mark_best(ax, epochs)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss" if panel == "loss" else "share of cells, mean F1")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.7)
    if drawn:
        ax.legend(frameon=False, fontsize=9)
    ax.set_title(
        {"pretrain": "pre-training", "finetune": "fine-tuning"}.get(str(epochs.attrs["phase"]), ""),
        fontsize=11,
    )
    return ax


def _mark_best(ax: Axes, epochs: pd.DataFrame) -> None:
    """Draw a line at the epoch that was kept; of a run without an end, the one whose score is best so far."""
    best = epochs.attrs.get("best_epoch")
    if best is None:
        best = int(epochs.index[int(epochs["score"].argmax())]) + 1
    words = f"best epoch: {best}" if best else "best as it started"
    ax.axvline(best, color="#999999", linewidth=0.9, linestyle=":", zorder=0, label=words)


def training_panels(log: str | Path, *, phase: str | None = None) -> list[Axes]:
    """Draw loss and quality side by side in one figure (see :func:`training_curves`)."""
    _, row = pyplot().subplots(1, len(PANELS), figsize=(5.0 * len(PANELS), 3.4), layout="constrained")
    return [
        training_curves(log, panel=panel, phase=phase, ax=ax) for panel, ax in zip(PANELS, row, strict=True)
    ]


def read_epochs(log: str | Path, phase: str | None = None) -> pd.DataFrame:
    """Return the epochs of one phase of a JSONL run log, one row an epoch (index), the last entry of each.

    A run that was resumed writes an epoch again; what it wrote last counts. A last line that is cut off
    (the run is still writing it) is left out. ``attrs['best_epoch']`` is the epoch that a finished run kept,
    from 1 (0: the weights that it started with); ``attrs['start']`` the figures of these, where the log has them.
    """
    path = Path(log) / "run.jsonl" if Path(log).is_dir() else Path(log)
    if not path.is_file():
        raise MissingFileError(f"There is no run log {path}. Give a model folder, or the run.jsonl in it.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is no run log. Give a model folder, or the run.jsonl in it.") from None
    records: list[dict[str, Any]] = []
    kept: dict[Any, int] = {}
    started: dict[Any, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise DamagedFileError(
                f"Line {number} of {path} is not JSON ({error.msg}); expected a JSONL run log."
            ) from None
        if isinstance(record, dict) and record.get("event") == "epoch":
            records.append(record)
        elif isinstance(record, dict) and record.get("event") == "end" and "best_epoch" in record:
            kept[record.get("phase")] = int(record["best_epoch"]) + 1
        elif isinstance(record, dict) and record.get("event") == "start":
            started[record.get("phase")] = record
    found = list(dict.fromkeys(record.get("phase") for record in records))
    wanted = phase or (found[-1] if found else None)
    records = [record for record in records if record.get("phase") == wanted]
    if not records:
        raise InputError(
            f"{path} holds no epoch of phase '{phase or 'any'}'; "
            f"it has: {', '.join(map(str, found)) or 'none'}."
        )
    table = pd.DataFrame(records).drop_duplicates("epoch", keep="last").set_index("epoch").sort_index()
    numeric = [c for pairs in PANELS.values() for c, *_ in pairs if c in table]
    table[numeric] = table[numeric].apply(pd.to_numeric, errors="coerce")
    table.attrs["phase"] = wanted
    table.attrs["start"] = started.get(wanted, {})
    if wanted in kept:
        table.attrs["best_epoch"] = kept[wanted]
    return table
