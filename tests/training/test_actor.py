"""The actor between two checkpoints."""

import io

import numpy as np
import pytest
import torch

from framework.testing.samples import OBSERVATIONS, observe, seeded, specs_of
from framework.training.actor import Actor
from framework.training.runtime import Runtime
from tests.members import agent_factory, factory, members

COUNT = 2


def shown(time: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """An observation, and that an episode begins at the first step, in one environment at the third as well."""
    is_first = np.array([time == 0, time in (0, 2)])
    return {name: value.numpy() for name, value in observe(OBSERVATIONS["both"], COUNT, seed=time).items()}, is_first


@pytest.mark.parametrize("name", members("dynamics"))
def test_a_loaded_actor_acts_as_the_saved_one_would(name):
    agent = agent_factory(dynamics=factory("dynamics", name))(specs=specs_of("both"))
    one, other = (Actor(agent=agent, runtime=Runtime(device="cpu"), count=COUNT, mode="explore", generator=seeded(seed)) for seed in (1, 2))
    for time in range(4):
        one.act(*shown(time))
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for time in range(4, 7):
        assert np.array_equal(one.act(*shown(time)), other.act(*shown(time)))
    assert set(other.carry.latent.past) == set(agent.world_model.dynamics.initial(1).past)
