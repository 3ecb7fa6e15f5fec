"""Exploration by curiosity: the reward is what the model is not sure of."""

from dataclasses import replace
from typing import Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.base import ActorCritic, Choose, Foresee, Mode
from framework.actor_critics.wrapper import Wrapper
from framework.data import ActionSpec, Factory, Imagination, InferredBatch, Latent, LatentSpec, Losses, Metrics
from framework.errors import UserError
from framework.functional.masking import masked
from framework.nn.blocks import MLP, Activation


@final
@actor_critics.register
class Plan2Explore(Wrapper):
    """Another behavior, whose reward is how far one-step predictions disagree; Sekar et al. (2020), *Planning to Explore*.

        f_k(s_{t-1}, a_t) ~ x_t,    loss  sum_k |f_k - x_t|^2 / 2,    r_t = extrinsic r_t + intrinsic mean_d Var_k f_k(s_{t-1}, a_t)

    The members differ by their first weights alone, and learn from replayed steps, but for those that begin an episode. `x` is the
    embedding of the next observation in the paper, and the stochastic part of the next posterior in DreamerV2's implementation, from
    which the numbers are (ten of four layers of 400); that takes the deviation for the variance (`spread = 'deviation'`), or its
    logarithm. The variance is the unbiased one, as in the paper.

    The reward of the step from t - 1 to t arrives with step t, in imagination, in what was replayed, and in what a planner foresees, in
    either mode; at the start of a rollout or of an episode nothing was predicted, and it is 0.

    Gradients: the ensemble's loss to the ensemble alone, inputs and targets detached. The reward is differentiable in features and
    actions where the behavior asks for the gradient of the dynamics, and constant elsewhere.
    """

    groups: tuple[str, ...] = ("ensemble",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        action: ActionSpec,
        embedding_size: int,
        of: Factory[ActorCritic],
        target: Literal["embedding", "stochastic"] = "stochastic",
        spread: Literal["variance", "deviation", "log_deviation"] = "variance",
        members: int = 10,
        layers: int = 4,
        units: int = 400,
        activation: Activation = "elu",
        intrinsic: float = 1.0,
        extrinsic: float = 0.0,
    ) -> None:
        super().__init__(latent=latent, action=action, embedding_size=embedding_size, of=of)
        if members < 2:
            raise UserError(f"Plan2Explore.members = {members} cannot disagree; bind at least 2.")
        self.target, self.spread, self.intrinsic, self.extrinsic = target, spread, intrinsic, extrinsic
        given, wanted = latent.feature_size + action.size, {"embedding": embedding_size, "stochastic": latent.stochastic}[target]
        self.ensemble = nn.ModuleList(
            [MLP(input_size=given, output_size=wanted, layers=layers, units=units, activation=activation) for _ in range(members)]
        )

    def predictions(self, features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "K *B X"]:
        """What each member expects to come of an action."""
        given = torch.cat([features, action], dim=-1)
        return torch.stack([member(given).float() for member in self.ensemble])

    def disagreement(self, features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
        """How far the members lie apart."""
        variance = self.predictions(features, action).var(dim=0)
        if self.spread == "variance":
            return variance.mean(dim=-1)
        deviation = torch.sqrt(variance + 1e-12).mean(dim=-1)
        return deviation if self.spread == "deviation" else deviation.log()

    @torch.no_grad()
    def act(
        self, latent: Latent, plan: Float[Tensor, "N I"], imagine: Foresee, mode: Mode, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, "N I"]]:
        def curious(start: Latent, choose: Choose, noise: Tensor, drawing: torch.Generator) -> Imagination:
            return self._imagined(imagine(start, choose, noise, drawing))

        return self.of.act(latent, plan, curious, mode, generator)

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        features = inferred.features.detach()
        with torch.set_grad_enabled(self.needs_dynamics_gradient):
            imagined = self._imagined(imagination)
        with torch.no_grad():
            found = self.disagreement(features[:, :-1], inferred.batch.action[:, 1:])
            found = F.pad(found, (1, 0)).masked_fill(inferred.batch.is_first, 0.0)
        rewarded = replace(inferred.batch, reward=self._reward(inferred.batch.reward, found))
        losses, metrics = self.of.losses(imagined, replace(inferred, batch=rewarded), noise)
        known = (inferred.embedding if self.target == "embedding" else inferred.posterior.stochastic).detach()
        missed = self.predictions(features[:, :-1], inferred.batch.action[:, 1:]) - known[:, 1:].float()
        ensemble = masked(0.5 * missed.square().sum(dim=(0, -1)), ~inferred.batch.is_first[:, 1:])
        return losses | {"ensemble": ensemble}, metrics | {"behavior/disagreement": found.mean()}

    def _imagined(self, imagination: Imagination) -> Imagination:
        """The same rollouts, rewarded by disagreement."""
        found = self.disagreement(imagination.features[:, :-1], imagination.action)
        return replace(imagination, reward=self._reward(imagination.reward, F.pad(found, (1, 0))))

    def _reward(self, given: Float[Tensor, "N T"], found: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
        return self.extrinsic * given + self.intrinsic * found

    def group(self, name: str) -> list[nn.Parameter]:
        return list(self.ensemble.parameters()) if name == "ensemble" else self.of.group(name)
