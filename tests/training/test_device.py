"""Losses, gradients and slow copies stay on the device of the agent: looked at on `meta`, which has shapes and no numbers."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_recipes import NAMES
from tests.tiny import seeded
from tests.training.agents import agents
from tests.training.tape import tensors

META = torch.device("meta")


class OneDevice(TorchDispatchMode):
    """Refuses what an accelerator would refuse, or wait for: a tensor from the host, or one for it; lone numbers may come from there."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        elsewhere = [each for each in tensors([args, kwargs or {}, result]) if each.device != META and each.dim()]
        assert elsewhere == [], f"{func} has a tensor of {[tuple(each.shape) for each in elsewhere]} on the host"
        return result


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_an_update_lies_on_the_host(name, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *given, **named: nullcontext())  # which knows no device of this kind
    (agent,), data = agents(name, 1)
    chance = agent.draw(data(0), seeded(7)).map(lambda tensor: tensor.to(META))
    batch = data(0).map(lambda tensor: tensor.to(META))
    agent.to(META)
    with OneDevice():
        lesson = agent(batch, chance)
        agent.behavior.after_update()
        agent.world_model.after_update(lesson.seen, chance.seed)
    assert {each.device for each in tensors([dict(lesson.gradients), lesson.metrics])} == {META}
