"""Adam and AdamW against torch's Adam: clipped gradients, decay and warm-up."""

from functools import partial

import pytest
import torch
from torch import nn

from framework.optimizers.adam import Adam
from framework.optimizers.adam_w import AdamW
from framework.testing.samples import normal


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(normal(3, 2)), nn.Parameter(normal(4, seed=1))]


@pytest.mark.parametrize("clip", [0.5, 100.0, None])
@pytest.mark.parametrize("optimizer", [partial(Adam, epsilon=1e-5), partial(AdamW, decay=0.0)])
def test_it_is_torchs_adam_on_the_clipped_gradient(optimizer, clip):
    parameters, expected = weights(), weights()
    tested, reference = optimizer(parameters=parameters, learning_rate=1e-2, clip=clip), torch.optim.Adam(expected, lr=1e-2, eps=1e-5)
    for seed in range(5):
        gradients = [normal(3, 2, seed=seed), normal(4, seed=seed + 50)]
        for parameter, gradient in zip(expected, gradients, strict=True):
            parameter.grad = gradient.clone()
        if clip is not None:
            nn.utils.clip_grad_norm_(expected, clip)
        tested.step(gradients)
        reference.step()
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(parameters, expected, strict=True))


def test_matrices_decay_and_vectors_do_not():
    matrix, vector = weights()
    before = matrix.detach().clone(), vector.detach().clone()
    AdamW(parameters=[matrix, vector], learning_rate=0.1, decay=0.5).step([torch.zeros(3, 2), torch.zeros(4)])
    assert torch.allclose(matrix, 0.95 * before[0])
    assert torch.equal(vector, before[1])


def test_the_learning_rate_of_adam_w_warms_up():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = AdamW(parameters=[parameter], learning_rate=0.1, decay=0.0, warmup=10)
    for moved in (0.0, 0.01, 0.03):
        optimizer.step([torch.ones(3)])
        assert torch.allclose(parameter, torch.full((3,), 1 - moved), atol=1e-5)
