"""What a measurement of the laboratory comes to: rows of numbers with the truth beside them, as a table and as JSON."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, final

import torch
from jaxtyping import Float
from torch import Tensor

Number = float | int | str | None
Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what comes next."""

MEASURED: Final = ("truth", "mean", "stderr", "std", "ceiling", "accuracy")
MARKS: Final[Mapping[str | None, str]] = {"lower": "", "upper": "upper bound", "neither": "no bound", None: ""}


def silent(done: int, total: int, what: str) -> None:
    """For a measurement that nobody watches."""


@final
@dataclass(frozen=True)
class Row:
    """One component, or one line, under one setting. Informations are nats.

    `side` says on which side of the truth the mean of the estimate lies; None where no estimate is made, or none of a bound. `under`
    is what this row was measured under, such as its number of candidates; `also` what else was found. A component that could not be
    measured has a `note` with the reason in place of numbers.
    """

    kind: str
    name: str
    truth: float | None = None
    mean: float | None = None
    stderr: float | None = None
    std: float | None = None
    ceiling: float | None = None
    accuracy: float | None = None
    side: Literal["lower", "upper", "neither"] | None = None
    under: Mapping[str, Number] = field(default_factory=dict)
    also: Mapping[str, Number] = field(default_factory=dict)
    note: str = ""

    @property
    def is_lower_bound(self) -> bool | None:
        return None if self.side is None else self.side == "lower"

    @property
    def mark(self) -> str:
        """Said beside the number wherever it is no lower bound."""
        return MARKS[self.side]

    def json(self) -> dict[str, Any]:
        """Numbers that are not finite become null, which is all that JSON has for them."""
        measured = {name: _plain(getattr(self, name)) for name in MEASURED}
        others = {name: _plain(value) for name, value in {**self.under, **self.also}.items()}
        return {self.kind: self.name, **measured, "is_lower_bound": self.is_lower_bound, **others, "note": self.note}


@final
@dataclass(frozen=True)
class Report:
    """All the rows of one command, and the setting that they share. `command` is its name, `title` says what was measured."""

    command: str
    title: str
    rows: Sequence[Row]
    setting: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        return {"rows": [row.json() for row in self.rows], "setting": dict(self.setting)}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells: the name, the truth, what the row was measured under, and what was found. Empty columns are left out."""
        kinds = list(dict.fromkeys(row.kind for row in self.rows))
        under = [name for name in dict.fromkeys(name for row in self.rows for name in row.under) if not self._repeats_the_truth(name)]
        also = list(dict.fromkeys(name for row in self.rows for name in row.also))
        columns: list[tuple[str, Callable[[Row], str]]] = [
            (" / ".join(kinds), lambda row: row.name),
            ("truth", lambda row: shown(row.truth)),
            *((name, lambda row, name=name: shown(row.under.get(name))) for name in under),
            *((name, lambda row, name=name: shown(getattr(row, name))) for name in MEASURED[1:2]),
            ("", lambda row: row.mark if row.mean is not None else ""),
            *((name, lambda row, name=name: shown(getattr(row, name))) for name in MEASURED[2:]),
            *((name, lambda row, name=name: shown(row.also.get(name))) for name in also),
        ]
        found = [(name.replace("_", " "), [cell(row) for row in self.rows]) for name, cell in columns]
        kept = [(name, cells) for index, (name, cells) in enumerate(found) if index == 0 or any(cells)]
        return [name for name, _ in kept], [[cells[index] for _, cells in kept] for index in range(len(self.rows))]

    def _repeats_the_truth(self, name: str) -> bool:
        return all(row.under.get(name) == row.truth for row in self.rows)

    def notes(self) -> list[tuple[str, str]]:
        """What is to be said of a component, once for all its rows."""
        return list(dict.fromkeys((row.name, row.note) for row in self.rows if row.note))

    def metrics(self) -> dict[str, float]:
        """Every finite number of every row by a name of its own, for a tracker."""
        found: dict[str, float] = {}
        for row in self.rows:
            numbers = {name: getattr(row, name) for name in MEASURED} | dict(row.also)
            prefix = "/".join([row.name, *(f"{name}_{shown(value)}" for name, value in row.under.items())])
            for name, value in numbers.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    found[f"{prefix}/{name}"] = float(value)
        return found


def shown(value: Number) -> str:
    """A number as people read it: three decimals at most; whole ones as such."""
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    text = f"{value:.3f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"
    return text.rstrip("0").rstrip(".") if value.is_integer() else text


class Statistics(TypedDict):
    """Of independent batches."""

    mean: float
    std: float
    stderr: float


def statistics(values: Float[Tensor, " batches"]) -> Statistics:
    """`mean`, `std` over batches and `stderr` of the mean, of independent batches."""
    exact = values.detach().double()
    std = exact.std().item() if len(exact) > 1 else math.nan
    return {"mean": exact.mean().item(), "std": std, "stderr": std / math.sqrt(len(exact))}


def average(values: Sequence[Tensor]) -> float:
    return torch.stack(list(values)).double().mean().item()


def _plain(value: Number) -> Number:
    return None if isinstance(value, float) and not math.isfinite(value) else value
