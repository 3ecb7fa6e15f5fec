"""The layers that components share."""

import math

import torch
from torch import nn

from framework.blocks import MLP, copy_parameters, glorot, gru_cell
from tests.tiny import normal


def test_a_perceptron_has_the_layers_that_it_is_told():
    net = MLP(input_size=3, output_size=2, layers=2, units=7, activation="elu").net
    assert [tuple(layer.weight.shape) for layer in net if isinstance(layer, nn.Linear)] == [(7, 3), (7, 7), (2, 7)]
    assert [type(layer) for layer in net if not isinstance(layer, nn.Linear)] == [nn.ELU, nn.ELU]


def test_a_perceptron_without_layers_is_linear():
    values = normal(4, 3)
    linear = MLP(input_size=3, output_size=2, layers=0, units=7, activation="relu")
    assert torch.allclose(linear(2 * values), 2 * linear(values), atol=1e-6)


def test_layers_begin_as_in_keras():
    layer = glorot(nn.Linear(300, 100))
    limit = math.sqrt(6 / 400)
    assert layer.weight.abs().max() <= limit
    assert layer.weight.std().item() * math.sqrt(3) / limit > 0.97
    assert (layer.bias == 0).all()


def test_a_recurrent_kernel_begins_orthogonal():
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
