"""The modules that a recipe imports: its own, beside it, and anything that Python finds."""

import ast
import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path
from sysconfig import get_path
from types import ModuleType
from typing import Final

from framework.composition.versions import FOLDERS, Version
from framework.errors import UserError
from framework.registry import nearest
from framework.text import PACKAGE, display

CODE: Final = "code"
"""The folder beside a recipe in which a run keeps the modules that it was composed with."""
Enter = Callable[[Iterable[str]], None]
INSTALLED: Final = ("site-packages", "dist-packages")


def import_module(name: str, recipe: Path, *, enter: Enter | None = None, by_name: bool = False) -> Mapping[str, Path]:
    """Import a module, the one beside the recipe before that of the working directory, and both before any other.

    Where its name, or that of a module which it imports from its folder, is loaded with other text, both stay (`versions.py`), unless
    others import it `by_name`. `enter` gets the names of the loaded modules. Returns the source files that a copy of the run needs unless
    the module is installed, by their paths below the folder that Python searches: the module's own, those of its packages, and those of
    the same folder that they import. Raises `UserError` with the line at which the import failed.
    """
    if name.startswith("."):
        raise UserError(f"'{name}' is not the name of a module: write one such as far_away, whose file is in the working directory.")
    folder = find_folder(name, recipe)
    texts = {} if folder is None else {module: file.read_bytes() for module, file in _sources(name, folder).items()}
    prefix = ""
    if folder is not None and (other := next(filter(None, (_loaded_otherwise(*each) for each in texts.items())), None)):
        if by_name:
            raise UserError(f"another '{other}' is loaded, and hides the one in {display(folder)}; begin a new process.")
        prefix = f"{Version.package_of(texts, folder)}."
    try:
        with _searched_first(folder):
            module = importlib.import_module(f"{prefix}{name}")
    except Exception as error:
        raise UserError(_reason(name, error, recipe)) from error
    finally:
        if not prefix:
            FOLDERS.update(dict.fromkeys(texts, str(folder)))
            _loaded_texts.update({each: text for each, text in texts.items() if name in sys.modules or each in sys.modules})
    root = folder or _project(module)
    sources = {} if root is None else _sources(name, root, prefix)
    if enter is not None:
        enter([f"{prefix}{each}" for each in sources or _submodules(name)])
    return {} if root is None else {file.relative_to(root).as_posix(): file for file in sorted(sources.values())}


def find_folder(module: str, recipe: Path) -> Path | None:
    """The folder that holds a module: that of the recipe, the code of its run, or the working directory."""
    folders = (recipe.parent, recipe.parent / CODE, Path.cwd())
    return next((each for each in folders if _file(module, each)), None)


def _project(module: ModuleType) -> Path | None:
    """The folder in Python's path that holds a module, such as the `src` of a project; none if the module is installed."""
    file = Path(getattr(module, "__file__", None) or INSTALLED[0])  # neither a built-in module nor a namespace has a file
    if file.is_relative_to(get_path("stdlib")) or not set(INSTALLED).isdisjoint(file.parts):
        return None
    return file.parents[module.__name__.count(".") + (file.name == "__init__.py")]


def _file(module: str, folder: Path) -> Path | None:
    path = folder.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _and_packages(module: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    return list(accumulate(module.split("."), "{}.{}".format))


_loaded_texts: dict[str, bytes] = {}
"""The texts of the modules that recipes imported by their own names, or that these may import later."""


def _loaded_otherwise(name: str, text: bytes) -> str:
    """The name of a module if it is loaded with another text; else empty. A copy of the same text, as beside a run, is the same module."""
    module = sys.modules.get(name)
    file = Path(getattr(module, "__file__", None) or "")
    if module is not None and file.name and name not in _loaded_texts:
        _loaded_texts[name] = b"" if not file.is_file() or _edited(module, file) else file.read_bytes()
    return "" if _loaded_texts.get(name, text) == text else name


def _edited(module: ModuleType, file: Path) -> bool:
    """Whether a file was changed after it was imported, by the time and size that Python wrote into its cache then."""
    try:
        cache, status = Path(module.__cached__ or "").read_bytes()[4:16], file.stat()
    except (AttributeError, OSError):
        return False
    numbers = (int(status.st_mtime), status.st_size)
    return cache[:4] == bytes(4) and cache[4:] != b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)


def _submodules(name: str) -> list[str]:
    """The loaded modules of an installed package."""
    top = name.partition(".")[0]
    return [each for each in sys.modules if each == top or each.startswith(f"{top}.")]


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
    if isinstance(error, ModuleNotFoundError) and error.name in _and_packages(module):
        if module.endswith(".py"):
            return f"a module is imported by its name: write {module.removesuffix('.py').replace('/', '.')} in place of {module}."
        files = [file for folder in (recipe.parent, Path.cwd()) for file in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))]
        close = nearest(module, [file.parent.name if file.stem == "__init__" else file.stem for file in files])
        where = "" if recipe.parent.resolve() == Path.cwd() else f"{display(recipe.parent)}, in "
        hint = f"; did you mean '{close}'? Else put" if close else "; put"
        return (
            f"there is no module '{module}' in {where}the working directory or installed{hint} its file beside the recipe, or install it."
        )
    if isinstance(error, UserError):
        return f"importing '{module}' failed: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{display(error.filename)}:{error.lineno}"
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{display(frame.filename)}:{frame.lineno}"
    return f"importing '{module}' failed at {where}: {type(error).__name__}: {error}."


def _sources(module: str, folder: Path, prefix: str = "") -> dict[str, Path]:
    """The files of a module below a folder, by the names of their modules.

    Imports are followed in the text, since a function may import later; what else is loaded of the module's own package is added, since
    a package may import its modules by computed names.
    """
    top = f"{prefix}{module.partition('.')[0]}."
    loaded = [name.removeprefix(prefix) for name in [*sys.modules] if name.startswith(top)]
    names = _reachable([module, *loaded], lambda name: None if name.partition(".")[0] == PACKAGE.name else _file(name, folder))
    return {name: file for name, file in names.items() if file}


def _imported(file: Path, module: str) -> Iterator[str]:
    """Every name that a file imports: modules, and perhaps what they define."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    with suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.Import(names=names):
                    yield from (each.name for each in names)
                case ast.ImportFrom(module=source, names=names, level=level):
                    with suppress(ImportError):
                        base = resolve_name("." * level + (source or ""), package) if level else source or ""
                        yield from (base, *(f"{base}.{each.name}" for each in names))


def needed(components: Sequence[str], imports: Sequence[str], modules: Mapping[str, Path]) -> tuple[tuple[str, ...], Mapping[str, Path]]:
    """Of the imports of a recipe and the user's own modules, those that components need, which are named by their modules.

    An import is needed if it leads to a component: to its module, or, of an installed one, to the package, which may define it elsewhere.
    """
    find = partial(_kept, modules=modules)
    wanted = {each if find(each) else each.partition(".")[0] for each in components}
    leading = tuple(each for each in imports if wanted & _reachable([each], find).keys())
    tops = {name.partition(".")[0] for name in _reachable([*leading, *components], find)}
    return leading, {path: file for path, file in modules.items() if Path(path).parts[0].removesuffix(".py") in tops}


def distributions(names: Iterable[str], modules: Mapping[str, Path]) -> list[str]:
    """The installed distributions that hold some modules, or what these import through the user's own modules."""
    tops = {name.partition(".")[0] for name in _reachable(names, partial(_kept, modules=modules))} - {PACKAGE.name}
    if not tops:
        return []
    from importlib.metadata import packages_distributions  # reads every installed package

    installed = packages_distributions()
    return sorted({distribution for top in tops for distribution in installed.get(top, ())})


def _kept(module: str, modules: Mapping[str, Path]) -> Path | None:
    path = module.replace(".", "/")
    return modules.get(f"{path}/__init__.py") or modules.get(f"{path}.py")


def _reachable(names: Iterable[str], find: Callable[[str], Path | None]) -> dict[str, Path | None]:
    """Some modules, their packages, and every name that is imported on the way through those that have a file, each with its file."""
    waiting, reachable = set(names), dict[str, Path | None]()
    while waiting:
        name = waiting.pop()
        file = reachable[name] = find(name)
        waiting |= {*_and_packages(name), *(_imported(file, name) if file else ())} - reachable.keys()
    return reachable
