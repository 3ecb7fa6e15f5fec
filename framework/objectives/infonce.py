"""Eq. 15 of the note: latent and observation predict each other, against the other observations of the batch."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework import objectives
from framework.critics.base import Critic
from framework.data import Batch, Factory, Latent, LatentSpec, Losses, Metrics, Origin
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.contrastive import Axis
from framework.negatives.base import Negatives
from framework.objectives.base import Objective


@final
@objectives.register
class InfoNCE(Objective):
    """`-f(s_i, o_i) + log sum_j exp(f(s_i, o_j) + w_ij)`, the InfoNCE bound on `I(s; o)`, instead of decoding pixels.

    *Dream to Control*, Appendix B; Poole et al. (2019). On the row axis the latent is fixed and the sum runs over observations, as in
    the paper; the code released with it sums over latents, the column axis. A density over latents is right on rows alone:
    `column_as_released` asks for the other by name.

    Gradients: to the latents always, and so to the encoder through the posterior; `embedding_gradient = 'stop'` detaches the
    candidates, so that the encoder cannot make itself trivial to predict.
    """

    losses: ClassVar[tuple[str, ...]] = ("infonce",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        critic: Factory[Critic],
        negatives: Factory[Negatives],
        axis: Literal["row", "column", "symmetric", "column_as_released"] = "row",
        embedding_gradient: Literal["flow", "stop"] = "flow",
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation)
        self.critic: Critic = critic(latent=latent, embedding_size=embedding_size)
        self.negatives: Negatives = negatives()
        _check_axis(self.critic, axis)
        self.axis: Axis = "column" if axis == "column_as_released" else axis
        self.embedding_gradient = embedding_gradient

    def forward(self, posterior: Latent, prior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> tuple[Losses, Metrics]:
        scores, log_weights, _ = self._contrast(posterior, embedding, batch)
        loss = contrastive.infonce_loss(scores, log_weights, self.axis)
        losses = {"infonce": rearrange(loss, "(b t) -> b t", b=batch.reward.shape[0])}
        with torch.no_grad():
            ceiling = contrastive.log_candidates(log_weights, self.axis)
            metrics = {
                "contrastive/estimate": (ceiling - loss).mean(),
                "contrastive/ceiling": ceiling.mean(),
                "contrastive/accuracy": contrastive.accuracy(scores, log_weights, self.axis),
                "contrastive/positive_score": scores.diagonal().mean(),
                "contrastive/negative_score": contrastive.negative_mean(scores, log_weights),
                "contrastive/largest_score": contrastive.weighted(scores, log_weights).max(),
            }
        return losses, metrics

    def diagnose(self, posterior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> Metrics:
        scores, log_weights, origin = self._contrast(posterior, embedding, batch)
        flat = rearrange(embedding, "b t e -> (b t) e")
        return {
            "contrastive/own_sequence_mass": contrastive.share_on(scores, log_weights, origin.row, origin.row),
            "contrastive/effective_rank": contrastive.effective_rank(flat),
            **self.critic.diagnose(flat),
        }

    def _contrast(self, posterior: Latent, embedding: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Origin]:
        candidates = rearrange(embedding, "b t e -> (b t) e")
        if self.embedding_gradient == "stop":
            candidates = candidates.detach()
        scores = self.critic(posterior.flatten(), candidates)
        origin = Origin.of(batch.episode)
        return scores, self.negatives(scores, origin, origin), origin


def _check_axis(critic: Critic, axis: str) -> None:
    wrong = {"latent": ("column", "symmetric"), "observation": ("row", "symmetric")}.get(critic.normalised_over or "", ())
    if axis in wrong:
        right = "row" if critic.normalised_over == "latent" else "column"
        raise UserError(
            f"InfoNCE.axis = '{axis}' does not fit {type(critic).__name__}, a density over the {critic.normalised_over}: "
            f"off its own axis the bound is wrong by nats; bind InfoNCE.axis = '{right}'"
            + (", or 'column_as_released' to ask for it by name." if right == "row" else ".")
        )
