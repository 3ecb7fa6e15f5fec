"""Numbers from a seed: uniform, repeatable, independent of each other, and known."""

import math

import pytest
import torch

from framework.functional.random import BELOW_LOTS, fold_in, lots, new_key, normal, uniform
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


def test_normal_numbers_have_the_moments_and_the_tails_of_a_normal():
    found = normal(seed_of(3), 100, 1000)
    assert found.shape == (100, 1000)
    assert found.isfinite().all()
    assert abs(found.mean().item()) < 0.01
    assert found.var().item() == pytest.approx(1, abs=0.02)
    for limit, share in ((1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)):
        assert (found.abs() < limit).float().mean().item() == pytest.approx(share, abs=0.005)
    assert normal(torch.tensor(0), 0).shape == (0,)


def test_normal_numbers_are_those_of_two_uniform_ones():
    pairs = zip(*uniform(seed_of(2), 2, 5).tolist(), strict=True)
    expected = [math.sqrt(-2 * math.log(1 - length)) * math.cos(2 * math.pi * angle) for length, angle in pairs]
    assert torch.allclose(normal(seed_of(2), 5), torch.tensor(expected), atol=1e-5)


def test_neighbors_and_forks_are_not_correlated():
    seed = seed_of(5)
    one, other = uniform(fold_in(seed, 1), 20_000), uniform(fold_in(seed, 2), 20_000)
    for first, second in ((one, other), (one[1:], one[:-1]), (uniform(seed, 20_000), one)):
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 0.03


def test_the_same_seed_draws_the_same():
    assert torch.equal(uniform(seed_of(1), 5), uniform(seed_of(1), 5))
    assert not torch.equal(uniform(seed_of(1), 5), uniform(seed_of(2), 5))
    assert new_key(seeded(1)).dtype == torch.int64


def short(seed: int, number: int) -> int:
    """The mixer of 32 bits, in whole numbers, with a half of the seed before each of its products but the last step."""
    mask = (1 << 32) - 1
    bits = number ^ (seed & mask)
    bits = ((bits ^ (bits >> 16)) * 0x7FEB352D) & mask ^ (seed >> 32)
    bits = ((bits ^ (bits >> 15)) * 0x846CA68B) & mask
    return bits - (1 << 32) if bits >> 31 else bits


@pytest.mark.parametrize("seed", [0, 1, 1234567, 2**62 - 1])
def test_lots_are_the_mixer_of_32_bits(seed):
    found = lots(torch.tensor(seed), slice(0, 5), 10)
    assert found.dtype == torch.int32
    assert found.flatten().tolist() == [max(short(seed, number), BELOW_LOTS - (1 << 31)) for number in range(50)]


def test_no_two_lots_of_a_drawing_are_equal():
    assert lots(seed_of(3), slice(0, 300), 700).unique().numel() == 300 * 700


def test_every_column_wins_a_drawing_equally_often():
    """Over rows, and over seeds."""
    rows, columns = 20_000, 10
    for found in (
        lots(seed_of(5), slice(0, rows), columns),
        torch.cat([lots(seed_of(number), slice(0, 100), columns) for number in range(200)]),
    ):
        wins = found.argmax(dim=1).bincount(minlength=columns)
        assert (wins - rows / columns).abs().max() < 5 * (rows / columns) ** 0.5


def test_the_lots_of_rows_columns_and_seeds_are_not_correlated():
    one, other = (lots(seed_of(number), slice(0, 300), 300).double() for number in (5, 6))
    for first, second in ((one, other), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, one.T)):
        off = torch.stack([first.flatten(), second.flatten()])[:, first.flatten() != second.flatten()]
        assert abs(torch.corrcoef(off)[0, 1].item()) < 0.015


def test_lots_of_some_rows_are_those_of_all():
    assert torch.equal(torch.cat([lots(seed_of(7), slice(0, 3), 6), lots(seed_of(7), slice(3, 8), 6)]), lots(seed_of(7), slice(0, 8), 6))
