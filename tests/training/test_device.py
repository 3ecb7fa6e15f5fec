"""Losses, gradients and slow copies stay on the device of the agent; here that is `meta`, which has shapes and no numbers."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from framework.testing.checks import tensors
from framework.testing.samples import seeded
from tests.training.agents import SAMPLED, agents

META = torch.device("meta")


class OneDevice(TorchDispatchMode):
    """Refuses a tensor from or for the host, which an accelerator would refuse or wait for; single numbers may come from there."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        elsewhere = [each for each in tensors([args, kwargs or {}, result]) if each.device != META and each.dim()]
        assert elsewhere == [], f"{func} has a tensor of {[tuple(each.shape) for each in elsewhere]} on the host"
        return result


@pytest.mark.parametrize("name", SAMPLED)
def test_nothing_of_an_update_lies_on_the_host(name, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **settings: nullcontext())  # it knows no device of this kind
    (agent,), data = agents(name, 1)
    noise = agent.draw_noise(data(0), seeded(7)).map(lambda tensor: tensor.to(META))
    batch = data(0).map(lambda tensor: tensor.to(META))
    agent.to(META)
    for optimizer in agent.optimizers.values():  # whose own state begins on the host
        monkeypatch.setattr(optimizer, "step", lambda gradients: dict(enumerate(gradients)))
    with OneDevice():
        metrics = agent.update(batch, noise)
    assert {each.device for each in tensors(metrics)} == {META}
