"""From a plan to frozen factories."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any, final

from framework.composition.factory import ComponentFactory, blame, freeze
from framework.composition.modules import CODE, distributions, needed
from framework.composition.overrides import Overrides
from framework.composition.plan import plan
from framework.composition.problems import Problem
from framework.composition.provenance import show
from framework.composition.tree import Plan
from framework.composition.trust import record
from framework.errors import UserError
from framework.text import display, read_text


@final
@dataclass(frozen=True)
class Composition:
    """A recipe as a factory: `root()` builds the run. It holds no gin, pickles to a spawned process, and is independent of others."""

    plan: Plan
    root: ComponentFactory

    @property
    def recipe(self) -> Path:
        return self.plan.recipe

    @property
    def overrides(self) -> tuple[str, ...]:
        """The bindings of the command line."""
        return self.plan.overrides

    @property
    def modules(self) -> Mapping[str, Path]:
        """The source files of the user's own modules, by their paths below the folder that Python searches."""
        return self.plan.modules

    @property
    def resolved(self) -> str:
        """Every value, defaults included, with its place; a recipe by itself."""
        return show(self.plan, provenance=True)

    @property
    def operative(self) -> str:
        """Every value without its place."""
        return show(self.plan)

    @property
    def texts(self) -> Mapping[str, str]:
        """The texts of `resolved.gin`, `operative.gin` and `overrides.txt`, by these names."""
        overrides = "".join(f"{each}\n" for each in self.overrides)
        return {"resolved.gin": self.resolved, "operative.gin": self.operative, "overrides.txt": overrides}

    def continuing(self, folder: Path) -> Mapping[str, str]:
        """These texts for the run in a folder that continues with this recipe: unchanged values keep their places, bindings are added."""
        earlier = {name: read_text(folder / name) if (folder / name).exists() else "" for name in self.texts}
        old, old_lines = earlier["operative.gin"].splitlines(), earlier["resolved.gin"].splitlines()
        new, new_lines = self.operative.splitlines(), self.resolved.splitlines()
        unchanged = dict(zip(old, old_lines, strict=False))
        resolved = [unchanged.get(statement, line) for statement, line in zip(new, new_lines, strict=False)]
        resolved += [*old_lines[len(old) :], *new_lines[len(new) :]]
        added = [f"{each}  # from a resume\n" for each in self.overrides if not each.startswith("Tracking.folder")]
        return {
            **self.texts,
            "resolved.gin": "".join(f"{line}\n" for line in resolved),
            "overrides.txt": earlier["overrides.txt"] + "".join(added),
        }

    def part(self, parameter: str) -> "Composition":
        """What a parameter of the root holds, by itself: its values and the modules that its components need, and no others."""
        part = replace(self.plan, root=self.root.node.child(parameter), set_aside=(), chosen=())
        imports, modules = needed(part.own_components(), self.plan.imports, self.modules)
        return Composition(plan=replace(part, imports=imports, modules=modules), root=self.root.keywords[parameter])

    def distributions(self) -> list[str]:
        """The installed distributions that the user's own components come from or import."""
        return distributions([*self.plan.own_components(), *self.plan.imports], self.modules)

    def parameters(self) -> Mapping[str, Any]:
        """Every value by its key, `Agent.horizon`."""
        return self.plan.parameters()

    def problem(self, error: UserError) -> Problem:
        """An error of building, at its place; else at the binding of a setting that its message names."""
        place = error.place or blame(error.message, list(self.plan.nodes()), self.root.recipe) or self.root.node.place
        return Problem.at(place, error.message)

    def write(self, folder: Path) -> None:
        """Write `resolved.gin`, `operative.gin`, `overrides.txt` and the user's own modules below `code`; a run trains again from these."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, source in self.modules.items():
            target = folder / CODE / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(source, target)
        record(self.modules.values())


def compose(checked: Plan) -> Composition:
    """Freeze a plan; the `UserError` that it raises lists everything that is wrong with it."""
    if checked.problems or checked.root is None:
        raise UserError("\n".join(map(str, checked.problems)))
    return Composition(plan=checked, root=freeze(checked.root, display(checked.recipe)))


def load(
    recipe: str | Path, bindings: Overrides = (), *, imports: Iterable[str] = (), root: str | None = None, trust: bool = False
) -> Composition:
    """Read a recipe and freeze it; the `UserError` that it raises lists everything that is wrong with it."""
    return compose(plan(recipe, bindings, imports=imports, root=root, trust=trust))
