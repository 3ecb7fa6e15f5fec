"""The stages of an update in a trace for a browser's viewer, and the share of time of each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from framework.agent import Agent
from framework.replay.replay import Replay
from framework.training.compiled_steps import patched

UPDATES: Final = 3
MARK: Final = "dream/"
BACKWARD: Final = "autograd::engine::evaluate_function"


def traced(
    update: Callable[[], object], agent: Agent, replay: Replay, device: torch.device, file: Path, *, inside: bool
) -> dict[str, float]:
    """Write a trace of some updates, and return the share of each stage; the profiler slows small operators more than large ones.

    `inside` marks the stages within losses and gradients, which compiled or captured updates no longer call.
    """
    cuda = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with _marked(agent, replay, inside=inside), profile(activities=[ProfilerActivity.CPU, *cuda]) as profiler:
        for _ in range(UPDATES):
            with record_function(f"{MARK}update"):
                update()
        if cuda:
            torch.cuda.synchronize(device)
    file.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(file))
    times: dict[str, float] = {}
    for event in profiler.key_averages():
        stage = "backward" if event.key.startswith(BACKWARD) else event.key.removeprefix(MARK)
        if stage != event.key:
            times[stage] = times.get(stage, 0.0) + float(event.device_time_total if cuda else event.cpu_time_total)
    whole = times.pop("update")
    shares = {stage: time / whole for stage, time in sorted(times.items())}
    return shares | {"rest": 1 - sum(shares.values())}


@contextmanager
def _marked(agent: Agent, replay: Replay, *, inside: bool) -> Iterator[None]:
    """While entered, the stages of an update have names in a trace."""
    model, behavior = agent.world_model, agent.behavior
    stages: list[tuple[Any, str, str]] = [(optimizer, "step", "optimizers") for optimizer in agent.optimizers.values()]
    stages += [(replay, "sample", "sample"), (model, "after_update", "after_update"), (behavior, "after_update", "after_update")]
    if inside:
        stages += [(model.encoder, "forward", "encoder"), (model.dynamics, "observe", "dynamics")]
        stages += [(each, "forward", "objectives") for each in model.each_objective]
        policy = "sample_with_parameters" if behavior.needs_dynamics_gradient else "sample"
        stages += [(model.dynamics, "imagine_step", "imagination"), (behavior, policy, "policy"), (behavior, "losses", "behavior")]
    with ExitStack() as stack:
        for owner, method, name in stages:
            stack.enter_context(patched(owner, method, record_function(f"{MARK}{name}")(getattr(owner, method))))
        yield
