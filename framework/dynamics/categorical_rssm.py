"""Dreamer V2's recurrent state-space model."""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from framework import dynamics
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.categorical import CategoricalRecurrence
from framework.functional.kl import FreeNats
from framework.nn.blocks import ACTIVATIONS, NORMS, Activation, JoinedLinear, Norm, NormGRUCell, glorot


@final
@dynamics.register
class CategoricalRSSM(CategoricalRecurrence):
    """Dreamer V2's recurrent state-space model: a GRU for `h`, and `z` of `groups` one-hot vectors of `classes`.

        h_t = GRU(h_{t-1}, act(norm(W [z_{t-1}, a_{t-1}])))
        prior      z_t ~ Categorical(W act(norm(W h_t))),    posterior of [h_t, e_t] likewise

    Hafner et al. (2021), *Mastering Atari with Discrete World Models*: 32 groups of 32, balance 0.8, 1 free nat on the mean; for the
    control suite 200 units everywhere. As released, the GRU alone has a norm, `cell_norm`. The paper has no `unimix`, Dreamer V3 1 %.

    Gradients: straight through the samples; with a balance, each side of the KL is detached in the other's term.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int = 200,
        groups: int = 32,
        classes: int = 32,
        hidden: int = 200,
        activation: Activation = "elu",
        norm: Norm = "none",
        cell_norm: Norm = "layer",
        unimix: float = 0.0,
        free_nats: float = 1.0,
        free_nats_on: FreeNats = "mean",
        balance: float | None = 0.8,
        kl_scale: float = 1.0,
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
        size = groups * classes
        self.activation = ACTIVATIONS[activation]()
        self.input = JoinedLinear(first_size=size, second_size=action_size, output_size=hidden)
        self.input_norm, self.prior_norm, self.posterior_norm = (NORMS[norm](hidden) for _ in range(3))
        self.prior_hidden, self.prior_out = nn.Linear(deterministic, hidden), nn.Linear(hidden, size)
        self.posterior_hidden = JoinedLinear(first_size=deterministic, second_size=embedding_size, output_size=hidden)
        self.posterior_out = nn.Linear(hidden, size)
        glorot(self)
        self.cell = NormGRUCell(input_size=hidden, hidden_size=deterministic, norm=cell_norm)

    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Float[Tensor, "B T U"]:
        return self.posterior_hidden.second(embedding)

    def from_actions(self, action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B U"]:
        return self.input.second(action)

    def advance(
        self, stochastic: Float[Tensor, "N Z"], deterministic: Float[Tensor, "N D"], from_action: Float[Tensor, "N U"]
    ) -> Float[Tensor, "N D"]:
        return self.cell(self.activation(self.input_norm(self.input.first(stochastic) + from_action)), deterministic)

    def prior_logits(self, deterministic: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Z"]:
        return self.prior_out(self.activation(self.prior_norm(self.prior_hidden(deterministic))))

    def posterior_logits(self, deterministic: Float[Tensor, "*B D"], from_embedding: Float[Tensor, "*B U"]) -> Float[Tensor, "*B Z"]:
        return self.posterior_out(self.activation(self.posterior_norm(self.posterior_hidden.first(deterministic) + from_embedding)))
