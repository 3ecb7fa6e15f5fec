"""Checks that the contracts of several families share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def assert_reaches(loss: Tensor, leaves: Iterable[Tensor]) -> None:
    """Every leaf has a gradient that is not zero."""
    gradients = torch.autograd.grad(loss, list(leaves), retain_graph=True)
    assert gradients
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Within it, no parameter and no buffer changes."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    yield
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
