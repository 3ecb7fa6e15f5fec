"""Counts and clocks: laws, literal numbers."""

import pytest
import torch

from framework.bench import limits, run
from framework.bench.clock import WARM_UP, Effort, Times, clocked
from framework.bench.counting import count
from framework.bench.report import Report, Row
from framework.tracking.jsonl import Jsonl

CPU = torch.device("cpu")


def test_it_counts_a_product_as_it_is():
    one, other = torch.randn(3, 5), torch.randn(5, 7)
    found = count(lambda: one @ other)
    assert (found.operators, found.computing, found.waits) == (1, 1, 0)
    assert found.flops == 2 * 3 * 5 * 7
    assert found.bytes == found.heavy_bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)


def test_it_counts_what_goes_backward_too():
    weight, given = torch.randn(3, 5, requires_grad=True), torch.randn(7, 5)
    found = count(lambda: torch.autograd.grad((given @ weight.T).sum(), weight))
    assert found.flops == 2 * (2 * 3 * 5 * 7)
    assert found.by_name["mm"] == 2


def test_a_view_computes_nothing():
    found = count(lambda: torch.ones(2, 3).T[0])
    assert (found.operators, found.computing) == (4 - 1, 1)
    assert found.bytes == 4 * 6


@pytest.mark.parametrize(
    "read",
    [
        lambda given: given[0].item(),
        lambda given: bool(given.sum() > 0),
        lambda given: given[given > 0],
        lambda given: given.nonzero(),
        lambda given: torch.equal(given, given),
    ],
)
def test_what_the_host_must_know_is_a_wait(read):
    given = torch.ones(3)
    assert count(lambda: read(given)).waits >= 1
    assert count(lambda: given.where(given > 0, 0.0)[torch.tensor([1])]).waits == 0


def test_it_warms_up_and_then_measures_for_as_long_as_it_is_told():
    calls = []
    times = clocked(lambda: calls.append(0), CPU, Effort(seconds=0.0, repeats=4), "nothing")
    assert len(times.seconds) == 4
    assert len(calls) == 4 + WARM_UP
    longer = clocked(lambda: sum(range(100_000)), CPU, Effort(seconds=0.05, repeats=1), "something")
    assert sum(longer.seconds) >= 0.05
    assert len(longer.seconds) > 1


def test_the_median_and_the_spread():
    times = Times([0.005, 0.001, 0.003, 0.1, 0.002, 0.004, 0.006, 0.007, 0.008, 0.009])
    assert times.milliseconds() == pytest.approx({"median_ms": 5.5, "low_ms": 2.0, "high_ms": 100.0, "calls": 10})


def test_the_shares_of_a_run_are_over_all_the_time_since_updates_began(tmp_path):
    """Of the prefill and the first interval with updates nothing counts, and one without counts as long as it was."""
    tracker = Jsonl(run_folder=tmp_path)
    for step, (minutes, share, updates) in enumerate([(1, 0.0, False), (3, 0.9, True), (4, 0.0, False), (7, 0.8, True)]):
        values = {"time/minutes": minutes, "time/share_update": share} | ({"time/seconds_per_update": 0.1} if updates else {})
        tracker.metrics(step, values)
        tracker.metrics(step, {"eval/return": 1.0})
    tracker.close("FINISHED")
    intervals = run._intervals(tmp_path)
    assert [each["minutes"] for each in intervals] == [1.0, 3.0]
    assert run._mean(intervals, "share_update") == pytest.approx(0.8 * 3 / 4)


def test_the_limits_are_operations_and_bytes_of_what_was_timed(monkeypatch):
    monkeypatch.setattr(limits, "SIZE", 64)
    monkeypatch.setattr(limits, "COPIED", 1024)
    monkeypatch.setattr(limits, "timed", lambda call, device: call() is None or 0.5)
    found = limits.measured(CPU, torch.float32)
    assert found.flops == 2 * 64**3 / 0.5
    assert found.bytes == 2 * 4 * 1024 / 0.5


def test_a_lone_row_stands_upright_and_several_side_by_side():
    rows = [Row("small", {"median_ms": 1.23456, "calls": 5, "GFLOP": None}), Row("large", {"median_ms": 12345.6, "peak_MiB": 3.0})]
    lone = Report(command="update", title="", rows=rows[:1], setting={}).table()
    assert lone == (["update", "small"], [["median ms", "1.23"], ["calls", "5"]])
    columns, cells = Report(command="update", title="", rows=rows, setting={}).table()
    assert columns == ["update", "median ms", "calls", "peak MiB"]
    assert cells == [["small", "1.23", "5", ""], ["large", "12,346", "", "3"]]
