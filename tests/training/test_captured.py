"""A captured update is the update: whatever changes from one to the next is in tensors, and stays where it was."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.errors import UserError
from framework.training.captured import WARM_UP, CapturedUpdate
from framework.training.runtime import Runtime
from tests.test_recipes import NAMES
from tests.tiny import seeded, update
from tests.training.agents import agents
from tests.training.tape import Tape, tensors


def kept(agent: Agent) -> list[Tensor]:
    """All that lasts from update to update: parameters, buffers (also what no checkpoint has), optimizers."""
    optimizers = [optimizer.state_dict() for optimizer in agent.optimizers.values()]
    return [*agent.parameters(), *agent.buffers(), *tensors(optimizers)]


IN_BLOCKS = [("quickstart", ("InfoNCE.chunk_above = 7", "InfoNCE.negatives = @UniformSubset", "UniformSubset.candidates = 3"))]
"""Batches here have 8 steps."""


@pytest.mark.parametrize(("name", "bindings"), [*((name, ()) for name in NAMES), *IN_BLOCKS])
def test_replayed_it_equals_the_plain_update_of_every_recipe(name, bindings):
    (plain, agent), data = agents(name, 2, bindings=bindings)
    tape = Tape(partial(kept, agent))
    captured, said, expected = CapturedUpdate(agent.update, tape), [], []
    one, other = seeded(7), seeded(7)
    for seed in range(WARM_UP + 3):
        said.append(captured(data(seed), agent.draw_noise(data(seed), one)))
        expected.append(update(plain, data(seed), other))
    assert len(tape.operators) > 500
    for found, right in zip(said, expected, strict=True):
        assert [*found] == [*right]
        assert [key for key in right if not torch.equal(found[key], right[key].float())] == []
    assert all(torch.equal(one, other) for one, other in zip(kept(agent), kept(plain), strict=True))


def test_a_number_that_python_counts_is_caught():
    """What the test above is worth: with such a number, replays would differ."""
    (agent,), data = agents("quickstart", 1)
    counted, noise = [0], agent.draw_noise(data(0), seeded(7))

    def learn(batch: Batch, noise: UpdateNoise) -> Metrics:
        counted[0] += 1
        return {"train/count": torch.full((), counted[0])}

    captured = CapturedUpdate(learn, Tape(partial(kept, agent)))
    said = [captured(data(0), noise)["train/count"].item() for _ in range(WARM_UP + 3)]
    assert said == [1, 2, 3, 4, 4, 4]


def test_metrics_stay_what_they_were_when_the_next_update_comes():
    (agent,), data = agents("quickstart", 1)
    captured, generator = CapturedUpdate(agent.update, Tape(partial(kept, agent))), seeded(7)
    first = [captured(data(seed), agent.draw_noise(data(seed), generator)) for seed in range(WARM_UP + 1)][-1]
    before = {name: value.item() for name, value in first.items()}
    captured(data(9), agent.draw_noise(data(9), generator))
    assert {name: value.item() for name, value in first.items()} == before


def test_a_resume_finds_everything_where_it_was():
    """Parameters and optimizers are loaded in place, so that what was captured goes on from what was loaded."""
    (plain, agent), data = agents("dreamer_v3_infonce", 2)
    captured, one, other = CapturedUpdate(agent.update, Tape(partial(kept, agent))), seeded(7), seeded(8)
    for seed in range(WARM_UP + 2):
        captured(data(seed), agent.draw_noise(data(seed), one))
        update(plain, data(seed + 20), other)
    before = [tensor.data_ptr() for tensor in kept(agent)]
    agent.load_state_dict(plain.state_dict())
    for name, optimizer in agent.optimizers.items():
        optimizer.load_state_dict(copy.deepcopy(plain.optimizers[name].state_dict()))
    assert [tensor.data_ptr() for tensor in kept(agent)] == before
    captured(data(9), agent.draw_noise(data(9), seeded(9)))
    update(plain, data(9), seeded(9))
    assert all(torch.equal(one, other) for one, other in zip(kept(agent), kept(plain), strict=True))


def test_a_batch_of_another_shape_is_noticed():
    (agent,), data = agents("quickstart", 1)
    captured, generator = CapturedUpdate(agent.update, Tape(partial(kept, agent))), seeded(7)
    for seed in range(WARM_UP + 1):
        captured(data(seed), agent.draw_noise(data(seed), generator))
    with pytest.raises(AssertionError, match="batches of one shape"):
        captured(data(0).map(lambda tensor: tensor[:1]), agent.draw_noise(data(0), generator))


def test_what_waits_for_the_device_cannot_be_captured():
    (agent,), data = agents("quickstart", 1)
    noise = agent.draw_noise(data(0), seeded(7))

    def learn(batch: Batch, noise: UpdateNoise) -> Metrics:
        return {"train/reward": torch.full((), batch.reward.sum().item())}

    captured = CapturedUpdate(learn, Tape(partial(kept, agent)))
    for _ in range(WARM_UP):
        captured(data(0), noise)
    with pytest.raises(UserError, match=r"not permitted when stream is capturing.*bind Runtime.capture = 'off'"):
        captured(data(0), noise)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_it_is_refused_off_cuda():
    with pytest.raises(UserError, match=r"Runtime.capture = 'update' needs CUDA, and the device is cpu; bind Runtime.capture = 'off'"):
        Runtime(device="cpu", capture="update")
