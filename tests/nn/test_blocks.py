"""Layers that components share."""

import math

import pytest
import torch
from torch import nn

from framework.nn.blocks import MLP, BlockLinear, JoinedLinear, NormGRUCell, copy_parameters, glorot, gru_cell, truncated_normal
from tests.tiny import normal


def test_a_perceptron_has_the_layers_of_its_settings():
    net = MLP(input_size=3, output_size=2, layers=2, units=7, activation="elu").net
    assert [tuple(layer.weight.shape) for layer in net if isinstance(layer, nn.Linear)] == [(7, 3), (7, 7), (2, 7)]
    assert [type(layer) for layer in net if not isinstance(layer, nn.Linear)] == [nn.ELU, nn.ELU]


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
        (BlockLinear(blocks=4, input_size=400, output_size=1200), 400),
    ],
    ids=["linear", "convolution", "block-linear"],
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


def test_a_joined_map_is_initialized_as_one():
    layer = truncated_normal(JoinedLinear(first_size=100, second_size=300, output_size=400))
    assert [part.std().item() for part in layer.weight.split((100, 300), dim=1)] == pytest.approx([1 / 20, 1 / 20], rel=0.03)


def test_the_output_scale_multiplies_the_initial_outputs():
    shapes = {"input_size": 3, "output_size": 2, "layers": 1, "units": 7, "activation": "silu", "norm": "rms"}
    assert (MLP(**shapes, output_scale=0.0)(normal(4, 3)) == 0).all()
    made = []
    for scale in (1.0, 0.01):
        torch.manual_seed(3)
        made.append(MLP(**shapes, initial_weights="truncated_normal", output_scale=scale))
    assert torch.allclose(made[1](normal(4, 3)), 0.01 * made[0](normal(4, 3)), atol=1e-7)


def test_a_perceptron_normalizes_before_its_activation():
    net = MLP(input_size=3, output_size=2, layers=1, units=7, activation="silu", norm="rms")
    values = net.net[0](normal(4, 3))
    root = (values.square().mean(dim=-1, keepdim=True) + 1e-4).sqrt()
    assert torch.allclose(net(normal(4, 3)), net.net[-1](nn.functional.silu(values / root)), atol=1e-6)


def test_the_gates_of_dreamer_v2_have_a_bias_before_their_norm():
    cell = NormGRUCell(input_size=2, hidden_size=3, norm="layer")
    assert cell.gates.bias.shape == (9,)
    values, hidden = normal(4, 2), normal(4, 3, seed=1)
    gates = cell.gates(torch.cat([values, hidden], dim=-1))
    gates = (gates - gates.mean(dim=-1, keepdim=True)) / (gates.var(dim=-1, unbiased=False, keepdim=True) + 1e-3).sqrt()
    reset, candidate, update = gates.split(3, dim=-1)
    share = 1 / (1 + torch.exp(1 - update))
    expected = share * torch.tanh(candidate / (1 + torch.exp(-reset))) + (1 - share) * hidden
    assert torch.allclose(cell(values, hidden), expected, atol=1e-6)


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
