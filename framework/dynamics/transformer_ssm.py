"""A state-space model with a causal transformer."""

from typing import Final, final

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import dynamics
from framework.data import Latent
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.base import Prepared
from framework.dynamics.categorical import CategoricalDynamics
from framework.errors import UserError
from framework.functional.categorical import mixed_log_probabilities, straight_through
from framework.functional.kl import FreeNats
from framework.nn.attention import CausalTransformer, Past
from framework.nn.blocks import ACTIVATIONS, MLP, NORMS, Activation, JoinedLinear, glorot

LONGEST_WINDOW: Final = 2**16


@final
@dynamics.register
class TransformerSSM(CategoricalDynamics):
    """TWISTER's and TransDreamer's state-space model: a causal transformer over latents and actions, and one-hot latents with unimix.

        x_t = W act(norm(W [z_{t-1}, a_{t-1}])),    h_t = Transformer(x_{t-window+1}, .., x_t)
        prior      z_t ~ Categorical(MLP(h_t)),     posterior  z_t ~ Categorical(MLP(e_t))

    Chen et al. (2022), *TransDreamer*; Burchi & Timofte (2025), *Learning Transformer-based World Models with Contrastive Predictive
    Coding* (TWISTER). The posterior depends on the observation alone, so that a whole sequence is one pass; a step is a pass over one
    token, with the keys and values of the window before it, `2 layers (window - 1) deterministic` numbers, in `Latent.past`. Attention
    never crosses the start of an episode. Positions are rotary; there is no dropout. Free nats and balance are Dreamer V3's of 2023:
    losses of 0.5 and 0.1 are `balance = 0.5 / 0.6` and `kl_scale = 0.6`.

    Gradients: straight through the samples, and through the past; with a balance, each side of the KL is detached in the other's term.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int = 512,
        hidden: int = 512,
        layers: int = 4,
        attention_heads: int = 8,
        window: int = 16,
        groups: int = 32,
        classes: int = 32,
        activation: Activation = "silu",
        unimix: float = 0.01,
        free_nats: float = 1.0,
        free_nats_on: FreeNats = "step",
        balance: float | None = 0.8333333,
        kl_scale: float = 0.6,
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
        _check(deterministic, layers, attention_heads, window)
        size = groups * classes
        self.input = JoinedLinear(first_size=size, second_size=action_size, output_size=hidden)
        self.token = nn.Sequential(NORMS["layer"](hidden), ACTIVATIONS[activation](), nn.Linear(hidden, deterministic))
        self.transformer = CausalTransformer(
            size=deterministic, hidden=2 * deterministic, layers=layers, attention_heads=attention_heads, window=window
        )
        self.prior, self.posterior = (
            MLP(input_size=width, output_size=size, layers=1, units=hidden, activation=activation, norm="layer")
            for width in (deterministic, embedding_size)
        )
        glorot(self)
        # The first input of an episode is zero, where the gradient of a norm is 1 / sqrt(epsilon), and those of the blocks multiply.
        # A normal distribution, cut at 100 deviations: on the meta device `normal_` imports torch's compiler.
        nn.init.trunc_normal_(self.input.bias, std=0.02)

    def initial(self, size: int) -> Latent:
        return super().initial(size).with_past(self.transformer.empty_past(size))

    def prior_logits(self, deterministic: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Z"]:
        return self.prior(deterministic)

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        token = rearrange(self._token(latent.stochastic, self.input.second(action)), "n u -> n 1 u")
        is_first = torch.zeros(action.shape[0], 1, dtype=torch.bool, device=action.device)
        deterministic, past = self._attend(token, is_first, latent)
        latent = self._latent(deterministic[:, 0], self.prior_logits(deterministic[:, 0]), noise)
        return latent.with_past({name: value[:, 0] for name, value in past.items()})

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        logits = mixed_log_probabilities(self.posterior(embedding), self.classes, self.unimix)
        return is_first, self.input.second(action.masked_fill(is_first[..., None], 0.0)), logits

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        one_step = tuple(part[:, None] for part in prepared)
        return self.filter(latent, one_step, noise[:, None]).map(lambda tensor: tensor[:, 0])

    def filter(self, start: Latent, prepared: Prepared, noise: Float[Tensor, "B T Z"]) -> Latent:
        """All steps in one pass, since no posterior depends on the one before."""
        is_first, from_action, logits = prepared
        stochastic = straight_through(logits, noise, self.classes)
        before = torch.cat([start.stochastic[:, None], stochastic[:, :-1]], dim=1).masked_fill(is_first[..., None], 0.0)
        deterministic, past = self._attend(self._token(before, from_action), is_first, start)
        return Latent(deterministic=deterministic, stochastic=stochastic, statistics={"logits": logits}, past=past)

    def _token(self, stochastic: Tensor, from_action: Tensor) -> Tensor:
        return self.token(self.input.first(stochastic) + from_action)

    def _attend(self, tokens: Tensor, is_first: Tensor, before: Latent) -> tuple[Tensor, Past]:
        if not before.past:
            raise UserError("TransformerSSM cannot imagine from a latent without its past: start at a posterior, not at a prior.")
        deterministic, past = self.transformer(tokens, is_first, before.past)
        return deterministic.float(), past


def _check(deterministic: int, layers: int, attention_heads: int, window: int) -> None:
    if min(layers, attention_heads) < 1:
        raise UserError(f"TransformerSSM.layers = {layers} and TransformerSSM.attention_heads = {attention_heads} must be at least 1.")
    if deterministic % (2 * attention_heads):
        raise UserError(
            f"TransformerSSM.deterministic = {deterministic} does not give each of attention_heads = {attention_heads} an even share, "
            f"which rotary positions need; bind a multiple of {2 * attention_heads}."
        )
    if not 1 <= window <= LONGEST_WINDOW:
        raise UserError(
            f"TransformerSSM.window = {window} must be between 1, which attends to the step before alone, and {LONGEST_WINDOW}."
        )
