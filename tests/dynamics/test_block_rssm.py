"""Dreamer V3's state-space model, against its equations."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from framework.dynamics.block_rssm import BlockRSSM
from framework.errors import UserError
from framework.nn.blocks import BlockLinear
from tests.tiny import normal


def test_a_block_linear_map_equals_a_dense_one_with_zeros_outside_its_blocks():
    layer, values = BlockLinear(blocks=3, input_size=12, output_size=6), normal(5, 12)
    torch.nn.init.normal_(layer.bias)
    dense = torch.block_diag(*layer.weight)
    assert (dense == 0).sum() == 12 * 6 * 2 / 3
    found = layer(rearrange(values, "n (g i) -> g n i", g=3))
    assert torch.allclose(rearrange(found, "g n o -> n (g o)"), values @ dense + layer.bias, atol=1e-6)


def test_a_step_equals_its_equations():
    dynamics = BlockRSSM(embedding_size=5, action_size=2, deterministic=8, hidden=4, groups=2, classes=3, blocks=2)
    hidden, stochastic, action = normal(3, 8), normal(3, 6, seed=1), 0.5 * normal(3, 2, seed=2).tanh()
    found = dynamics.advance(stochastic, hidden, dynamics.from_actions(action))
    x = torch.cat([dynamics.summary[0](hidden), dynamics.summary[1](stochastic), dynamics.from_action(action)], dim=-1)
    per_block = [torch.cat([hidden[:, 4 * block : 4 * block + 4], x], dim=-1) for block in range(2)]
    mixed = torch.cat([per_block[b] @ dynamics.mixing.weight[b] for b in range(2)], dim=-1) + dynamics.mixing.bias
    mixed = dynamics.activation(dynamics.mixing_norm(mixed))
    for block in range(2):
        own = slice(4 * block, 4 * block + 4)
        gates = mixed[:, own] @ dynamics.gates.weight[block] + dynamics.gates.bias[12 * block : 12 * block + 12]
        reset, candidate, update = gates.split(4, dim=-1)
        share = torch.sigmoid(update - 1)
        expected = share * torch.tanh(torch.sigmoid(reset) * candidate) + (1 - share) * hidden[:, own]
        assert torch.allclose(found[:, own], expected, atol=1e-6)


def test_its_logits_equal_their_equations():
    """Two hidden layers before the prior's, one before the posterior's."""
    dynamics = BlockRSSM(embedding_size=5, action_size=2, deterministic=8, hidden=4, groups=2, classes=3, blocks=2)
    hidden, embedding = normal(3, 8), normal(3, 5, seed=1)

    def activated(values):
        return F.silu(values / (values.square().mean(dim=-1, keepdim=True) + 1e-4).sqrt())

    first, _, _, second, _, _, last = dynamics.prior
    assert torch.allclose(dynamics.prior_logits(hidden), last(activated(second(activated(first(hidden))))), atol=1e-6)
    joined = torch.cat([hidden, embedding], dim=-1) @ dynamics.posterior_hidden.weight.T + dynamics.posterior_hidden.bias
    found = dynamics.posterior_logits(hidden, dynamics.from_embeddings(embedding.unsqueeze(1)).squeeze(1))
    assert torch.allclose(found, dynamics.posterior_out(activated(joined)), atol=1e-6)


def test_its_initial_weights_are_those_of_dreamer_v3():
    """Variance one over the fan-in: the whole input of a block, both inputs of the posterior."""
    dynamics = BlockRSSM(embedding_size=300, action_size=2, deterministic=400, hidden=50, groups=8, classes=8, blocks=8)
    fan_ins = {"mixing": 400 + 3 * 8 * 50, "gates": 400, "posterior_hidden": 700}
    for name, fan_in in fan_ins.items():
        weight = dynamics.get_submodule(name).weight
        assert weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.03)
    assert dynamics.posterior_hidden.weight[:, 400:].std().item() == pytest.approx(700**-0.5, rel=0.03)


def test_an_action_beyond_one_is_scaled_back():
    dynamics = BlockRSSM(embedding_size=5, action_size=2, deterministic=8, hidden=4, groups=2, classes=3, blocks=2)
    assert torch.allclose(dynamics.from_actions(torch.tensor([[3.0, -0.5]])), dynamics.from_actions(torch.tensor([[1.0, -0.5]])))


def test_blocks_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r"BlockRSSM.blocks = 3 does not divide BlockRSSM.deterministic = 8"):
        BlockRSSM(embedding_size=5, action_size=2, deterministic=8, blocks=3)
