"""Times and peak memory of calls that are known."""

import pytest
import torch

from framework.measurement.memory import peak_bytes
from framework.measurement.timing import Effort, Times, timed
from tests.tiny import normal

CPU = torch.device("cpu")
SIZE = 256 * 256 * 4


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


def test_the_peak_of_a_product_is_its_size() -> None:
    first, second = normal(256, 32), normal(32, 128)
    assert peak_bytes(lambda: first @ second, CPU) == 256 * 128 * 4


def test_the_peak_counts_tensors_that_live_at_once_and_not_released_ones() -> None:
    values = normal(256, 256)

    def one_after_another() -> None:
        for _ in range(5):
            values.exp()

    assert peak_bytes(one_after_another, CPU) == SIZE
    assert peak_bytes(lambda: [values.exp() for _ in range(5)], CPU) == 5 * SIZE


def test_the_peak_counts_gradients_and_saved_tensors() -> None:
    values = normal(256, 256).requires_grad_()
    forward = peak_bytes(lambda: values.exp().sum(), CPU)
    backward = peak_bytes(lambda: torch.autograd.grad(values.exp().sum(), values), CPU)
    assert SIZE <= forward < 1.1 * SIZE
    assert 2 * SIZE <= backward < 2.1 * SIZE
