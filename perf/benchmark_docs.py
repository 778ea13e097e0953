"""Results of `annatac benchmark` -> CSV files in perf/results, tables and pictures in docs/benchmarks.md.

    python perf/benchmark_docs.py benchmark/quick --name quick     # takes the results in, and writes the docs
    python perf/benchmark_docs.py                                  # writes the docs anew from perf/results
    python perf/benchmark_docs.py --check                          # fails where the docs say something else

What stands between `<!-- benchmark:NAME -->` and `<!-- /benchmark:NAME -->` in docs/benchmarks.md, and between the
marks `agreement` in docs/benchmarking.md (of perf/agreement.py) and `rna_transfer` in docs/rna-reference.md (of
perf/rna_transfer.py), is written here and nowhere else. `make benchmark-quick` and `make benchmark` call this.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import pandas as pd

from annatac import pl
from annatac.benchmark.method import methods
from annatac.benchmark.protocol_tables import costs, held_out, rare_recall
from annatac.benchmark.results import means
from annatac.benchmark.sets import set_title
from annatac.pl.robustness import PROTOCOLS
from annatac.report.benchmark_page import drawn_methods
from annatac.report.benchmark_tables import in_order

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
GUIDE = ROOT / "docs" / "benchmarking.md"
RNA = ROOT / "docs" / "rna-reference.md"
RESULTS = ROOT / "perf" / "results"
IMAGES = ROOT / "docs" / "images"
NAMES = ("quick", "full", "protocols")
_DIGITS = 5
_COLUMNS = (
    *("method", "source", "set", "kind", "level", "held_type", "fold", "repeat", "seed", "status", "error"),
    *("metric", "cell_type", "value", "low", "high", "n_cells", "n_reference"),
)


def take_in(folder: Path, name: str) -> None:
    """Copy a run's results into perf/results: figures over all types, and the recall of rare types.

    Results of other sets, methods and protocols stay, so that a long suite can be run part by part.
    """
    table = _read(folder / "results.csv")
    rare = (
        (table["kind"] == "rare") & (table["metric"] == "recall") & (table["cell_type"] == table["held_type"])
    )
    whole = (table["kind"] == "split") & (table["metric"] == "recall") & table["set"].isin(table[rare]["set"])
    kept = table[(table["cell_type"] == "") | rare | whole]
    kept = kept[~kept["metric"].isin(["fit_s", "predict_s"])]
    _write(kept[list(_COLUMNS)], RESULTS / f"benchmark_{name}.csv")
    compared = folder / "comparisons.csv"
    if compared.is_file():
        _write(_read(compared), RESULTS / f"benchmark_{name}_comparisons.csv")


def _write(table: pd.DataFrame, path: Path) -> None:
    if path.is_file():
        old = _read(path)
        part = [name for name in ("set", "kind", "method") if name in table]
        again = pd.MultiIndex.from_frame(old[part]).isin(pd.MultiIndex.from_frame(table[part]))
        table = pd.concat([old[~again], table])
    table.round(_DIGITS).to_csv(path, index=False)


def section(name: str) -> str:
    """Return the text of one run: tables in Markdown, and where its pictures are."""
    path = RESULTS / f"benchmark_{name}.csv"
    if not path.is_file():
        return "Not run yet.\n"
    table = _read(path)
    runs = table[table["metric"] == "wall_s"]
    failed = runs[runs["status"] != "ok"]
    parts = [
        f"`perf/results/benchmark_{name}.csv`: {len(runs)} tasks of {runs['method'].nunique()} methods, "
        f"{runs['value'].sum() / 3600:.1f} hours of processes, seeds {_listed(runs['seed'])}; "
        f"{len(failed) or 'none'} did not end well.",
        _scores(table),
    ]
    compared = RESULTS / f"benchmark_{name}_comparisons.csv"
    if compared.is_file():
        parts.append(_compared(_read(compared)))
    parts += [*_protocols(table), _failures(failed)]
    parts += [f"![{words}](images/{file})" for file, words, _ in pictures(name, table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def pictures(name: str, table: pd.DataFrame) -> list[tuple[str, str, object]]:
    """Return file, words and a function that draws it, for each picture that the table can give."""
    drawn = drawn_methods(table)
    sets = list(dict.fromkeys(table.loc[table["kind"] == "split", "set"]))
    found: list[tuple[str, str, object]] = []
    if sets:
        found.append(
            (
                f"benchmark_{name}_macro_f1.png",
                "Macro-F1 of each method on each set",
                lambda: pl.score_bars(table, "macro_f1", methods=drawn),
            )
        )
        if len(drawn) > 1:
            found.append(
                (
                    f"benchmark_{name}_radar.png",
                    "The paper's five metrics, means over the sets; look where the rings begin",
                    lambda: pl.score_radar(table, methods=drawn),
                )
            )
    for kind, protocol in PROTOCOLS.items():
        for one in dict.fromkeys(table.loc[table["kind"] == kind, "set"]):
            found.append(
                (
                    f"benchmark_{name}_{kind}_{one}.png",
                    f"{set_title(one)}: accuracy against {protocol.words}",
                    lambda kind=kind, one=one: pl.robustness(table, kind, "accuracy", set_name=one),
                )
            )
    return found


def written(page: str, texts: dict[str, str]) -> str:
    """Return the page with what stands between the marks written anew, ``texts`` by the names of the marks."""
    for name, text in texts.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in page or end not in page:
            raise SystemExit(f"A page lacks the marks {begin} and {end}")
        before, rest = page.split(begin, 1)
        _, after = rest.split(end, 1)
        page = f"{before}{begin}\n\n{text}\n{end}{after}"
    return page


def pages() -> dict[Path, str]:
    """Return each page as it shall be."""
    texts = {
        PAGE: {f"benchmark:{name}": section(name) for name in NAMES},
        GUIDE: {"agreement": agreement()},
        RNA: {"rna_transfer": rna_transfer()},
    }
    return {path: written(path.read_text(encoding="utf-8"), own) for path, own in texts.items()}


def agreement() -> str:
    """Return the table of our versions against the packages."""
    path = RESULTS / "agreement.json"
    if not path.is_file():
        return "Not run yet.\n"
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        head = [row["method"], set_title(row["set"])]
        if not row["n_runs"]:
            rows.append([*head, "", "", f"not compared: {row['error'][:80]}", ""])
            continue
        figures = [f"{row[f'accuracy_{key}']:.3f} / {row[f'macro_f1_{key}']:.3f}" for key in ("ours", "live")]
        words = "yes" if row["within_2_points"] else "no"
        rows.append([*head, *figures, f"{100 * row['same_call']:.0f} % of {row['n_cells']}", words])
    heads = [
        "method",
        "set",
        "ours, accuracy / macro-F1",
        "package",
        "same call",
        "within 2 points of accuracy",
    ]
    return _markdown(heads, rows) + "\n"


def rna_transfer() -> str:
    """Return the table of ways to transfer labels from RNA."""
    path = RESULTS / "rna_transfer.json"
    if not path.is_file():
        return "Not run yet.\n"
    found = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    ways = list(dict.fromkeys(found["way"]))
    rows = []
    for (name, linked), mine in found.groupby(["set", "linked"], sort=False):
        means_ = mine.groupby("way")[["accuracy", "macro_f1"]].mean()
        cells = [f"{means_.loc[way, 'accuracy']:.3f} / {means_.loc[way, 'macro_f1']:.3f}" for way in ways]
        novel, frequent = mine["novel_auroc"].mean(), mine["most_frequent"].iloc[0]
        rows.append([name, f"{100 * linked:g} %", f"{frequent:.3f}", *cells, f"{novel:.2f}"])
    heads = ["query", "genes linked", "most frequent type", *ways, "AUROC of a type left out of the RNA"]
    return _markdown(heads, rows) + "\n"


def _scores(table: pd.DataFrame) -> str:
    found = means(table[table["kind"] == "split"])
    if found.empty:
        return ""
    sets = list(dict.fromkeys(found["set"]))
    best = found.groupby("set")[["accuracy", "macro_f1"]].max().round(3)
    specs, rows = methods(), []
    for name in in_order(found):
        mine, cells = found[found["method"] == name].set_index("set"), []
        for one in sets:
            if one not in mine.index:
                cells.append("")
            elif not mine.loc[one, "n_runs"]:
                cells.append("failed")
            else:
                figures = [
                    f"**{x:.3f}**" if round(x, 3) == best.loc[one, metric] else f"{x:.3f}"
                    for metric in ("accuracy", "macro_f1")
                    for x in [mine.loc[one, metric]]
                ]
                runs = int(mine.loc[one, "n_runs"])
                most = int(found[found["set"] == one]["n_runs"].max())
                cells.append(" / ".join(figures) + (f" ({runs} of {most})" if runs < most else ""))
        source = specs[name].source if name in specs else ""
        rows.append([name.replace("_", " "), source, *cells])
    caption = "Accuracy / macro-F1, means over runs, highest of each set bold:"
    return f"{caption}\n\n{_markdown(['method', 'source', *map(set_title, sets)], rows)}"


def _compared(compared: pd.DataFrame) -> str:
    split = compared[compared["kind"] == "split"]
    if split.empty:
        return ""
    rows = []
    for one in dict.fromkeys(split["set"]):
        cells = [set_title(one)]
        for metric in ("accuracy", "macro_f1"):
            row = split[(split["set"] == one) & (split["metric"] == metric)].iloc[0]
            low, high = 100 * row["low"], 100 * row["high"]
            cells += [
                f"{100 * row['difference']:+.1f} ({low:+.1f} to {high:+.1f})",
                row["rival"].replace("_", " "),
            ]
        rows.append(cells)
    caption = (
        "Annatac against the best rival of each set, in points, the rival chosen on these cells for each figure "
        "(95 % interval over cells):"
    )
    return f"{caption}\n\n{_markdown(['', 'accuracy', 'best rival', 'macro-F1', 'best rival'], rows)}"


def _protocols(table: pd.DataFrame) -> list[str]:
    parts = []
    for kind, words in (
        ("label_noise", "wrong labels"),
        ("label_fraction", "of the labelled cells"),
        ("depth", "of the query's fragments"),
    ):
        found = costs(table, kind)
        if found.empty:
            continue
        levels = sorted(found["level"].unique())
        rows = []
        for (one, name), mine in found.groupby(["set", "method"], sort=False):
            cost = mine.set_index("level")["cost"]
            figures = [f"{100 * cost[level]:+.1f}" if level in cost else "" for level in levels]
            rows.append(
                [set_title(one), name.replace("_", " "), f"{mine['untouched'].iloc[0]:.3f}", *figures]
            )
        heads = ["", "method", "accuracy, all right", *(f"{100 * level:g} %" for level in levels)]
        n_runs = _listed(found["n_runs"])
        parts.append(
            f"Points of accuracy lost at so many {words} (runs a figure: {n_runs}):\n\n{_markdown(heads, rows)}"
        )
    rare = rare_recall(table)
    if len(rare):
        found = (
            rare.groupby(["set", "method"], sort=False)[["recall", "recall_untouched"]].mean().reset_index()
        )
        n_types = rare.groupby("set")["held_type"].nunique()
        rows = [
            [
                f"{set_title(row['set'])} ({n_types[row['set']]} types)",
                row["method"].replace("_", " "),
                f"{row['recall']:.3f}",
                f"{row['recall_untouched']:.3f}",
            ]
            for row in found.to_dict("records")
        ]
        heads = ["", "method", "20 cells of the type", "all its cells"]
        parts.append(
            f"Recall of one type at a time that is cut to 20 cells, mean over types:\n\n{_markdown(heads, rows)}"
        )
    left_out = held_out(table)
    if len(left_out):
        wide = left_out.pivot_table(index="method", columns="set", values="auroc", sort=False)
        rows = [
            [str(name).replace("_", " "), *("" if pd.isna(x) else f"{x:.2f}" for x in row)]
            for name, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        heads = ["method", *(set_title(str(one)) for one in wide.columns)]
        parts.append(
            "How well 1 - confidence tells cells of a type that was left out from the others (AUROC, mean over types, "
            f"0.5 is chance):\n\n{_markdown(heads, rows)}"
        )
    return parts


def _failures(failed: pd.DataFrame) -> str:
    if failed.empty:
        return ""
    rows = [
        [
            row["method"].replace("_", " "),
            set_title(row["set"]),
            row["status"].replace("_", " "),
            row["error"][:120],
        ]
        for row in failed.drop_duplicates(["method", "set", "status"]).to_dict("records")
    ]
    return f"What did not end well:\n\n{_markdown(['method', 'set', 'how it ended', 'message'], rows)}"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))


def _read(path: Path) -> pd.DataFrame:
    numbers = dict.fromkeys(("value", "low", "high", "p_runs", "p_cells", "difference"), "")
    return pd.read_csv(path, keep_default_na=False, na_values=numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="output folder of a run to take in")
    parser.add_argument("--name", choices=NAMES, help="which of the suites it is")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    arguments = parser.parse_args()
    if (arguments.folder is None) != (arguments.name is None):
        parser.error("a folder and --name go together")
    if arguments.folder is not None:
        take_in(arguments.folder, arguments.name)
    for path, anew in pages().items():
        if not arguments.check:
            path.write_text(anew, encoding="utf-8")
        elif re.sub(r"\s+", " ", anew) != re.sub(r"\s+", " ", path.read_text(encoding="utf-8")):
            sys.exit(f"{path} is not what perf/results gives: run `python perf/benchmark_docs.py`.")
    if arguments.check:
        return
    for name in [arguments.name] if arguments.name else NAMES:
        path = RESULTS / f"benchmark_{name}.csv"
        if path.is_file():
            for file, _, draw in pictures(name, _read(path)):
                pl.save(draw(), IMAGES / file, dpi=90)


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    main()
