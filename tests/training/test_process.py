"""The process is set up when a training starts, and by nothing before."""

import gc
import platform
import resource
from collections.abc import Callable

import pytest
import torch

import framework
from framework.testing.samples import specs_of
from framework.training import runtime
from framework.training.learner import Learner
from framework.training.result import Result
from framework.training.run import Run
from framework.training.runtime import Runtime, keep_freed_memory
from tests.members import agent_factory

NUMBERS = 2**23
PAGES = 4 * NUMBERS // resource.getpagesize()


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The changes of the process that were asked for, and not made."""
    changes: list[str] = []
    monkeypatch.setattr(torch, "set_flush_denormal", lambda value: changes.append("flush denormal"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: changes.append(f"{count} threads"))
    monkeypatch.setattr(runtime, "keep_freed_memory", lambda: changes.append("malloc"))
    return changes


def test_a_run_and_a_policy_change_nothing_until_a_training_starts(tiny: Callable[..., Run], whole: Result, changes: list[str]) -> None:
    run = tiny("Trainer.steps=40")
    run.agent()
    framework.load_policy(whole.folder)
    assert changes == []
    run.train()
    assert changes == ["flush denormal", "malloc", "1 threads"]


@pytest.mark.parametrize(
    ("threads", "small", "expected"), [(None, True, ["1 threads"]), (None, False, []), (2, True, ["2 threads"]), (2, False, ["2 threads"])]
)
def test_a_small_agent_trains_on_one_thread_by_itself(
    changes: list[str], monkeypatch: pytest.MonkeyPatch, threads: int | None, small: bool, expected: list[str]
) -> None:
    agent = agent_factory()(specs=specs_of("both"))
    monkeypatch.setattr(runtime, "SMALL", sum(agent.parameter_count().values()) - (not small))
    Runtime(device="cpu", threads=threads).prepare_process(agent)
    assert changes[2:] == expected


def test_it_frees_the_figures_of_each_evaluation(tiny: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn, kept, pictures = [], [], Learner.pictures

    def figures() -> int:
        return sum(type(each) is Figure for each in gc.get_objects())

    def watch(self: Learner) -> dict[str, torch.Tensor]:
        images = pictures(self)
        drawn.append(len(images))
        kept.append(figures())
        return images

    monkeypatch.setattr(Learner, "pictures", watch)
    gc.collect()
    others = figures()
    tiny().train()
    assert min(drawn) > 0
    assert kept == [others, others]
    assert gc.isenabled()


def faults_of_a_large_tensor() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(NUMBERS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have their own ways")
def test_a_large_tensor_takes_the_memory_of_the_one_before() -> None:
    assert keep_freed_memory()
    # The first few find their place: the free memory is a little too small for an aligned tensor of its size.
    faults = [faults_of_a_large_tensor() for _ in range(12)]
    assert max(faults[-5:]) < PAGES / 10
