"""From the plan to frozen factories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any, final

from framework.composition.freezing import freeze
from framework.composition.plan import ROOT, plan
from framework.composition.provenance import operative_text, resolved_text
from framework.composition.tree import Plan
from framework.errors import UserError


@final
@dataclass(frozen=True)
class Composition:
    """A recipe as a factory: `root()` builds the run. It holds no gin, pickles to a spawned process, and stands beside others."""

    plan: Plan
    root: partial[Any]

    @property
    def recipe(self) -> Path:
        return self.plan.recipe

    @property
    def overrides(self) -> tuple[str, ...]:
        """The bindings of the command line."""
        return self.plan.overrides

    @property
    def plugins(self) -> tuple[Path, ...]:
        """The source files of the recipe's own components."""
        return self.plan.plugins

    @property
    def resolved(self) -> str:
        """Every value, defaults included, with the place that it came from; a recipe by itself."""
        return resolved_text(self.plan)

    @property
    def operative(self) -> str:
        """The same without the places."""
        return operative_text(self.plan)

    def parameters(self) -> Mapping[str, Any]:
        """Every value by its key, `Agent.horizon`."""
        return self.plan.parameters()

    def write(self, folder: Path) -> None:
        """Put `resolved.gin`, `operative.gin`, `overrides.txt` and the plugins' source files into a folder; it trains again from these."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolved.gin").write_text(self.resolved, encoding="utf-8")
        (folder / "operative.gin").write_text(self.operative, encoding="utf-8")
        (folder / "overrides.txt").write_text("".join(f"{each}\n" for each in self.overrides), encoding="utf-8")
        for path in self.plugins:
            if path.parent != folder.resolve():
                copyfile(path, folder / path.name)


def load(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = (), root: str = ROOT) -> Composition:
    """Check a recipe and freeze it; the UserError that it raises lists everything that is wrong with it."""
    checked = plan(recipe, bindings, imports=imports, root=root)
    if checked.problems or checked.root is None:
        raise UserError("\n".join(str(problem) for problem in checked.problems))
    return Composition(plan=checked, root=freeze(checked.root))
