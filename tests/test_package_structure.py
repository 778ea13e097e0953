"""The shape of the package: layers, imports, signatures, sizes."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import annatac

ROOT = Path(annatac.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
HEAVY = ("torch", "anndata", "scanpy", "pandas", "matplotlib", "sklearn")

#: A module imports its own package and what stands in the lines above it, nothing else.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "keys"),
    ("config",),
    ("genome",),
    ("io",),
    ("pp",),
    ("datasets", "simulate"),
    ("model",),
    ("corpus",),
    ("train",),
    ("annotate",),
    ("benchmark", "tl"),
    ("pl",),
    ("report",),
    ("jobs",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _part(path: Path) -> str:
    """Return the layer's name of a file: its first folder, or its own name."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def _imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in _runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write annatac.…"
            module = node.module or ""
            names = [f"annatac.{alias.name}" for alias in node.names] if module == "annatac" else [module]
        parts |= {name.split(".")[1] for name in names if name.startswith("annatac.")}
    return parts & (set(RANK) | {_part(file) for file in FILES})


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_imports_run_one_way(path):
    part = _part(path)
    if part == "__init__":
        assert not _imported_parts(path), "annatac/__init__.py loads its names when they are used"
        return
    assert part in RANK, f"{part} has no place yet: add it to LAYERS and to docs/architecture.md"
    upwards = {other for other in _imported_parts(path) if other != part and RANK[other] >= RANK[part]}
    assert not upwards, f"{_id(path)} ({part}) imports {', '.join(sorted(upwards))}, which stands above it"


def test_importing_is_fast_and_light():
    code = (
        "import sys, time; start = time.perf_counter(); import annatac; took = time.perf_counter() - start\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, f'import annatac loads {loaded}'\n"
        "assert took < 1, f'import annatac takes {took:.2f} s'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_command_line_is_light():
    code = (
        "import sys, annatac.cli\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, f'the command line loads {loaded} before a command runs'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _public_functions() -> dict[str, Callable[..., object]]:
    parts = ("pp", "tl", "pl", "benchmark", "train", "annotate")
    modules = {part: importlib.import_module(f"annatac.{part}") for part in parts}
    public = {
        f"{part}.{name}": getattr(module, name) for part, module in modules.items() for name in module.__all__
    }
    return {name: value for name, value in public.items() if inspect.isfunction(value)}


PUBLIC = _public_functions()


@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC)
def test_signatures_of_what_takes_cells(public):
    signature = inspect.signature(public)
    parameters = list(signature.parameters.values())
    takes = [i for i, parameter in enumerate(parameters) if "AnnData" in str(parameter.annotation)]
    if not takes:
        return
    assert takes[0] == 0, "the AnnData comes first"
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    assert len(positional) <= 3, f"at most 3 positional arguments, found {positional}"
    assert not [p for p in parameters if p.kind == p.VAR_POSITIONAL], "no *args"
    if str(signature.return_annotation) == "AnnData | None":  # writes in place
        copy = signature.parameters.get("copy")
        assert copy is not None, "it writes in place and needs copy=False"
        assert copy.kind is copy.KEYWORD_ONLY
        assert copy.default is False


@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC)
def test_public_functions_are_documented(public):
    first = (inspect.getdoc(public) or "").split("\n\n")[0]
    assert first.endswith("."), "the first line of its docstring says what the user gets"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_file_size(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= 400, f"{_id(path)} has {n_lines} lines; 400 is the limit: split it by idea"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_no_pickle_and_no_print(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{_id(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            unsafe = {"pickle", "cPickle", "dill", "joblib", "shelve"} & {
                name.split(".")[0] for name in modules
            }
            assert not unsafe, f"{where} imports {unsafe}: files that run code when read"
        if isinstance(node, ast.keyword):
            value = getattr(node.value, "value", None)
            assert not (node.arg == "weights_only" and value is False), f"{where}: weights_only=False"
            assert not (node.arg == "allow_pickle" and value is True), f"{where}: allow_pickle=True"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _part(path) != "cli":
            assert node.func.id != "print", f"{where} prints; only the command line does"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_annotations_are_not_evaluated(path):
    text = path.read_text(encoding="utf-8")
    defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.parse(text).body)
    assert not defines or "from __future__ import annotations" in text
