"""Layers that components share."""

import math

import pytest
import torch
from torch import nn

from framework.nn.blocks import MLP, BlockLinear, JoinedLinear, copy_parameters, glorot, gru_cell, truncated_normal
from framework.testing.samples import normal


def test_a_perceptron_without_layers_is_linear():
    values = normal(4, 3)
    linear = MLP(input_size=3, output_size=2, layers=0, units=7, activation="relu")
    assert torch.allclose(linear(2 * values), 2 * linear(values), atol=1e-6)


def test_glorot_initializes_as_keras_does():
    layer = glorot(nn.Linear(300, 100))
    limit = math.sqrt(6 / 400)
    assert layer.weight.abs().max() <= limit
    assert layer.weight.std().item() * math.sqrt(3) / limit > 0.97
    assert (layer.bias == 0).all()


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(400, 300), 400),
        (nn.Conv2d(16, 60, 5), 16 * 25),
        (JoinedLinear(first_size=100, second_size=300, output_size=400), 400),
        (BlockLinear(blocks=4, input_size=400, output_size=1200), 400),
    ],
    ids=["linear", "convolution", "joined", "block-linear"],
)
def test_truncated_normal_initializes_as_dreamer_v3_does(layer, fan_in):
    """Variance one over the fan-in, truncated at two standard deviations of the untruncated normal (1.1369 of its own)."""
    truncated_normal(layer)
    scaled = layer.weight.detach() * math.sqrt(fan_in)
    assert scaled.numel() >= 20_000
    assert scaled.std().item() == pytest.approx(1.0, abs=0.02)
    assert scaled.mean().abs() < 0.03
    assert 2.2 < scaled.abs().max() <= 2 * 1.1369
    assert (scaled.abs() < 0.5).float().mean().item() == pytest.approx(0.356, abs=0.015)
    assert (layer.bias == 0).all()


def test_a_joined_map_is_the_sum_of_its_parts():
    layer, one, other = JoinedLinear(first_size=3, second_size=2, output_size=4), normal(5, 3), normal(5, 2, seed=1)
    assert torch.allclose(layer.first(one) + layer.second(other), layer(torch.cat([one, other], dim=-1)), atol=1e-6)
    assert (layer.first(torch.zeros(3)) == layer.bias).all()


def test_the_output_scale_multiplies_the_initial_outputs():
    shapes = {"input_size": 3, "output_size": 2, "layers": 1, "units": 7, "activation": "silu", "norm": "rms"}
    assert (MLP(**shapes, output_scale=0.0)(normal(4, 3)) == 0).all()
    made = []
    for scale in (1.0, 0.01):
        torch.manual_seed(3)
        made.append(MLP(**shapes, initial_weights="truncated_normal", output_scale=scale))
    assert torch.allclose(made[1](normal(4, 3)), 0.01 * made[0](normal(4, 3)), atol=1e-7)


def test_a_recurrent_kernel_is_initially_orthogonal():
    cell = gru_cell(5, 8)
    assert torch.allclose(cell.weight_hh.T @ cell.weight_hh, torch.eye(8), atol=1e-5)
    assert (cell.bias_ih == 0).all()
    assert (cell.bias_hh == 0).all()


def test_a_slow_copy_moves_by_its_rate():
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = target.weight + 0.1 * (source.weight - target.weight)
    copy_parameters(source=source, target=target, rate=0.1)
    assert torch.allclose(target.weight, expected)
    copy_parameters(source=source, target=target, rate=1.0)
    assert torch.equal(target.weight, source.weight)


def test_a_block_linear_map_equals_a_dense_one_with_zeros_outside_its_blocks():
    layer, values = BlockLinear(blocks=3, input_size=12, output_size=6), normal(5, 12)
    nn.init.normal_(layer.bias)
    dense = torch.block_diag(*layer.weight)
    outputs = layer(values.unflatten(1, (3, 4)).transpose(0, 1)).transpose(0, 1).flatten(1)
    assert torch.allclose(outputs, values @ dense + layer.bias, atol=1e-6)
