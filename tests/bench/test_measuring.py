"""Counts of known operators, limits, and the shares of a run."""

import pytest
import torch

from framework.bench import machine, run
from framework.bench.counting import count
from framework.measurement.resources import Times
from framework.tracking.base import MetricsEvent
from framework.tracking.jsonl import Jsonl

CPU = torch.device("cpu")


def test_products_are_counted_with_their_arithmetic_and_bytes_and_views_without():
    left, right = torch.randn(3, 5), torch.randn(5, 7)
    counts = count(lambda: (left @ right)[0])
    assert (counts.operators, counts.computing, counts.waits) == (2, 1, 0)
    assert counts.flops == 2 * 3 * 5 * 7
    assert counts.bytes == counts.heavy_bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)


def test_backward_passes_are_counted():
    weight, values = torch.randn(3, 5, requires_grad=True), torch.randn(7, 5)
    counts = count(lambda: torch.autograd.grad((values @ weight.T).sum(), weight))
    assert counts.flops == 2 * (2 * 3 * 5 * 7)
    assert counts.by_name["mm"] == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda values: values[0].item(),
        lambda values: bool(values.sum() > 0),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: torch.equal(values, values),
    ],
)
def test_a_result_that_the_host_needs_is_a_wait(read):
    values = torch.ones(3)
    assert count(lambda: read(values)).waits >= 1
    assert count(lambda: values.where(values > 0, 0.0)[torch.tensor([1])]).waits == 0


def test_the_shares_of_a_run_are_means_over_time_since_updates_began(tmp_path):
    """The prefill and the first interval with updates do not count; an interval without updates counts by its length."""
    tracker = Jsonl(run_folder=tmp_path)
    for step, (minutes, share, updates) in enumerate([(1, 0.0, False), (3, 0.9, True), (4, 0.0, False), (7, 0.8, True)]):
        values = {"time/minutes": minutes, "time/share_update": share} | ({"time/seconds_per_update": 0.1} if updates else {})
        tracker.record(MetricsEvent(step, values))
        tracker.record(MetricsEvent(step, {"eval/return": 1.0}))
    tracker.close("FINISHED")
    intervals = run._intervals(tmp_path)
    assert [each["minutes"] for each in intervals] == [1.0, 3.0]
    assert run._mean(intervals, "share_update") == pytest.approx(0.8 * 3 / 4)


def test_the_limits_are_operations_and_bytes_of_the_least_time(monkeypatch):
    monkeypatch.setattr(machine, "SIZE", 64)
    monkeypatch.setattr(machine, "COPIED", 1024)
    monkeypatch.setattr(machine, "timed", lambda call, effort: call() is None or Times((0.7, 0.5), 2))
    measured = machine.limits(CPU, torch.float32)
    assert measured.flops == 2 * 64**3 / 0.5
    assert measured.bytes == 2 * 4 * 1024 / 0.5
