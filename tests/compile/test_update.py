"""A compiled update is the update: losses, gradients and parameters agree, checkpoints are the same, and failing leaves a way on."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError
from framework.training.compiled import CACHE, KEPT, Compiled
from framework.training.compiled_steps import CompiledSteps
from framework.training.runtime import Runtime
from tests.members import agent_factory, factory
from tests.tiny import batch, seeded, specs_of


def one_graph(function: Callable[..., Tensor], backend: str | Callable[..., object] = "inductor") -> Callable[..., Tensor]:
    return torch.compile(function, fullgraph=True, dynamic=False, backend=backend)


@pytest.fixture(autouse=True)
def fresh_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(CACHE, str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make() -> Agent:
    """With a slow copy of the value, an entropy, and rollouts from some of the steps."""
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


def learn(agent: Agent, update: Callable[[Batch, UpdateNoise], Metrics], updates: int, first: int = 0) -> list[Metrics]:
    generator = seeded(7 + first)
    return [update(data(seed), agent.draw_noise(data(seed), generator)) for seed in range(first, first + updates)]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_agrees_with_the_plain_one_and_leaves_the_same_checkpoint(capsys):
    """Adam divides by the size of a gradient, so that gradients which are nothing but rounding would move parameters: none are here."""
    plain, agent = make(), make()
    compiled = Compiled(agent.update, CompiledSteps(agent, backend="aot_eager"), name="the update", falls_back=False)
    metrics, expected = learn(agent, compiled, 3), learn(plain, plain.update, 3)
    assert "Compiling the update" in capsys.readouterr().err
    assert compiled.chosen is not compiled.plain
    assert [*metrics[0]] == [*expected[0]]
    assert len(metrics[0]) > 15
    for one, other in zip(metrics, expected, strict=True):
        assert [name for name in other if not close(one[name], other[name])] == []
    checkpoint = agent.state_dict()
    assert [*checkpoint] == [*plain.state_dict()]
    assert [name for name, value in plain.state_dict().items() if not close(checkpoint[name], value)] == []

    resumed = make()
    resumed.load_state_dict(checkpoint)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(agent.optimizers[name].state_dict())
    after, same = learn(resumed, resumed.update, 1, first=3)[0], learn(agent, compiled, 1, first=3)[0]
    assert [name for name in after if not close(after[name], same[name])] == []


def test_off_is_the_agent_itself_and_on_a_cpu_so_is_auto():
    agent = make()
    for how in ("off", "auto"):
        assert Runtime(device="cpu", compile=how).update(agent) == agent.update
    assert isinstance(Runtime(device="cpu", compile="steps").update(agent), Compiled)


@pytest.mark.parametrize(("given", "kept"), [(None, str(KEPT)), (default_cache_dir(), str(KEPT)), ("/somewhere/else", "/somewhere/else")])
def test_compiled_code_outlives_the_temporary_files_unless_the_user_names_a_place(given, kept, monkeypatch):
    monkeypatch.setenv(CACHE, given) if given else monkeypatch.delenv(CACHE)
    Compiled(torch.sin, torch.sin, name="the update", falls_back=True)
    assert os.environ[CACHE] == kept


def broken(graph: torch.fx.GraphModule, given: list[Tensor]) -> Callable[..., object]:
    raise FileNotFoundError("no compiler here")


def test_where_compiling_fails_it_goes_on_with_one_warning(caplog):
    study = Compiled(torch.sin, one_graph(torch.sin, backend=broken), name="the update", falls_back=True)
    with caplog.at_level(logging.WARNING):
        found = [study(torch.ones(2)) for _ in range(2)]
    assert all(torch.equal(each, torch.ones(2).sin()) for each in found)
    (record,) = [each for each in caplog.records if each.name == "framework.training.compiled"]
    assert "the update (FileNotFoundError: no compiler here): it runs uncompiled" in record.getMessage()


def test_where_compiling_fails_and_was_asked_for_it_says_what_to_do():
    study = Compiled(torch.sin, one_graph(torch.sin, backend=broken), name="the update", falls_back=False)
    with pytest.raises(UserError, match=r"no compiler here.*bind Runtime.compile = 'auto'"):
        study(torch.ones(2))


def test_a_mistake_of_the_functions_own_is_told_as_ever():
    def mistaken(given: Tensor) -> Tensor:
        raise UserError("No loss reaches it.")

    with pytest.raises(UserError, match=r"^No loss reaches it\.$"):
        Compiled(mistaken, one_graph(mistaken, backend="eager"), name="the update", falls_back=False)(torch.ones(2))


def test_a_machine_without_a_compiler_is_told_so(monkeypatch, caplog):
    """The real one, told to use a compiler that is not there."""
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))

    def function(given: Tensor) -> Tensor:
        return given.sin() + 1

    study = Compiled(function, one_graph(function), name="the update", falls_back=True)
    with caplog.at_level(logging.WARNING), torch._inductor.config.patch(force_disable_caches=True):
        found = study(torch.ones(2))
    assert torch.equal(found, torch.ones(2).sin() + 1)
    (record,) = [each for each in caplog.records if each.name == "framework.training.compiled"]
    assert "InvalidCxxCompiler" in record.getMessage()


def test_shapes_are_fixed_but_another_batch_is_another_graph():
    """A recompilation gives the same numbers."""

    def function(given: Tensor) -> Tensor:
        return given.square().sum()

    study = Compiled(function, one_graph(function, backend="eager"), name="the sum", falls_back=False)
    assert study(torch.ones(2)) == 2
    assert study(torch.ones(3)) == 3


def test_an_update_is_a_function_of_its_batch_and_its_noise():
    one, other = make(), make()
    noise = one.draw_noise(data(0), seeded(1))
    first, second = one.update(data(0), noise), other.update(data(0), replace(noise))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_cells_stand_in_for_the_agents_own_steps_only_while_it_studies():
    agent = make()
    owners = (agent.world_model.dynamics, agent.behavior)
    before = [dict(vars(owner)) for owner in owners]
    noise = agent.draw_noise(data(0), seeded(1))
    CompiledSteps(agent, backend="eager")(data(0), noise)
    assert [[*vars(owner)] for owner in owners] == [[*each] for each in before]
    with pytest.raises(BackendCompilerFailed, match="no compiler here"):
        CompiledSteps(agent, backend=broken)(data(0), noise)
    assert [[*vars(owner)] for owner in owners] == [[*each] for each in before]
    copy = pickle.loads(pickle.dumps(agent.world_model))
    assert [*copy.state_dict()] == [*agent.world_model.state_dict()]


def test_a_cell_is_compiled_once_whatever_the_length_of_the_loop():
    graphs: list[torch.fx.GraphModule] = []

    def counting(graph: torch.fx.GraphModule, given: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    agent = make()
    agent.horizon = 5
    cells = CompiledSteps(agent, backend=counting)
    for seed in range(2):
        long = batch("vectors", rows=2, times=6, seed=seed)
        cells(long, agent.draw_noise(long, seeded(seed)))
    assert len(graphs) == 3, "a step of filtering, one of imagination, and the policy's"
