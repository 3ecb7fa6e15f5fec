"""`dream bench update`: one gradient update on a batch from the replay, with its counts and the limits of the machine."""

from pathlib import Path
from typing import Any, Final, final

from framework.bench import limits, machine
from framework.bench.counting import OperatorCounts, count, cuda_waits, kernels
from framework.bench.limits import MachineLimits
from framework.bench.profiling import traced
from framework.bench.subject import SEED, Subject
from framework.data import Metrics
from framework.measurement.memory import peak_bytes
from framework.measurement.report import Progress, Report, Row, Value, silent
from framework.measurement.timing import USUAL, Effort, timed
from framework.training.learner import LEARNING

GIGA: Final = 1e9
MEBIBYTE: Final = 2**20


@final
class SampledUpdate:
    """Sample a batch and make one update, as the learner does, without an environment."""

    def __init__(self, subject: Subject) -> None:
        settings = subject.settings
        self.subject, self.agent = subject, subject.agent()
        subject.runtime.prepare_process(self.agent)
        self.batch, self.length = int(settings["Replay.batch"]), int(settings["Replay.length"])
        self.replay = subject.replay(steps=max(2 * self.length, 1000))
        self.generator = subject.runtime.generator(SEED, LEARNING)
        self.update = subject.runtime.update(self.agent)

    def __call__(self) -> Metrics:
        batch = self.replay.sample()
        with self.subject.runtime.autocast():
            return self.update(batch, self.agent.draw_noise(batch, self.generator))

    def uncompiled(self) -> Metrics:
        """The same update, neither compiled nor captured."""
        batch = self.replay.sample()
        with self.subject.runtime.autocast():
            return self.agent.update(batch, self.agent.draw_noise(batch, self.generator))


def measure(
    subject: Subject, effort: Effort = USUAL, progress: Progress = silent, *, roofline: bool = False, profile: Path | None = None
) -> Report:
    """One row. `roofline` adds the least times that arithmetic and memory allow; `profile` writes a trace, and adds shares of the time.

    The limits of the machine are the better ones of two measurements, before and after the updates.
    """
    update, device = SampledUpdate(subject), subject.runtime.device
    progress(0, 3, "limits of the machine")
    before = limits.measured(device, subject.dtype)
    progress(1, 3, "update")
    times = timed(update, effort)
    progress(2, 3, "limits of the machine, counts")
    after = limits.measured(device, subject.dtype)
    best = MachineLimits(flops=max(before.flops, after.flops), bytes=max(before.bytes, after.bytes))
    counts = count(update.uncompiled)
    values = _speeds(update, times.median) | {"peak_MiB": peak_bytes(update, device) / MEBIBYTE} | _counts(counts, times.median, best)
    if roofline:
        values |= _roofline(counts, times.median, best)
    if device.type == "cuda":
        values |= {"kernels": kernels(update), "waits": cuda_waits(update)}
    if profile is not None:
        inside = subject.runtime.compile == subject.runtime.capture == "off"
        shares = traced(update, update.agent, update.replay, device, profile, inside=inside)
        values |= {f"share_{name}": share for name, share in shares.items()}
    row = Row("update", times.milliseconds() | values)
    return Report(command="update", kind="update", title=_title(update), rows=[row], setting=_setting(update))


def _setting(update: SampledUpdate) -> dict[str, Any]:
    sizes = {"batch": update.batch, "length": update.length, "parameters": dict(update.agent.parameter_count())}
    return update.subject.facts() | sizes | machine.facts(update.subject.runtime.device)


def _title(update: SampledUpdate) -> str:
    runtime = update.subject.runtime
    how = f"compile {runtime.compile}, capture {runtime.capture}"
    return f"One update of {update.subject.plan.recipe.stem}, {update.batch} x {update.length}, {runtime.precision}, {how}."


def _speeds(update: SampledUpdate, seconds: float) -> dict[str, Value]:
    steps, ratio = update.batch * update.length, float(update.subject.settings["Trainer.train_ratio"])
    return {
        "updates_per_second": 1 / seconds,
        "replayed_steps_per_second": steps / seconds,
        "environment_steps_per_second": steps / seconds / ratio if ratio else None,
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
