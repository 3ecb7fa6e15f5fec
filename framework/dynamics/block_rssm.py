"""Dreamer V3's recurrent state-space model."""

from typing import final

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from framework import dynamics
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.categorical import CategoricalRecurrence
from framework.errors import UserError
from framework.functional.kl import FreeNats
from framework.nn.blocks import ACTIVATIONS, NORMS, Activation, BlockLinear, JoinedLinear, gated, hidden_layers, truncated_normal


@final
@dynamics.register
class BlockRSSM(CategoricalRecurrence):
    """Dreamer V3's recurrent state-space model: a block-diagonal GRU, and one-hot latents with unimix.

        x = [act(norm(W h)), act(norm(W z)), act(norm(W a))],    y_b = [h_b, x]
        r, c, u = B act(norm(B y)),    h' = u tanh(r c) + (1 - u) h        B: one matrix for each block; u less 1 before its sigmoid

    The blocks of `h` interact only through `x`. Hafner et al. (2023), *Mastering Diverse Domains through World Models*, as its code has
    been since 2024: 8 blocks, two hidden layers before the prior's logits and one before the posterior's, root-mean-square norms, SiLU,
    truncated-normal weights, 1 free nat at each step. Its two losses, dynamics at 1 and representation at 0.1, are `balance = 1 / 1.1`
    and `kl_scale = 1.1`. Actions beyond 1 are scaled back to it. The 12-million size has 2,048 deterministic units, as in the code; the
    1,024 of the paper are a misprint.

    Gradients: straight through the samples; with a balance, each side of the KL is detached in the other's term; the divisor of an action
    beyond 1 is constant.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int = 8192,
        hidden: int = 1024,
        groups: int = 32,
        classes: int = 64,
        blocks: int = 8,
        activation: Activation = "silu",
        unimix: float = 0.01,
        free_nats: float = 1.0,
        free_nats_on: FreeNats = "step",
        balance: float | None = 0.9090909,
        kl_scale: float = 1.1,
    ) -> None:
        super().__init__(
            embedding_size=embedding_size,
            action_size=action_size,
            deterministic=deterministic,
            groups=groups,
            classes=classes,
            unimix=unimix,
            kl=KLSettings(free_nats=free_nats, free_nats_on=free_nats_on, balance=balance, scale=kl_scale),
        )
        if deterministic % blocks:
            raise UserError(f"BlockRSSM.blocks = {blocks} does not divide BlockRSSM.deterministic = {deterministic}; bind a divisor of it.")
        size, self.blocks = groups * classes, blocks

        def layers(width: int, count: int = 1) -> list[nn.Module]:
            return hidden_layers(input_size=width, layers=count, units=hidden, activation=activation, norm="rms")

        self.summary = nn.ModuleList([nn.Sequential(*layers(width)) for width in (deterministic, size)])
        self.from_action = nn.Sequential(*layers(action_size))
        self.mixing = BlockLinear(blocks=blocks, input_size=deterministic + 3 * blocks * hidden, output_size=deterministic)
        self.mixing_norm, self.activation = NORMS["rms"](deterministic), ACTIVATIONS[activation]()
        self.gates = BlockLinear(blocks=blocks, input_size=deterministic, output_size=3 * deterministic)
        self.prior = nn.Sequential(*layers(deterministic, 2), nn.Linear(hidden, size))
        self.posterior_hidden = JoinedLinear(first_size=deterministic, second_size=embedding_size, output_size=hidden)
        self.posterior_norm, self.posterior_out = NORMS["rms"](hidden), nn.Linear(hidden, size)
        truncated_normal(self)

    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Float[Tensor, "B T U"]:
        return self.posterior_hidden.second(embedding)

    def from_actions(self, action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B U"]:
        return self.from_action(action / action.detach().abs().clamp(min=1.0))

    def advance(
        self, stochastic: Float[Tensor, "N Z"], deterministic: Float[Tensor, "N D"], from_action: Float[Tensor, "N U"]
    ) -> Float[Tensor, "N D"]:
        summary = [layer(part) for layer, part in zip(self.summary, (deterministic, stochastic), strict=True)]
        shared = repeat(torch.cat([*summary, from_action], dim=-1), "n u -> g n u", g=self.blocks)
        own = rearrange(deterministic, "n (g d) -> g n d", g=self.blocks)
        mixed = rearrange(self.mixing(torch.cat([own, shared], dim=-1)), "g n d -> n (g d)")
        gates = self.gates(rearrange(self.activation(self.mixing_norm(mixed)), "n (g d) -> g n d", g=self.blocks))
        return rearrange(gated(gates, own), "g n d -> n (g d)")

    def prior_logits(self, deterministic: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Z"]:
        return self.prior(deterministic)

    def posterior_logits(self, deterministic: Float[Tensor, "*B D"], from_embedding: Float[Tensor, "*B U"]) -> Float[Tensor, "*B Z"]:
        return self.posterior_out(self.activation(self.posterior_norm(self.posterior_hidden.first(deterministic) + from_embedding)))
