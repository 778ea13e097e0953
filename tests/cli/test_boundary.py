"""How the program starts, speaks, fails and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import pytest

from annatac.cli import allocator, main
from annatac.errors import AnnatacWarning

PYTHON = [sys.executable, "-m", "annatac"]


def test_help_is_fast_and_loads_nothing_heavy():
    code = (
        "import sys; from annatac.cli import main; assert main(['--help']) == 0\n"
        "heavy = {'torch', 'anndata', 'scanpy', 'pandas', 'numpy', 'h5py', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    took = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([*PYTHON, "--help"], check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    assert min(took) < 1


COMMANDS = ("prepare", "pretrain", "finetune", "annotate", "evaluate", "embed", "demo", "datasets", "plot")
KINDS = (
    "plot umap",
    "plot confusion",
    "plot sankey",
    "plot training",
    "plot learning",
    "datasets list",
    "datasets path",
)


@pytest.mark.parametrize("command", ["", *COMMANDS, *KINDS])
def test_every_command_has_help(run, command):
    shown = run(*command.split(), "--help")
    assert shown.code == 0
    assert "Usage: annatac" in shown.out
    names = {"", "plot", "datasets", "datasets list"}
    assert command in names or "annatac " + command in shown.out.split("Examples:")[1]


def test_version(run):
    from annatac import __version__

    assert run("--version").out == f"annatac {__version__}\n"


def test_our_warnings_are_one_line_and_foreign_ones_hidden(run, monkeypatch):
    def noisy(*_, **__):
        for _ in range(2):
            warnings.warn("a choice was made", AnnatacWarning, stacklevel=1)
        warnings.warn("old call", FutureWarning, stacklevel=1)
        return "/somewhere"

    monkeypatch.setattr("annatac.datasets.path", noisy)
    assert run("datasets", "path", "x").err == "warning: a choice was made\n"
    assert "FutureWarning: old call" in run("datasets", "path", "x", "--debug").err


def test_a_bug_of_ours(run, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("annatac.datasets.path", broken)
    done = run("datasets", "path", "x")
    assert done.code == 1
    assert done.err.startswith("internal error: ZeroDivisionError: division by zero\n")
    assert "--debug" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in run("datasets", "path", "x", "--debug").err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "not enough memory"),
        (OSError(28, "No space left on device"), 2, "cannot be written"),
    ],
)
def test_errors_of_the_machine_and_the_user(run, monkeypatch, error, code, words):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("annatac.datasets.path", broken)
    done = run("datasets", "path", "x")
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback_of_an_input_error(run, tmp_path):
    done = run("prepare", tmp_path / "nowhere.h5ad", "-o", tmp_path / "out.h5ad", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert "error: " in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_output_cut_off_by_the_reader():
    script = f"{sys.executable} -m annatac datasets list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode in (0, 1, 141)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr.lower()


def test_threads_reach_every_library(run, monkeypatch, tmp_path):
    import torch

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "7")
    before = torch.get_num_threads()
    run("prepare", tmp_path / "nowhere.h5ad", "-o", tmp_path / "out.h5ad", "--threads", 1)
    assert [os.environ[name] for name in names] == ["1"] * 4
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
    assert run("prepare", tmp_path / "x", "-o", tmp_path / "o", "--threads", 0).code == 2


def test_allocator(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    assert not allocator.keep_memory()
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_memory()


def test_a_user_says_how_many_kernels_are_kept(run, monkeypatch):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "16")
    run("--version")
    assert os.environ[name] == "16"
    monkeypatch.delenv(name)
    run("--version")
    assert os.environ[name] == "0"


def test_main_takes_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["annatac", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("annatac ")
