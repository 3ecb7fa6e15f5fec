"""Rows of estimates: the mean over independent batches with its standard error, with the true information."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import torch
from torch import Tensor

from framework.measurement.report import Row, Value

Side = Literal["lower", "upper", "neither"]
"""On which side of the true information the mean of an estimate lies."""
MARKS: Final[Mapping[Side, str]] = {"lower": "", "upper": "upper bound", "neither": "no bound"}


def estimate_row(
    name: str,
    *,
    truth: float | None,
    conditions: Mapping[str, Value] | None = None,
    estimates: Sequence[Tensor] = (),
    accuracies: Sequence[Tensor] = (),
    ceiling: float | None = None,
    side: Side | None = None,
    extra: Mapping[str, Value] | None = None,
    note: str = "",
) -> Row:
    """One row, informations in nats. `estimates` and `accuracies` have one number for each batch; without any, the row has no numbers."""
    values: dict[str, Value] = {
        "truth": truth,
        **(conditions or {}),
        "mean": average(estimates),
        "mark": MARKS[side] if side and estimates else "",
        "is_lower_bound": None if side is None else side == "lower",
        "stderr": standard_error(estimates),
        "std": _deviation(estimates) if len(estimates) > 1 else None,
        "ceiling": ceiling,
        "accuracy": average(accuracies),
    }
    return Row(name, values | dict(extra or {}), note)


def average(values: Sequence[Tensor]) -> float | None:
    return torch.stack([*values]).double().mean().item() if values else None


def standard_error(values: Sequence[Tensor]) -> float | None:
    """The standard error of the mean of independent values; none of a single value."""
    return _deviation(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _deviation(values: Sequence[Tensor]) -> float:
    return torch.stack([*values]).double().std().item()
