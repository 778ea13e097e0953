"""What the documents tell people to type is understood."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def documented():
    """Return every line of a code block that calls annatac."""
    lines = []
    for page in PAGES:
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S):
            lines += [line for line in block.splitlines() if line.startswith("annatac ")]
    return sorted(set(lines))


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_understood(run, monkeypatch, line):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    words = shlex.split(line)[1:]
    command = words[:2] if words[0] in ("corpus", "models", "plot", "datasets") else words[:1]
    shown = run(*command, "--help")
    assert shown.code == 0, f"there is no command {' '.join(command)}"
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown.out), f"{command} has no {option}"


def test_there_is_something_to_check():
    assert len(documented()) > 15


def test_the_benchmark_page_is_what_the_recorded_results_give(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmark_docs.py", "--check"])
    runpy.run_path(str(ROOT / "perf" / "benchmark_docs.py"), run_name="__main__")
