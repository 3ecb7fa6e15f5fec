"""Who imports whom, and how the code is to look."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.members import CUSTOM, ROOT

FILES = sorted((ROOT / "framework").rglob("*.py"))
SOURCES = [*FILES, *sorted(CUSTOM.glob("*.py"))]
LINES, LENGTH = 300, 60


def classes_and_functions(path: Path) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


def where(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_nothing_imports_upward():
    """Every contract of `[tool.importlinter]` is kept, and there are some."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
    assert int(done.stdout.split("Contracts: ")[1].split(" kept")[0]) >= 3


def test_the_files_are_found():
    assert len(FILES) > 60
    assert sum(len(classes_and_functions(path)) for path in FILES) > 300


@pytest.mark.parametrize("word", ["hasattr", "setattr", "eval", "exec"])
def test_nobody_calls(word):
    found = [
        where(path, node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == word
    ]
    assert [place.partition(":")[0] for place in found] == []


def test_no_file_is_long():
    assert [where(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > LINES] == []


def test_no_function_is_long():
    long = [
        f"{where(path, node)} {node.name}"
        for path in SOURCES
        for node in classes_and_functions(path)
        if not isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno + 1 > LENGTH
    ]
    assert long == []


def test_every_module_and_every_public_class_says_what_it_is():
    silent = [where(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    silent += [
        f"{where(path, node)} {node.name}"
        for path in SOURCES
        for node in classes_and_functions(path)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_annotations_are_never_postponed():
    """Shapes are checked by what annotations say at run time."""
    assert [where(path) for path in SOURCES if "from __future__" in path.read_text(encoding="utf-8")] == []


def test_the_folder_of_recipes_is_no_package():
    """An `__init__.py` in `gin/` would hide gin itself."""
    assert list((ROOT / "gin").rglob("*.py")) == []
