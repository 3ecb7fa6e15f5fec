"""The world model: encoder, dynamics, heads and objectives over one batch.

e_t = encoder(o_t)      posterior, prior = dynamics(e, a)      loss = kl + heads + objectives, each with its weight
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, cast, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch, ExtraCandidates, ExtraSteps, InferredBatch, Latent, Losses, Metrics, Observation, Pictures, SecondView
from framework.dynamics.base import Dynamics
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.contrastive import effective_rank
from framework.functional.random import Key, fold_in
from framework.heads.base import Head
from framework.nn.blocks import copy_parameters
from framework.objectives.base import Objective

FIRST_VIEW: Final = 1
SECOND_VIEW: Final = 2
"""The augmentation of each view folds its number into the key, so that it differs from what the objectives draw."""


@dataclass(frozen=True)
class WorldModelOutput:
    """The inferred batch, the losses `[B, T]` by name, their weighted sum of means, and metrics."""

    inferred: InferredBatch
    losses: Losses
    loss: Float[Tensor, ""]
    metrics: Metrics


@final
class WorldModel(nn.Module):
    """The four stages in the order of the data flow. A head `reward` is required; `continuation` is used where it is bound.

    `loss_scales` holds the weight of each loss by its name: the KL's from the dynamics, each head's own, and each objective's.
    """

    def __init__(self, *, encoder: Encoder, dynamics: Dynamics, heads: Mapping[str, Head], objectives: Sequence[Objective]) -> None:
        super().__init__()
        if "reward" not in heads:
            raise UserError("Agent.heads has no 'reward', which imagination needs; bind {'reward': @heads.RewardHead}.")
        self.encoder, self.dynamics = encoder, dynamics
        self.heads = nn.ModuleDict(heads)
        self.objectives = nn.ModuleList(objectives)
        self.loss_scales = _loss_scales(dynamics, heads, objectives)
        self.slow_rate = _slow_rate(objectives)
        self.slow_encoder = None if self.slow_rate is None else deepcopy(encoder).requires_grad_(False)
        self.has_second_view = _has_second_view(objectives, encoder)

    @property
    def each_head(self) -> dict[str, Head]:
        return {name: cast(Head, head) for name, head in self.heads.items()}

    @property
    def each_objective(self) -> list[Objective]:
        return [cast(Objective, objective) for objective in self.objectives]

    def observe(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> InferredBatch:
        """Infer the posterior and the prior of every step."""
        embedding = self.encoder(batch.observation)
        start = self.dynamics.initial(batch.reward.shape[0])
        posterior, prior = self.dynamics.observe(embedding, batch.action, batch.is_first, start, noise)
        return InferredBatch(
            batch=batch,
            embedding=embedding,
            posterior=posterior,
            prior=prior,
            slow_embedding=self._slow_embedding(batch.observation),
            extra=None if batch.extra is None else self._extra_candidates(batch.extra),
        )

    def forward(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> WorldModelOutput:
        """Infer the latents of a batch and compute all losses; augmentations and objectives draw from `key`."""
        for objective in self.each_objective:
            objective.check_length(batch.reward.shape[1])
        observation = self.encoder.augment(batch.observation, fold_in(key, FIRST_VIEW))
        inferred = self.observe(replace(batch, observation=observation), noise)
        if self.has_second_view:
            inferred = replace(inferred, second=self._second_view(self.encoder.augment(batch.observation, fold_in(key, SECOND_VIEW))))
        losses, metrics = self.dynamics.kl_loss(inferred.posterior, inferred.prior)
        losses |= {name: head.loss(inferred.features, batch) for name, head in self.each_head.items()}
        for objective in self.each_objective:
            objective_losses, objective_metrics = objective(inferred, self.dynamics, key)
            losses |= objective_losses
            metrics = _merged(metrics, objective_metrics, objective)
        means = {name: loss.mean() for name, loss in losses.items()}
        return WorldModelOutput(
            inferred=inferred,
            losses=losses,
            loss=torch.stack([self.loss_scales[name] * mean for name, mean in means.items()]).sum(),
            metrics=metrics | {f"model/{name}_loss": mean for name, mean in means.items()},
        )

    def after_update(self, inferred: InferredBatch, key: Key) -> None:
        """Update slow copies, queues and running means, after the parameters have moved."""
        if self.slow_encoder is not None and self.slow_rate is not None:
            copy_parameters(source=self.encoder, target=self.slow_encoder, rate=self.slow_rate)
        for objective in self.each_objective:
            objective.after_update(inferred, self.dynamics, key)

    def step(self, latent: Latent, observation: Observation, action: Tensor, is_first: Tensor, noise: Tensor) -> Latent:
        """The posterior after one step of acting."""
        return self.dynamics.observe_step(latent, self.encoder(observation), action, is_first, noise)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> Metrics:
        """The metrics of once per logging interval: the effective rank of the embedding, and those of the objectives."""
        inferred = self.observe(batch, noise)
        metrics = {"model/effective_rank": effective_rank(rearrange(inferred.embedding, "b t e -> (b t) e"))}
        for objective in self.each_objective:
            metrics = _merged(metrics, objective.diagnose(inferred, self.dynamics, key), objective)
        return metrics

    @torch.no_grad()
    def pictures(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> Pictures:
        """The pictures of every objective, by name."""
        inferred, pictures = self.observe(batch, noise), dict[str, Tensor]()
        for objective in self.each_objective:
            pictures = _merged(pictures, objective.pictures(inferred, self.dynamics, key), objective)
        return pictures

    def _slow_embedding(self, observation: Observation) -> Float[Tensor, "B T E"] | None:
        return None if self.slow_encoder is None else self.slow_encoder(observation)

    def _second_view(self, observation: Observation) -> SecondView:
        return SecondView(embedding=self.encoder(observation), slow_embedding=self._slow_embedding(observation))

    def _extra_candidates(self, extra: ExtraSteps) -> ExtraCandidates:
        encoder = self.encoder if self.slow_encoder is None else self.slow_encoder
        return ExtraCandidates(embedding=encoder(extra.observation), episode=extra.episode)


def _merged(tensors: Mapping[str, Tensor], added: Mapping[str, Tensor], objective: Objective) -> dict[str, Tensor]:
    """Both, where a name of the second that is taken gets the objective's class after its group: `contrastive/InfoNCE/accuracy`."""
    prefixed = {name: f"{name.partition('/')[0]}/{type(objective).__name__}/{name.partition('/')[2]}" for name in added if name in tensors}
    return {**tensors, **{prefixed.get(name, name): value for name, value in added.items()}}


def _loss_scales(dynamics: Dynamics, heads: Mapping[str, Head], objectives: Sequence[Objective]) -> dict[str, float]:
    scales = {"kl": dynamics.kl_scale}
    for owned in ({name: head.scale for name, head in heads.items()}, *(objective.loss_scales for objective in objectives)):
        if shared := sorted(set(scales) & set(owned)):
            raise UserError(f"Two parts of the agent give a loss named {shared}; keep one of them in Agent.heads and Agent.objectives.")
        scales |= owned
    return scales


def _slow_rate(objectives: Sequence[Objective]) -> float | None:
    rates = {objective.slow_rate for objective in objectives} - {None}
    if len(rates) > 1:
        raise UserError(f"Agent.objectives ask for slow encoders of rates {sorted(map(str, rates))}; one encoder has one slow copy.")
    return rates.pop() if rates else None


def _has_second_view(objectives: Sequence[Objective], encoder: Encoder) -> bool:
    comparing = [type(objective).__name__ for objective in objectives if objective.needs_second_view]
    if comparing and not encoder.augments:
        raise UserError(
            f"{comparing[0]} compares two augmented views of a batch, and {type(encoder).__name__} augments nothing, so that both would be "
            "the same; wrap it: bind Agent.encoder = @encoders.RandomShift, and RandomShift.encoder to the one that is bound now."
        )
    return bool(comparing)
