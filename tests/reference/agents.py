"""Small agents of the three Dreamers, and the reference with the weights of each one's dynamics."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from dm_env import specs
from torch import nn

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.actor_critics.mixed_gradient import MixedGradient
from framework.actor_critics.reinforce import Reinforce
from framework.agent import Agent
from framework.data import Batch, UpdateNoise
from framework.dynamics.block_rssm import BlockRSSM
from framework.dynamics.categorical_rssm import CategoricalRSSM
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.encoders.mlp_encoder import MLPEncoder
from framework.heads.continuation_head import ContinuationHead
from framework.heads.reward_head import RewardHead
from framework.heads.two_hot_reward_head import TwoHotRewardHead
from framework.optimizers.la_prop import LaProp
from framework.specs import Specs
from framework.values.normal_value import NormalValue
from framework.values.two_hot_value import TwoHotValue
from tests.reference import dreamer_v1 as v1
from tests.reference import dreamer_v2 as v2
from tests.reference import dreamer_v3 as v3
from tests.reference.copies import VECTOR, array, linears, perceptron, perturb
from tests.reference.layers import imagine, observe

SMALL: dict[str, Any] = {"layers": 2, "units": 5}
DYNAMICS = {
    1: partial(GaussianRSSM, deterministic=6, stochastic=4, hidden=7),
    2: partial(CategoricalRSSM, deterministic=6, groups=3, classes=4, hidden=7),
    3: partial(BlockRSSM, deterministic=6, groups=3, classes=4, hidden=7, blocks=2),
}
DENSE_HEADS = {"reward": partial(RewardHead, **SMALL), "continuation": partial(ContinuationHead, **SMALL)}
NORMED_HEADS = {
    "reward": partial(TwoHotRewardHead, **SMALL, bins=41),
    "continuation": partial(ContinuationHead, **SMALL, activation="silu", norm="rms"),
}
HEADS = {1: DENSE_HEADS, 2: DENSE_HEADS, 3: NORMED_HEADS}
BEHAVIORS = {
    1: partial(DynamicsBackprop, **SMALL, value=partial(NormalValue, **SMALL)),
    2: partial(MixedGradient, **SMALL, value=partial(NormalValue, **SMALL, slow_rate=1.0, slow_every=100)),
    3: partial(Reinforce, **SMALL, value=partial(TwoHotValue, **SMALL, bins=41), discount=v3.DISCOUNT),
}


def build_agent(version: int, action: specs.Array, seed: int = 0, without: str = "", **behavior: Any) -> Agent:
    """All parameters are perturbed; in V3 rewards lie around 400 and values around 1,100, so that returns have a range above 1."""
    agent = Agent(
        specs=Specs(observation=VECTOR, action=action),
        encoder=partial(MLPEncoder, layers=1, units=7, size=5),
        dynamics=DYNAMICS[version],
        heads={name: head for name, head in HEADS[version].items() if name != without},
        objectives=[],
        actor_critic=partial(BEHAVIORS[version], **behavior),
        optimizers={name: partial(LaProp, learning_rate=1e-3) for name in ("model", "actor", "value")},
        horizon=4,
    )
    perturb(agent, seed)
    if version == 3:
        value = agent.behavior.value
        for module, center in ((agent.world_model.heads["reward"], 6.0), (value.net, 7.0), (value.slow, 7.0)):
            _center_two_hot(module, center)
    return agent


@torch.no_grad()
def _center_two_hot(module: nn.Module, center: float) -> None:
    """Let the logits over symexp bins fall off on both sides of `symexp(center)`."""
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    last.bias.copy_(-(torch.linspace(-20, 20, 41) - center).square())


def reference_of(dynamics: nn.Module) -> Any:
    return {GaussianRSSM: _gaussian, CategoricalRSSM: _categorical, BlockRSSM: _block}[type(dynamics)](dynamics)


def observe_by_reference(agent: Agent, batch: Batch, noise: UpdateNoise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features and the statistics of the posterior and of the prior that the reference infers for a batch."""
    embedding = perceptron(agent.world_model.encoder)(array(batch.observation["vector"]))
    model = reference_of(agent.world_model.dynamics)
    return observe(model, embedding, array(batch.action), array(batch.is_first), array(noise.posterior))


def imagine_by_reference(agent: Agent, batch: Batch, noise: UpdateNoise, policy: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray]:
    """The features and actions that the reference imagines from every step of a batch, under `policy(features)` with its noise."""
    start, action_noise = observe_by_reference(agent, batch, noise)[0], array(noise.imagined_actions)
    return imagine(
        reference_of(agent.world_model.dynamics),
        start.reshape(-1, start.shape[-1]),
        lambda step, features: policy(features).sample(action_noise[step]),
        array(noise.imagined_latents),
    )


def _layer(module: nn.Module, *norms: nn.Module) -> tuple[np.ndarray, ...]:
    """`(W, b)`, followed by the scale of the norm where there is one."""
    return array(module.weight), array(module.bias), *(array(norm.weight) for norm in norms)


def _gaussian(rssm: GaussianRSSM) -> v1.GaussianRSSM:
    cell = rssm.cell
    return v1.GaussianRSSM(
        input=_layer(rssm.input),
        gru_input=(array(cell.weight_ih), array(cell.bias_ih)),
        gru_hidden=(array(cell.weight_hh), array(cell.bias_hh)),
        prior_layers=linears(rssm.prior),
        posterior_layers=[_layer(rssm.posterior_hidden), _layer(rssm.posterior_statistics)],
    )


def _categorical(rssm: CategoricalRSSM) -> v2.CategoricalRSSM:
    return v2.CategoricalRSSM(
        input=_layer(rssm.input),
        gru=_layer(rssm.cell.gates),
        gru_norm=_layer(rssm.cell.norm),
        prior_layers=[_layer(rssm.prior_hidden), _layer(rssm.prior_out)],
        posterior_layers=[_layer(rssm.posterior_hidden), _layer(rssm.posterior_out)],
        classes=rssm.classes,
    )


def _block(rssm: BlockRSSM) -> v3.BlockRSSM:
    deterministic, stochastic = rssm.summary
    return v3.BlockRSSM(
        from_deterministic=_layer(*deterministic[:2]),
        from_stochastic=_layer(*stochastic[:2]),
        from_action=_layer(*rssm.from_action[:2]),
        mixing=_layer(rssm.mixing, rssm.mixing_norm),
        gates=_layer(rssm.gates),
        prior_layers=[_layer(*rssm.prior[:2]), _layer(*rssm.prior[3:5]), *linears(rssm.prior[6:])],
        posterior_layers=[_layer(rssm.posterior_hidden, rssm.posterior_norm), _layer(rssm.posterior_out)],
        classes=rssm.classes,
    )
