"""A sweep as it was given: by a file, by the command line, or by both."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, final

from framework import composition
from framework.composition import Overrides, Place
from framework.composition.command_line import quoted
from framework.composition.overrides import texts
from framework.composition.parser import Binding, parse
from framework.composition.recipes import find_recipe
from framework.errors import UserError
from framework.sweeps.sweep import Sweep

OF_SWEEP: Final = re.compile(r"\s*(parts\.)?Sweep\.")


@final
@dataclass(frozen=True)
class SweepSource:
    """A sweep, and the places of its settings.

    `file` is that of a sweep which one describes, and the first `file_bindings` of the sweep's bindings are the file's. `places` has
    each name of the grid and, of a file, `Sweep.recipes` and `Sweep.bindings`.
    """

    sweep: Sweep
    file: Path | None
    places: Mapping[str, Place]
    file_bindings: int
    imports: tuple[str, ...]
    trust: bool

    @property
    def name(self) -> str:
        """The name of a sweep that was given none: that of its file, or those of its recipes."""
        return self.file.stem if self.file else "-".join(Path(recipe).stem for recipe in self.sweep.recipes)


def of_sweep(bindings: Sequence[str]) -> list[str]:
    """The bindings of a command line that are of the sweep itself, and not of its runs."""
    return [each for each in bindings if OF_SWEEP.match(each)]


def read_source(
    recipes: str | Path | Sequence[str | Path],
    bindings: Overrides = (),
    *,
    seeds: int | Sequence[int] | None = None,
    grid: Mapping[str, Sequence[object]] | None = None,
    zip: bool = False,
    processes: int | None = None,
    imports: Iterable[str] = (),
    trust: bool = False,
) -> SweepSource:
    """The sweep of some recipes, or of one file, whose settings the arguments replace and whose grid and bindings they add to."""
    recipes = [recipes] if isinstance(recipes, str | Path) else recipes
    is_file = len(recipes) == 1 and composition.is_sweep(recipes[0])
    bindings, imports = composition.statements(bindings), texts("imports", imports)
    settings = of_sweep(bindings)
    if settings and not is_file:
        raise UserError(f"{quoted('-b', settings[0])} is a setting of a sweep's file; give the option of `dream sweep` that is called so.")
    base, file, places = Sweep(recipes=[str(each) for each in recipes]), None, dict[str, Place]()
    if is_file:
        file = find_recipe(recipes[0])
        composed = composition.load(file, settings, imports=imports, root=composition.SWEEP, trust=trust)
        base, imports = cast(Sweep, composed.root()), (*composed.plan.imports, *imports)
        bound = {name: setting.binding.place for name, setting in composed.root.node.settings.items() if setting.binding}
        places = {f"Sweep.{name}": place for name, place in bound.items()}
        places |= dict.fromkeys(base.grid, bound.get("grid", composed.root.node.place))
    places |= {name: Place(f"--grid '{name}'", number) for number, name in enumerate(grid or {}, 1)}
    sweep = Sweep(
        recipes=base.recipes,
        seeds=base.seeds if seeds is None else seeds,
        grid={**base.grid, **(grid or {})},  # type: ignore[dict-item]
        zip=zip or base.zip,
        bindings=[*base.bindings, *(each for each in bindings if each not in settings)],
        processes=processes or base.processes,
    )
    return SweepSource(sweep, file, places, len(base.bindings), tuple(dict.fromkeys(imports)), trust)


def read_grid(options: Sequence[str]) -> dict[str, Sequence[object]]:
    """The grid of the options `NAME=[VALUE, ..]` of a command line, each as gin writes a binding."""
    grid: dict[str, Sequence[object]] = {}
    for number, text in enumerate(options, 1):
        statements, problems = parse(text, quoted("--grid", text), number=number)
        if problems:
            raise UserError("\n".join(map(str, problems)))
        match statements:
            case [Binding(value=list() | tuple() as values) as binding] if binding.key not in grid:
                grid[binding.key] = values
            case _:
                example = "--grid \"task=['cheetah_run', 'walker_walk']\""
                raise UserError(f"--grid '{text}' is no list of values of one setting, which no other --grid has: write {example}.")
    return grid
