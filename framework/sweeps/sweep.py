"""The part `Sweep`: recipes, seeds, and the values of settings."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, final

from framework.composition import statements
from framework.composition.values import Written
from framework.errors import UserError
from framework.registry import parts


@parts.register
@final
class Sweep:
    """Every recipe with every combination of the grid's values and every seed, each a run of its own.

    Args:
        recipes: shipped ones by name, or files, beside that of the sweep or below the working directory.
        seeds: how many, counted from 0, or the seeds themselves.
        grid: the values of settings and macros, each as a binding has it: `{'InfoNCE.negatives': [@negatives.InBatch, @negatives.MoCHi]}`.
        zip: pair the first values of all settings, then the second, and so on, in place of all combinations.
        bindings: those of every run, as `-b` takes them: `['Trainer.minutes = 30.0']`.
        processes: how many runs train at the same time; None is the number of cores divided by the threads of one run.
    """

    def __init__(
        self,
        *,
        recipes: Sequence[str],
        seeds: int | Sequence[int] = 1,
        grid: Mapping[str, Sequence[Written]] | None = None,
        zip: bool = False,
        bindings: Sequence[str] = (),
        processes: int | None = None,
    ) -> None:
        self.recipes, self.grid, self.zip, self.bindings, self.processes = tuple(recipes), dict(grid or {}), zip, tuple(bindings), processes
        self.seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
        if not self.recipes or not self.seeds or min(self.seeds) < 0 or (processes is not None and processes < 1):
            raise UserError(
                f"Sweep.recipes = {list(recipes)} must name one, Sweep.seeds = {seeds} be their number or a list of seeds from 0 on, and "
                f"Sweep.processes = {processes} at least 1."
            )
        if "Run.seed" in self.grid:
            raise UserError("Sweep.grid has Run.seed; write the seeds as Sweep.seeds = [0, 5], or --seeds 0,5.")
        lengths = {name: len(values) for name, values in self.grid.items()}
        if 0 in lengths.values() or (zip and len({*lengths.values()}) > 1):
            listed = ", ".join(f"{length} of {name}" for name, length in lengths.items())
            raise UserError(
                f"Sweep.grid has {listed}: give each setting a value{', and all as many, since zip pairs them' if zip else ''}."
            )

    def combinations(self) -> Iterator[Mapping[str, Any]]:
        """Each combination of the grid's values, by setting; an empty one without a grid."""
        values = list(self.grid.values())
        for chosen in zip(*values, strict=True) if self.zip and values else product(*values):
            yield dict(zip(self.grid, chosen, strict=True))


def shown(value: object) -> str:
    """A value as a table shows it: as gin writes it, but a text without quotes."""
    return value if isinstance(value, str) else statements({"": value})[0].removeprefix("=")
