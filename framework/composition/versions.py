"""Several versions of a user's modules in one process.

Python has one module of a name. A version whose names are taken by other text is loaded as submodules of a package of its own,
`dream_version_<digest>.far_in_time`, with each import of a module of its own folder rewritten to that package.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, final

from framework.text import VERSION

FOLDERS: Final[dict[str, str]] = {}
"""The folder from which each module was imported that has its own name."""


@final
@dataclass(frozen=True)
class Version:
    """Where a module is imported from: a folder and, unless it has its own name, a package.

    It opens itself when it is unpickled, so that another process finds the classes that are pickled after it.
    """

    module: str
    folder: str

    @staticmethod
    def package_of(texts: Mapping[str, bytes], folder: Path) -> str:
        """The package of some modules with their texts; equal texts have one package."""
        name = VERSION + hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]
        _open(name, str(folder))
        return name

    @staticmethod
    def holding(module: str) -> "Version | None":
        """The version of a loaded module of the user's own; None of any other."""
        package = sys.modules.get(module.partition(".")[0])
        folder = package.__path__[0] if package and module.startswith(VERSION) else FOLDERS.get(module)
        return None if folder is None else Version(module, folder)

    @staticmethod
    def opened(module: str, folder: str) -> "Version":
        if module.startswith(VERSION):
            _open(module.partition(".")[0], folder)
        elif module not in sys.modules:
            sys.path.insert(0, folder)
        return Version(module, folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return Version.opened, (self.module, self.folder)


def _open(package: str, folder: str) -> None:
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [folder]
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@final
class _Finder(MetaPathFinder):
    """Finds the submodules of versions."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not name.startswith(VERSION):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


@final
class _Loader(SourceFileLoader):
    """Reads the file as it is, since a cached one may be of an edit of the same second, and rewrites its imports."""

    def get_code(self, fullname: str) -> CodeType:
        tree = _Imports(fullname.partition(".")[0]).visit(ast.parse(self.get_data(self.path), self.path))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


@final
class _Imports(ast.NodeTransformer):
    """Turns `import helper` and `from helper import x` into imports from a package, for what its folder has."""

    def __init__(self, package: str) -> None:
        self.package = package

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        return [ast.copy_location(each, node) for alias in node.names for each in self._statements(alias)]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if not node.level and node.module and self._has(node.module):
            node.module = f"{self.package}.{node.module}"
        return node

    def _statements(self, alias: ast.alias) -> Iterator[ast.stmt]:
        if not self._has(alias.name):
            yield ast.Import([alias])
        elif alias.asname:
            yield ast.Import([ast.alias(f"{self.package}.{alias.name}", alias.asname)])
        else:  # `import a.b` binds `a`
            top = alias.name.partition(".")[0]
            yield ast.Import([ast.alias(f"{self.package}.{alias.name}", top)])
            yield ast.ImportFrom(self.package, [ast.alias(top)], 0)

    def _has(self, module: str) -> bool:
        return PathFinder.find_spec(module.partition(".")[0], sys.modules[self.package].__path__) is not None
