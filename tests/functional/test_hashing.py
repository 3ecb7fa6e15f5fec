"""Numbers from a seed: uniform, repeatable, independent of each other, and known."""

import pytest
import torch

from framework.functional.hashing import draw_seed, fork, uniform
from tests.tiny import seed_of, seeded


def splitmix(seed: int, steps: int) -> int:
    """The published algorithm, in whole numbers."""
    mask = (1 << 64) - 1
    bits = (seed + steps * 0x9E3779B97F4A7C15) & mask
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & mask
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
    return bits ^ (bits >> 31)


@pytest.mark.parametrize("seed", [0, 1, 1234567, 2**62 - 1])
def test_it_is_splitmix64(seed):
    found = uniform(torch.tensor(seed), 50)
    assert found.tolist() == [(splitmix(seed, step) >> 40) / 2**24 for step in range(1, 51)]


def test_the_numbers_are_uniform():
    found = uniform(seed_of(3), 100, 1000)
    assert found.shape == (100, 1000)
    assert 0 <= found.min() < 1e-4
    assert 1 - 1e-4 < found.max() < 1
    counts = torch.histc(found, bins=20, min=0, max=1)
    assert (counts - 5000).abs().max() < 5 * 5000**0.5


def test_neighbours_and_forks_are_not_correlated():
    seed = seed_of(5)
    one, other = uniform(fork(seed, 1), 20_000), uniform(fork(seed, 2), 20_000)
    for first, second in ((one, other), (one[1:], one[:-1]), (uniform(seed, 20_000), one)):
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 0.03


def test_the_same_seed_draws_the_same():
    assert torch.equal(uniform(seed_of(1), 5), uniform(seed_of(1), 5))
    assert not torch.equal(uniform(seed_of(1), 5), uniform(seed_of(2), 5))
    assert draw_seed(seeded(1)).dtype == torch.int64
