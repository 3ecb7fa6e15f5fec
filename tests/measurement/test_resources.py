"""Times and peak memory of calls that are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from framework.measurement.resources import Effort, Times, peak_bytes, timed
from framework.testing.samples import normal


def test_a_call_is_repeated_and_timed_for_as_long_as_asked() -> None:
    calls: list[int] = []
    times = timed(lambda: calls.append(0), Effort(seconds=0.0, repeats=4))
    assert len(times.seconds) == times.calls == 4
    assert len(calls) >= 4 + 2
    longer = timed(lambda: sum(range(100_000)), Effort(seconds=0.05, repeats=1))
    assert longer.mean * longer.calls >= 0.05
    assert longer.calls > 1


def test_the_spread_is_between_the_deciles() -> None:
    times = Times(tuple(index / 1000 for index in (5, 1, 3, 10, 2, 4, 6, 7, 8, 9, 0)), 11)
    assert times.milliseconds() == pytest.approx({"median_ms": 5.0, "low_ms": 1.0, "high_ms": 9.0, "calls": 11})


def one_after_another(values: Tensor) -> None:
    for _ in range(5):
        values.exp()


@pytest.mark.parametrize(
    ("call", "least", "most"),
    [
        (lambda values: values[:, :32] @ values[:32, :128], 1 / 2, 1 / 2),
        (one_after_another, 1, 1),
        (lambda values: [values.exp() for _ in range(5)], 5, 5),
        (lambda values: values.exp().sum(), 1, 1.1),
        (lambda values: torch.autograd.grad(values.exp().sum(), values), 2, 2.1),
    ],
    ids=["a product", "released tensors", "tensors that live at once", "saved tensors", "gradients"],
)
def test_the_peak_is_the_largest_sum_of_bytes_that_live_at_once(call: Callable[[Tensor], object], least: float, most: float) -> None:
    """In units of a matrix of 256 x 256 numbers."""
    values = normal(256, 256).requires_grad_()
    assert least <= peak_bytes(lambda: call(values), torch.device("cpu")) / (256 * 256 * 4) <= most
