"""Draw docs/images/few_labels.png from perf/results/few_labels.json: `python perf/few_labels_picture.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

from annatac.pl.palette import COLORS

HERE = Path(__file__).parent
PANELS = {"granja": "Granja 2019, 10 types", "bm0828": "BM0828, 7 sorted types"}
LINES = {
    "annatac, human-base": (COLORS[0], "o", "-"),
    "annatac, no base": (COLORS[1], "s", "-"),
    "logistic regression": ("#555555", "^", "--"),
    "naive Bayes": ("#999999", "v", "--"),
}


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean, lowest and highest macro-F1 over the draws; of a baseline its better setting by the mean."""
    rows = rows.assign(line=rows["method"].str.replace(r" \(.*\)", "", regex=True))
    table = rows.groupby(["study", "line", "method", "cells_per_type"])["macro_f1"].agg(
        ["mean", "min", "max"]
    )
    best = table.sort_values("mean").groupby(["study", "line", "cells_per_type"]).tail(1)
    return best.reset_index().sort_values("cells_per_type")


def main() -> None:
    found = json.loads((HERE / "results" / "few_labels.json").read_text())
    table = curves(pd.DataFrame(found["rows"]))
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.7), sharey=True, layout="constrained")
    for ax, (study, title) in zip(axes, PANELS.items(), strict=True):
        for name, (color, marker, style) in LINES.items():
            line = table[(table["study"] == study) & (table["line"] == name)]
            x = line["cells_per_type"]
            ax.fill_between(x, line["min"], line["max"], color=color, alpha=0.12, linewidth=0)
            ax.plot(x, line["mean"], color=color, marker=marker, linestyle=style, markersize=5, label=name)
        ax.set_xscale("log")
        ticks = sorted(table["cells_per_type"].unique())
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("labelled cells a type")
        ax.grid(axis="y", color="#EEEEEE")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("macro-F1 on other cells")
    axes[1].legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(HERE.parent / "docs" / "images" / "few_labels.png", dpi=160)


if __name__ == "__main__":
    main()
