"""Random numbers from a key: their law, independence, and known values."""

import pytest
import torch

from framework.functional.random import fold_in, new_key, normal, uniform
from framework.testing.samples import key_of, seeded


def splitmix(seed: int, steps: int) -> int:
    """The published algorithm, in whole numbers."""
    mask = (1 << 64) - 1
    bits = (seed + steps * 0x9E3779B97F4A7C15) & mask
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & mask
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
    return bits ^ (bits >> 31)


@pytest.mark.parametrize("seed", [0, 1, 1234567, 2**62 - 1])
def test_uniform_numbers_are_those_of_splitmix64(seed):
    drawn = uniform(torch.tensor(seed), 50)
    assert drawn.tolist() == [(splitmix(seed, step) >> 40) / 2**24 for step in range(1, 51)]


def test_normal_numbers_have_the_moments_and_the_tails_of_a_normal():
    drawn = normal(key_of(3), 100, 1000)
    assert drawn.shape == (100, 1000)
    assert drawn.isfinite().all()
    assert abs(drawn.mean().item()) < 0.01
    assert drawn.var().item() == pytest.approx(1, abs=0.02)
    for limit, share in ((1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)):
        assert (drawn.abs() < limit).float().mean().item() == pytest.approx(share, abs=0.005)
    assert normal(torch.tensor(0), 0).shape == (0,)


def test_neighbors_and_folded_keys_are_not_correlated():
    key = key_of(5)
    one, other = uniform(fold_in(key, 1), 20_000), uniform(fold_in(key, 2), 20_000)
    for first, second in ((one, other), (one[1:], one[:-1]), (uniform(key, 20_000), one)):
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 0.03


def test_equal_keys_draw_equal_numbers():
    assert torch.equal(uniform(key_of(1), 5), uniform(key_of(1), 5))
    assert not torch.equal(uniform(key_of(1), 5), uniform(key_of(2), 5))
    assert new_key(seeded(1)).dtype == torch.int64
