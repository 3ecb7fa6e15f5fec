"""A captured update is the update: whatever changes between updates is in tensors that keep their addresses."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError
from framework.testing.checks import tensors
from framework.testing.samples import seeded
from framework.training.captured import WARM_UP, CapturedUpdate
from framework.training.runtime import Runtime
from tests.training.agents import SAMPLED, agents
from tests.training.tape import Tape


def kept(agent: Agent) -> list[Tensor]:
    """The tensors that last: parameters, buffers (also those that no checkpoint has), the state of optimizers."""
    optimizers = [optimizer.state_dict() for optimizer in agent.optimizers.values()]
    return [*agent.parameters(), *agent.buffers(), *tensors(optimizers)]


IN_BLOCKS = [("quickstart", ("InfoNCE.chunk_above = 7", "InfoNCE.negatives = @UniformSubset", "UniformSubset.candidates = 3"))]
"""Batches here have 8 steps."""


def noise_of(agent: Agent, batch: Batch, seed: int) -> UpdateNoise:
    return agent.draw_noise(batch, seeded(seed))


def capture(agent: Agent) -> tuple[CapturedUpdate, Tape]:
    tape = Tape(partial(kept, agent))
    return CapturedUpdate(agent.update, tape), tape


@pytest.mark.parametrize(("name", "bindings"), [*(pytest.param(*each.values, (), marks=each.marks) for each in SAMPLED), *IN_BLOCKS])
def test_replayed_it_equals_the_plain_update_of_every_recipe(name, bindings):
    (plain, agent), data = agents(name, 2, bindings=bindings)
    captured, tape = capture(agent)
    for seed in range(WARM_UP + 3):
        metrics = captured(data(seed), noise_of(agent, data(seed), seed))
        expected = plain.update(data(seed), noise_of(plain, data(seed), seed))
        assert [*metrics] == [*expected]
        assert [key for key in expected if not torch.equal(metrics[key], expected[key].float())] == []
    assert len(tape.operators) > 500
    assert all(torch.equal(one, other) for one, other in zip(kept(agent), kept(plain), strict=True))


def test_metrics_outlast_the_next_update_and_batches_have_one_shape():
    (agent,), data = agents("quickstart", 1)
    captured, _ = capture(agent)
    metrics = [captured(data(seed), noise_of(agent, data(seed), seed)) for seed in range(WARM_UP + 1)][-1]
    before = {name: value.item() for name, value in metrics.items()}
    captured(data(9), noise_of(agent, data(9), 9))
    assert {name: value.item() for name, value in metrics.items()} == before
    with pytest.raises(AssertionError, match="batches of one shape"):
        captured(data(0).map(lambda tensor: tensor[:1]), noise_of(agent, data(0), 0))


def test_loading_a_checkpoint_keeps_every_address():
    """So a captured update continues from the loaded parameters and optimizers."""
    (plain, agent), data = agents("dreamer_v3_infonce", 2)
    captured, _ = capture(agent)
    for seed in range(WARM_UP + 2):
        captured(data(seed), noise_of(agent, data(seed), seed))
        plain.update(data(seed + 20), noise_of(plain, data(seed + 20), seed))
    before = [tensor.data_ptr() for tensor in kept(agent)]
    agent.load_state_dict(plain.state_dict())
    for name, optimizer in agent.optimizers.items():
        optimizer.load_state_dict(copy.deepcopy(plain.optimizers[name].state_dict()))
    assert [tensor.data_ptr() for tensor in kept(agent)] == before
    captured(data(9), noise_of(agent, data(9), 9))
    plain.update(data(9), noise_of(plain, data(9), 9))
    assert all(torch.equal(one, other) for one, other in zip(kept(agent), kept(plain), strict=True))


def test_an_update_that_waits_for_the_device_cannot_be_captured():
    (agent,), data = agents("quickstart", 1)

    def update(batch: Batch, noise: UpdateNoise) -> Metrics:
        return {"train/reward": torch.full((), batch.reward.sum().item())}

    captured, noise = CapturedUpdate(update, Tape(partial(kept, agent))), noise_of(agent, data(0), 7)
    for _ in range(WARM_UP):
        captured(data(0), noise)
    with pytest.raises(UserError, match=r"not permitted when stream is capturing.*bind Runtime.capture = 'off'"):
        captured(data(0), noise)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_it_is_refused_without_cuda():
    with pytest.raises(UserError, match=r"Runtime.capture = 'update' needs CUDA, and the device is cpu; bind Runtime.capture = 'off'"):
        Runtime(device="cpu", capture="update")
