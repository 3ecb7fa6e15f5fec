"""AdamW: what decays, and what does not."""

import pytest
import torch
from torch import nn

from framework.errors import UserError
from framework.optimizers.adam_w import AdamW
from tests.tiny import normal


def test_matrices_decay_and_vectors_do_not():
    matrix, vector = nn.Parameter(normal(3, 2)), nn.Parameter(normal(4, seed=1))
    before = matrix.detach().clone(), vector.detach().clone()
    AdamW(parameters=[matrix, vector], learning_rate=0.1, decay=0.5).step([torch.zeros(3, 2), torch.zeros(4)])
    assert torch.allclose(matrix, 0.95 * before[0])
    assert torch.equal(vector, before[1])


def test_without_decay_it_is_adam():
    one, two = nn.Parameter(normal(5)), nn.Parameter(normal(5))
    ours = AdamW(parameters=[one], learning_rate=0.01, decay=0.0, clip=None)
    library = torch.optim.Adam([two], lr=0.01, eps=1e-5)
    for seed in range(4):
        gradient = normal(5, seed=seed)
        ours.step([gradient])
        two.grad = gradient
        library.step()
    assert torch.allclose(one, two)


def test_it_warms_up():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = AdamW(parameters=[parameter], learning_rate=0.1, decay=0.0, warmup=10)
    optimizer.step([torch.ones(3)])
    assert torch.allclose(parameter, torch.full((3,), 0.99), atol=1e-5)


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match=r"AdamW.learning_rate = 0.0"):
        AdamW(parameters=[nn.Parameter(torch.ones(1))], learning_rate=0.0)
