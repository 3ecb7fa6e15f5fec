"""What all tests share: one thread, so that times and numbers are the same on every machine, and nobody's global generator."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def global_generator_is_left_alone():
    """A component that draws from torch's global generator could not be resumed exactly: drawing is the caller's.

    Initialisation is the one exception, and tests that build something begin from the same numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
