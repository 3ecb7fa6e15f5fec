"""`dream bench update`: one gradient update on a batch from the replay, with its counts and the limits of the machine."""

from pathlib import Path
from typing import Final, final

import torch

from framework.bench import machine
from framework.bench.counting import OperatorCounts, count, cuda_waits, kernels
from framework.bench.machine import MachineLimits
from framework.bench.profiling import traced
from framework.bench.setup import SEED, filled_replay, setting, specs_of
from framework.data import Metrics
from framework.measurement.report import Progress, Report, Row, Value, silent
from framework.measurement.resources import MEBIBYTE, USUAL, Effort, peak_bytes, timed
from framework.training.learner import LEARNING
from framework.training.run import Run

GIGA: Final = 1e9


@final
class SampledUpdate:
    """Sample a batch and make one update, as the learner does, without an environment."""

    def __init__(self, run: Run, actions: int | None = None) -> None:
        settings = run.composed.parameters()
        self.run, self.specs = run, specs_of(run, actions)
        self.agent = run.agent(self.specs)
        run.runtime.prepare_process(self.agent)
        self.batch, self.length = int(settings["Replay.batch"]), int(settings["Replay.length"])
        self.train_ratio = float(settings["Trainer.train_ratio"])
        self.replay = filled_replay(run, self.specs, steps=max(2 * self.length, 1000))
        self.generator = run.runtime.generator(SEED, LEARNING)
        self.update = run.runtime.update(self.agent)

    def __call__(self) -> Metrics:
        batch = self.replay.sample()
        with self.run.runtime.autocast():
            return self.update(batch, self.agent.draw_noise(batch, self.generator))

    def uncompiled(self) -> Metrics:
        """The same update, neither compiled nor captured."""
        batch = self.replay.sample()
        with self.run.runtime.autocast():
            return self.agent.update(batch, self.agent.draw_noise(batch, self.generator))


def measure(
    run: Run,
    effort: Effort = USUAL,
    progress: Progress = silent,
    *,
    actions: int | None = None,
    roofline: bool = False,
    profile: Path | None = None,
) -> Report:
    """One row. `roofline` adds the least times that arithmetic and memory allow; `profile` writes a trace, and adds shares of the time.

    The limits of the machine are the better ones of two measurements, before and after the updates.
    """
    update, runtime = SampledUpdate(run, actions), run.runtime
    device, dtype = runtime.device, getattr(torch, runtime.precision)
    progress(0, 3, "limits of the machine")
    before = machine.limits(device, dtype)
    progress(1, 3, "update")
    times = timed(update, effort)
    progress(2, 3, "limits of the machine, counts")
    after = machine.limits(device, dtype)
    best = MachineLimits(flops=max(before.flops, after.flops), bytes=max(before.bytes, after.bytes))
    counts = count(update.uncompiled)
    values = _speeds(update, times.median) | {"peak_MiB": peak_bytes(update, device) / MEBIBYTE} | _counts(counts, times.median, best)
    if roofline:
        values |= _roofline(counts, times.median, best)
    if device.type == "cuda":
        values |= {"kernels": kernels(update), "waits": cuda_waits(update)}
    if profile is not None:
        inside = runtime.compile == runtime.capture == "off"
        shares = traced(update, update.agent, update.replay, device, profile, inside=inside)
        values |= {f"share_{name}": share for name, share in shares.items()}
    sizes = {"batch": update.batch, "length": update.length, "parameters": dict(update.agent.parameter_count())}
    return Report(
        command="update",
        kind="update",
        title=f"One update of {run.composed.recipe.stem}, {update.batch} x {update.length}, {runtime.precision}, "
        f"compile {runtime.compile}, capture {runtime.capture}.",
        rows=[Row("update", times.milliseconds() | values)],
        setting=setting(run, update.specs) | sizes,
    )


def _speeds(update: SampledUpdate, seconds: float) -> dict[str, Value]:
    replayed = update.batch * update.length / seconds
    return {
        "updates_per_second": 1 / seconds,
        "replayed_steps_per_second": replayed,
        "environment_steps_per_second": replayed / update.train_ratio if update.train_ratio else None,
    }


def _counts(counts: OperatorCounts, seconds: float, most: MachineLimits) -> dict[str, Value]:
    return {
        "GFLOP": counts.flops / GIGA,
        "GFLOP_per_second": counts.flops / seconds / GIGA,
        "product_GFLOP_per_second": most.flops / GIGA,
        "share_of_product": counts.flops / seconds / most.flops,
        "operators": counts.operators,
        "operators_computing": counts.computing,
        "waits": counts.waits,
    }


def _roofline(counts: OperatorCounts, seconds: float, most: MachineLimits) -> dict[str, Value]:
    """Least times: of the arithmetic, of the bytes of products if all else is fused, and of all bytes as operators stand."""
    arithmetic, moving = counts.flops / most.flops, counts.heavy_bytes / most.bytes
    return {
        "copy_GB_per_second": most.bytes / GIGA,
        "arithmetic_ms": 1e3 * arithmetic,
        "product_GB": counts.heavy_bytes / GIGA,
        "product_bytes_ms": 1e3 * moving,
        "all_GB": counts.bytes / GIGA,
        "all_bytes_ms": 1e3 * counts.bytes / most.bytes,
        "GB_per_second": counts.bytes / seconds / GIGA,
        "times_the_floor": seconds / max(arithmetic, moving),
    }
