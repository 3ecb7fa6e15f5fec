"""A compiled update is the update: metrics and parameters agree, checkpoints are the same, and a failure leaves a way on."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from torch import Tensor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError
from framework.testing.samples import batch, seeded, specs_of
from framework.training.compiled_steps import CACHE, CACHE_FOLDER, CompiledSteps
from framework.training.runtime import Runtime
from tests.members import agent_factory, factory

Update = Callable[[Batch, UpdateNoise], Metrics]


@pytest.fixture(autouse=True)
def fresh_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(CACHE, str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make() -> Agent:
    """An agent with a slow copy of the value, an entropy, and rollouts from some of the steps."""
    torch.manual_seed(0)
    agent: Agent = agent_factory(
        encoder=factory("encoders", "MLPEncoder"),
        objectives=[factory("objectives", "InfoNCE")],
        actor_critic=factory("actor_critics", "DynamicsBackprop", value=factory("values", "NormalValue", slow_rate=0.5), entropy=0.1),
        horizon=2,
        imagination_starts=4,
    )(specs=specs_of("vectors"))
    return agent


def data(seed: int) -> Batch:
    return batch("vectors", rows=2, times=3, seed=seed)


def updates(agent: Agent, update: Update, seeds: range) -> list[Metrics]:
    return [update(data(seed), agent.draw_noise(data(seed), seeded(7 + seed))) for seed in seeds]


def differing(one: Metrics, other: Metrics) -> list[str]:
    assert [*one] == [*other]
    return [name for name in other if not torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5)]


def broken(graph: torch.fx.GraphModule, arguments: list[Tensor]) -> Callable[..., object]:
    raise FileNotFoundError("no compiler here")


def test_it_agrees_with_the_plain_update_and_leaves_the_same_checkpoint(capsys):
    """Adam divides by the size of a gradient, so that a gradient of rounding alone would move parameters: none is here."""
    plain, agent = make(), make()
    compiled = CompiledSteps(agent, falls_back=False, backend="aot_eager")
    metrics, expected = updates(agent, compiled, range(2)), updates(plain, plain.update, range(2))
    assert "Compiling the update" in capsys.readouterr().err
    assert len(metrics[0]) > 15
    assert [differing(one, other) for one, other in zip(metrics, expected, strict=True)] == [[], []]
    kept = agent.state_dict()
    assert differing(kept, plain.state_dict()) == []
    resumed = make()
    resumed.load_state_dict(kept)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(agent.optimizers[name].state_dict())
    (after,), (same,) = updates(resumed, resumed.update, range(2, 3)), updates(agent, compiled, range(2, 3))
    assert differing(after, same) == []


def test_off_is_the_plain_update_and_on_a_cpu_so_is_auto():
    agent = make()
    for how in ("off", "auto"):
        assert Runtime(device="cpu", compile=how).update(agent) == agent.update
    assert isinstance(Runtime(device="cpu", compile="steps").update(agent), CompiledSteps)


@pytest.mark.parametrize(
    ("setting", "folder"),
    [(None, CACHE_FOLDER), (default_cache_dir(), CACHE_FOLDER), ("/somewhere/else", "/somewhere/else")],
)
def test_compiled_code_outlives_the_temporary_files_unless_the_user_names_a_folder(setting, folder, monkeypatch):
    monkeypatch.setenv(CACHE, setting) if setting else monkeypatch.delenv(CACHE)
    CompiledSteps(make(), falls_back=True)
    assert os.environ[CACHE] == folder


@pytest.mark.parametrize("backend", ["eager", broken])
def test_the_agents_own_steps_are_replaced_only_during_an_update_and_a_failure_leaves_the_plain_one(backend, caplog):
    plain, agent = make(), make()
    owners = (agent.world_model.dynamics, agent.behavior)
    before = [[*vars(owner)] for owner in owners]
    with caplog.at_level(logging.WARNING):
        metrics = updates(agent, CompiledSteps(agent, falls_back=True, backend=backend), range(2))
    assert [differing(*pair) for pair in zip(metrics, updates(plain, plain.update, range(2)), strict=True)] == [[], []]
    assert [[*vars(owner)] for owner in owners] == before
    assert [*pickle.loads(pickle.dumps(agent.world_model)).state_dict()] == [*agent.world_model.state_dict()]
    assert caplog.text.count("the update (FileNotFoundError: no compiler here): it runs uncompiled") == (backend is broken)


def test_where_compilation_fails_and_was_asked_for_the_error_says_what_to_do():
    agent = make()
    with pytest.raises(UserError, match=r"no compiler here.*bind Runtime.compile = 'auto'"):
        updates(agent, CompiledSteps(agent, falls_back=False, backend=broken), range(1))


def test_an_error_of_the_update_itself_is_raised_as_it_is(monkeypatch):
    agent = make()

    def mistaken(batch: Batch, noise: UpdateNoise) -> Metrics:
        raise UserError("No loss reaches it.")

    monkeypatch.setattr(agent, "update", mistaken)
    with pytest.raises(UserError, match=r"^No loss reaches it\.$"):
        updates(agent, CompiledSteps(agent, falls_back=False, backend="eager"), range(1))


@pytest.mark.nightly
def test_a_machine_without_a_compiler_gets_one_warning(monkeypatch, caplog):
    """The real backend, with a compiler that is not there."""
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    agent = make()
    with caplog.at_level(logging.WARNING), torch._inductor.config.patch(force_disable_caches=True):
        updates(agent, CompiledSteps(agent, falls_back=True), range(1))
    (record,) = [each for each in caplog.records if each.name == "framework.training.compiled_steps"]
    assert "InvalidCxxCompiler" in record.getMessage()


def test_a_step_is_compiled_once_whatever_the_length_of_the_loop():
    graphs: list[torch.fx.GraphModule] = []

    def counting(graph: torch.fx.GraphModule, arguments: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    agent = make()
    agent.horizon = 5
    compiled = CompiledSteps(agent, falls_back=False, backend=counting)
    for seed in range(2):
        long = batch("vectors", rows=2, times=6, seed=seed)
        compiled(long, agent.draw_noise(long, seeded(seed)))
    assert len(graphs) == 3, "a step of filtering, one of imagination, and the policy's"
