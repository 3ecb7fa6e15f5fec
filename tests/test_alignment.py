"""Time alignment from end to end: counting environments in a vector environment, the replay, the actor.

The observation at step t of an episode is t; each action of the test names its stream and time.
"""

from functools import partial

import numpy as np
import pytest
import torch

from framework.environments.counting import Counting
from framework.replay.replay import Replay
from framework.testing.samples import seeded
from framework.training.actor import Actor
from framework.training.runtime import Runtime
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.members import agent_factory, factory

STREAMS, LENGTH, STEPS = 2, 4, 14


def numbered(time: int) -> np.ndarray:
    """The action sent after step `time` of the whole stream: different for every stream and time."""
    return np.array([[(time + 1) / 100, (stream + 1) / 10] for stream in range(STREAMS)], np.float32)


def copy_of(generator: torch.Generator) -> torch.Generator:
    """A generator in the same state."""
    copied = torch.Generator()
    copied.set_state(generator.get_state())
    return copied


@pytest.fixture(params=["time_limit", "termination"])
def ending(request) -> str:
    return request.param


@pytest.fixture
def vector(ending):
    environment = partial(Counting, length=LENGTH, ending=ending, size=8)
    with WorkerEnvironments(environment=environment, count=STREAMS, seed=3, mode="serial") as opened:
        yield opened


def replay_of(vector: WorkerEnvironments, length: int = STEPS) -> Replay:
    device = torch.device("cpu")
    return Replay(capacity=200, batch=16, length=length, specs=vector.specs, streams=STREAMS, device=device, seed=1)


@pytest.fixture
def batch(vector):
    """Every sequence of a filled replay."""
    filled = replay_of(vector, length=7)
    steps = vector.reset()
    for time in range(STEPS):
        filled.add(steps)
        steps = vector.step(numbered(time))
    return filled.windows(torch.arange(STREAMS * STEPS))


@pytest.fixture
def count(batch):
    return batch.observation["count"][..., 0]


def test_each_observation_belongs_to_its_step(batch, count):
    assert torch.equal(batch.observation["pixels"][..., 0, 0, 0].float(), count)
    inside = ~batch.is_first[:, 1:]
    assert torch.equal(count.diff(dim=1)[inside], torch.ones(int(inside.sum())))


def test_is_first_marks_the_first_step_of_an_episode_alone(batch, count):
    """The oldest stored step, which is always a reset, is the first of an episode here."""
    assert torch.equal(batch.is_first, count == 0)
    assert (count == 0).sum() > STREAMS * STEPS


def test_each_reward_belongs_to_its_observation(batch, count):
    assert torch.equal(batch.reward, count)


def test_each_action_led_to_its_observation(batch, count):
    """An episode takes `LENGTH + 1` steps of the stream, so that the count follows from the stream's time."""
    starts = torch.arange(STREAMS * STEPS)
    time = (starts[:, None] % STEPS + torch.arange(7)) % STEPS
    expected = torch.stack([time / 100, ((starts // STEPS + 1) / 10)[:, None].expand_as(time)], dim=-1).float()
    resets = batch.is_first
    assert torch.allclose(batch.action[~resets], expected[~resets])
    assert (batch.action[resets] == 0).all()
    assert torch.equal(count, (time % (LENGTH + 1)).float())


def test_only_terminations_are_terminal(batch, count, ending):
    assert torch.equal(batch.is_terminal, (count == LENGTH) & (ending == "termination"))


@pytest.mark.parametrize("ending", ["termination"], indirect=True)
@pytest.mark.parametrize("mode", ["explore", "mode"])
@pytest.mark.parametrize("name", ["GaussianRSSM", "TransformerSSM"])
def test_the_actor_filters_the_posterior_that_the_model_observes(vector, mode, name):
    """Acting step by step over several episodes, and observing the same sequence out of the replay, give equal latents."""
    agent = agent_factory(encoder=factory("encoders", "MultiEncoder"), dynamics=factory("dynamics", name))(specs=vector.specs)
    dynamics, generator, replay = agent.world_model.dynamics, seeded(5), replay_of(vector)
    actor = Actor(agent=agent, runtime=Runtime(device="cpu"), count=STREAMS, mode=mode, generator=generator)
    steps, latents, noises = vector.reset(), [], []
    for time in range(STEPS):
        replay.add(steps)
        noises.append(dynamics.draw_noise(STREAMS, generator=copy_of(generator)))
        if time % 3 == 0:
            action = numbered(time)
            actor.observe(steps.observation, steps.is_first, action)
        else:
            action = actor.act(steps.observation, steps.is_first)
        latents.append(actor.carry.latent)
        steps = vector.step(action)
    batch = replay.windows(torch.arange(STREAMS) * STEPS)
    with torch.no_grad():
        posterior = agent.world_model.observe(batch, torch.stack(noises, dim=1)).posterior
    assert batch.is_first.sum() == STREAMS * 3
    for time, latent in enumerate(latents):
        assert torch.allclose(latent.features, posterior.features[:, time], atol=1e-5), time
