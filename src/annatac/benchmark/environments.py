"""Environments of their own for published packages: made once, on request, in the user's cache.

Only :func:`set_up` touches the network, through pip as it is configured on the machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from annatac.datasets import cache_folder
from annatac.errors import ConfigError, InputError, nearest
from annatac.io.atomic import atomic_path

READY = "environment.json"
_LOG_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is installed for one published package.

    Attributes
    ----------
    steps
        Arguments of ``pip install``, one call each, in order; every package that decides a result is pinned.
    """

    about: str
    steps: tuple[tuple[str, ...], ...]


def _torch() -> str:
    """Return the PyTorch that annatac runs with: where that can be had, so can this."""
    return f"torch=={version('torch').partition('+')[0]}"


ENVIRONMENTS: dict[str, Callable[[], Environment]] = {
    "singler": lambda: Environment(about="SingleR", steps=(("singler==0.5.0", "scipy==1.17.1"),)),
    "celltypist": lambda: Environment(
        about="CellTypist", steps=(("celltypist==1.7.1", "scikit-learn==1.6.1"),)
    ),
    "cellcano": lambda: Environment(
        about="Cellcano (TensorFlow)",
        steps=(
            ("tensorflow-cpu==2.21.0", "tf-keras==2.21.0", "scanpy==1.11.5"),
            ("--no-deps", "Cellcano==1.0.4"),
        ),
    ),
    "scvi": lambda: Environment(about="PeakVI and scANVI", steps=((_torch(),), ("scvi-tools==1.4.2",))),
    "rainbow": lambda: Environment(
        about="RAINBOW",
        steps=(
            (_torch(),),
            (
                *("numpy==1.26.4", "pandas==2.0.3", "scipy==1.11.4", "scikit-learn==1.1.3", "scanpy==1.9.8"),
                *("anndata==0.10.3", "matplotlib==3.7.5", "episcanpy==0.3.2", "umap-learn==0.5.7"),
                *("leidenalg", "igraph"),
            ),
            ("--no-deps", "scrainbow==0.0.2"),
        ),
    ),
}


def folder() -> Path:
    """Return where environments are: ``rivals`` in annatac's folder of the user's cache."""
    return cache_folder() / "rivals"


def python_of(name: str) -> Path:
    """Return the Python of an environment, there or not."""
    return folder() / name / "bin" / "python"


def is_ready(name: str) -> bool:
    """Return whether an environment was made, whole, with what is asked for now."""
    try:
        made = json.loads((folder() / name / READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wished = [list(step) for step in ENVIRONMENTS[name]().steps]
    return bool(made.get("steps") == wished) and python_of(name).exists()


def set_up(name: str, *, on_step: Callable[[str], None] | None = None) -> Path:
    """Make an environment, unless it is there, and return its folder. This uses the network, through pip.

    Parameters
    ----------
    on_step
        Told what is being done.

    Raises
    ------
    ConfigError
        There is no such environment; the nearest one is named.
    InputError
        pip could not install something; its last lines are in the message, and nothing is left.
    """
    if name not in ENVIRONMENTS:
        raise ConfigError(
            f"Unknown environment '{name}'.{nearest(name, ENVIRONMENTS)} Known: {', '.join(ENVIRONMENTS)}."
        )
    where = folder() / name
    if is_ready(name):
        return where
    wished = ENVIRONMENTS[name]()
    say = on_step or (lambda text: None)
    with _whole_or_gone(where):
        say(f"{name}: making an environment in {where}")
        _run([sys.executable, "-m", "venv", str(where)], name)
        pip = [str(python_of(name)), "-m", "pip"]
        for step in wished.steps:
            say(f"{name}: pip install {' '.join(step)}")
            _run([*pip, "install", "--quiet", *step], name)
        frozen = _run([*pip, "freeze"], name).split()
        record = {"steps": wished.steps, "python": sys.version.split()[0], "installed": frozen}
        with atomic_path(where / READY) as path:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return where


@contextmanager
def _whole_or_gone(where: Path) -> Iterator[None]:
    shutil.rmtree(where, ignore_errors=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(where, ignore_errors=True)
        raise


def _run(command: Sequence[str], name: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-_LOG_LINES:]
        raise InputError(
            f"The environment '{name}' could not be made: `{' '.join(command[1:])}` failed.\n  "
            + "\n  ".join(said)
            + "\nIts packages may not be there for this Python "
            f"({sys.version.split()[0]}), or pip cannot reach its index: it uses pip's own settings (PIP_INDEX_URL)."
        )
    return done.stdout
