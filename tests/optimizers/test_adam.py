"""Adam against torch's own, with its clipped gradient."""

import pytest
import torch
from torch import nn

from framework.errors import UserError
from framework.optimizers.adam import Adam
from tests.tiny import normal


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(normal(3, 2)), nn.Parameter(normal(4, seed=1))]


@pytest.mark.parametrize("clip", [0.5, 100.0, None])
def test_it_is_torchs_adam_on_the_clipped_gradient(clip):
    parameters, expected = weights(), weights()
    optimizer = Adam(parameters=parameters, learning_rate=1e-2, epsilon=1e-5, clip=clip)
    reference = torch.optim.Adam(expected, lr=1e-2, eps=1e-5)
    for seed in range(5):
        gradients = [normal(3, 2, seed=seed), normal(4, seed=seed + 50)]
        for parameter, gradient in zip(expected, gradients, strict=True):
            parameter.grad = gradient.clone()
        if clip is not None:
            nn.utils.clip_grad_norm_(expected, clip)
        optimizer.step(gradients)
        reference.step()
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(parameters, expected, strict=True))


@pytest.mark.parametrize("settings", [{"learning_rate": 0.0}, {"learning_rate": 1e-3, "clip": 0.0}])
def test_what_cannot_learn_is_refused(settings):
    with pytest.raises(UserError, match="must be positive"):
        Adam(parameters=weights(), **settings)
