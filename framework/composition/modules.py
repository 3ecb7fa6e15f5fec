"""The modules that a recipe imports: its own, beside it, and anything that Python finds."""

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from framework.composition.parser import Import
from framework.composition.problems import Problem
from framework.errors import UserError
from framework.signatures import display


@final
@dataclass(frozen=True)
class Imported:
    """The result of one import: the source files that a copy of the run needs, or the problem."""

    files: tuple[Path, ...] = ()
    problem: Problem | None = None


def import_module(statement: Import, recipe: Path) -> Imported:
    """Import a module, the one beside the recipe before that of the working directory, and both before an installed one."""
    folder = next((each for each in (recipe.parent, Path.cwd()) if _lies_in(statement.module, each)), None)
    if folder is not None and (other := _loaded_elsewhere(statement.module, folder)):
        message = (
            f"a module named '{statement.module}' was loaded from {display(other)} before, and hides the one in "
            f"{display(folder)}; give one of them another name."
        )
        return Imported(problem=Problem.at(statement.place, message))
    try:
        with _searched_first(folder):
            module = importlib.import_module(statement.module)
    except Exception as error:
        return Imported(problem=Problem.at(statement.place, _reason(statement.module, error, recipe)))
    file = getattr(module, "__file__", None)
    return Imported(tuple(_companions(Path(file)))) if folder is not None and file is not None else Imported()


def _lies_in(module: str, folder: Path) -> bool:
    top = folder / module.split(".")[0]
    return top.with_suffix(".py").is_file() or (top.is_dir() and folder.joinpath(*module.split(".")).with_suffix(".py").is_file())


def _loaded_elsewhere(module: str, folder: Path) -> Path | None:
    """The file of another module of that name; a copy of the same text, as it lies beside a run, is the same module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or Path(file).resolve().is_relative_to(folder.resolve()):
        return None
    wanted = folder.joinpath(*module.split(".")).with_suffix(".py")
    is_copy = wanted.is_file() and Path(file).is_file() and wanted.read_bytes() == Path(file).read_bytes()
    return None if is_copy else Path(file)


@contextmanager
def _searched_first(folder: Path | None) -> Iterator[None]:
    """Put a folder first in the path; afterwards it stays at the end, so that a spawned process, which inherits the path, has it."""
    if folder is None:
        yield
        return
    text = str(folder)
    was_present = text in sys.path
    sys.path.insert(0, text)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(text)
        if not was_present:
            sys.path.append(text)


def _reason(module: str, error: Exception, recipe: Path) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in (module, module.split(".")[0]):
        return (
            f"there is no module '{module}' in {display(recipe.parent)}, in the working directory or installed; "
            f"put its file beside the recipe, or install it."
        )
    if isinstance(error, UserError):
        return f"importing '{module}' failed: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{display(error.filename)}:{error.lineno}"
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{display(frame.filename)}:{frame.lineno}"
    return f"importing '{module}' failed at {where}: {type(error).__name__}: {error}."


def _companions(file: Path) -> list[Path]:
    """The module's own file, and those that were loaded from the folder in which it lies.

    A module may have a relative name for its file that is none of the working directory, as `torch.classes` has.
    """
    folder = file.resolve().parent
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {Path(each).resolve() for each in files if each is not None and Path(each).is_absolute()}
    return sorted(path for path in paths if path.suffix == ".py" and path.parent == folder)
