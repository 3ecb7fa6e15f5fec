"""Two-hot regression."""

import math

import pytest
import torch

from framework.functional.two_hot import TwoHot, symexp, symexp_bins, symlog, two_hot


def test_symexp_is_the_inverse_of_symlog():
    value = torch.tensor([-1e4, -3.0, -1e-3, 0.0, 1e-3, 3.0, 1e4])
    assert torch.allclose(symexp(symlog(value)), value, rtol=1e-4)
    assert symlog(torch.tensor(math.e - 1)).item() == pytest.approx(1.0)
    assert symlog(torch.tensor(-(math.e - 1))).item() == pytest.approx(-1.0)


@pytest.mark.parametrize("count", [3, 4, 41, 255])
def test_bins_are_exactly_symmetric_and_grow_exponentially(count):
    bins = symexp_bins(count, 20.0)
    assert bins.shape == (count,)
    assert torch.equal(bins, -bins.flip(0))
    assert (bins.diff() > 0).all()
    assert bins[-1].item() == pytest.approx(math.expm1(20.0), rel=1e-6)
    assert torch.allclose(symlog(bins), torch.linspace(-20, 20, count), atol=1e-4)


def test_a_number_has_weights_on_its_two_neighboring_bins():
    bins = torch.tensor([-2.0, 0.0, 1.0, 5.0])
    weights = two_hot(torch.tensor([[-2.0, -0.5], [1.0, 4.0]]), bins)
    expected = torch.tensor([[[1, 0, 0, 0], [0.25, 0.75, 0, 0]], [[0, 0, 1, 0], [0, 0, 0.25, 0.75]]])
    assert torch.allclose(weights, expected)
    assert torch.equal(two_hot(torch.tensor([-9.0, 9.0]), bins), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])), "outside of the bins"


def test_the_mean_of_uniform_probabilities_is_exactly_zero():
    for count in (255, 256):
        prediction = TwoHot(torch.full((4, count), 0.7), symexp_bins(count, 20.0))
        assert torch.equal(prediction.mean, torch.zeros(4))
        assert prediction.log_density(torch.tensor([0.0, 1.0, -7.0, 1e5])).tolist() == pytest.approx([-math.log(count)] * 4)
