"""Exploration by disagreement."""

from dataclasses import replace
from typing import Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework import actor_critics
from framework.actor_critics.base import Action, ActorCritic, Choose, Imagine, Mode, Plan
from framework.actor_critics.policy_and_value import joined
from framework.actor_critics.wrapper import Wrapper
from framework.data import Factory, Imagination, InferredBatch, Latent, Losses, Metrics
from framework.errors import UserError
from framework.functional.masking import masked
from framework.nn.blocks import MLP, Activation
from framework.specs import ModelSpecs


@final
@actor_critics.register
class Plan2Explore(Wrapper):
    """Plan2Explore's behavior: another behavior rewarded by the disagreement of one-step predictions; Sekar et al. (2020).

        f_k(s_{t-1}, a_t) ~ x_t,    loss  sum_k |f_k - x_t|^2 / 2,    r_t = extrinsic r_t + intrinsic mean_d Var_k f_k(s_{t-1}, a_t)

    *Planning to Explore via Self-Supervised World Models*. The members differ by their initial weights, and are trained on replayed
    steps, the first of each episode excepted. `x` is the embedding of the next observation in the paper, and the stochastic part of the
    next posterior in DreamerV2's implementation, from which the defaults are (ten members of four layers of 400); that one uses the
    standard deviation (`spread = 'deviation'`) or its logarithm. The variance is the unbiased one, as in the paper.

    The disagreement about the step from t - 1 to t is part of the reward of step t, in imagination, in replayed steps and in rollouts of
    a planner, in either mode; it is 0 at the start of a rollout or an episode.

    Gradients: the ensemble's loss to the ensemble alone, inputs and targets detached. The reward is differentiable in features and
    actions where the behavior needs the gradient of the dynamics, and constant elsewhere.
    """

    groups: tuple[str, ...] = ("ensemble",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
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
        super().__init__(model=model, of=of)
        if members < 2:
            raise UserError(f"Plan2Explore.members = {members} cannot disagree; bind at least 2.")
        self.target, self.spread, self.intrinsic, self.extrinsic = target, spread, intrinsic, extrinsic
        inputs = model.latent.feature_size + model.action.size
        outputs = {"embedding": model.embedding_size, "stochastic": model.latent.stochastic}[target]
        self.ensemble = nn.ModuleList(
            [MLP(input_size=inputs, output_size=outputs, layers=layers, units=units, activation=activation) for _ in range(members)]
        )

    def predictions(self, features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "K *B X"]:
        """The prediction of each member."""
        inputs = joined(features, action)
        return torch.stack([member(inputs).float() for member in self.ensemble])

    def disagreement(self, features: Float[Tensor, "*B F"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
        """The spread of the members' predictions, averaged over the target's dimensions."""
        variance = self.predictions(features, action).var(dim=0)
        if self.spread == "variance":
            return variance.mean(dim=-1)
        deviation = torch.sqrt(variance + 1e-12).mean(dim=-1)
        return deviation if self.spread == "deviation" else deviation.log()

    @torch.no_grad()
    def act(self, latent: Latent, plan: Plan, imagine: Imagine, mode: Mode, generator: torch.Generator) -> tuple[Action, Plan]:
        def imagine_rewarded(start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
            return self._rewarded(imagine(start, choose, noise, generator))

        return self.of.act(latent, plan, imagine_rewarded, mode, generator)

    def losses(self, imagination: Imagination, inferred: InferredBatch, noise: Float[Tensor, "B T A"]) -> tuple[Losses, Metrics]:
        batch, before = inferred.batch, inferred.features[:, :-1].detach()
        with torch.set_grad_enabled(self.needs_dynamics_gradient):
            rollouts = self._rewarded(imagination)
        with torch.no_grad():
            disagreement = F.pad(self.disagreement(before, batch.action[:, 1:]), (1, 0)).masked_fill(batch.is_first, 0.0)
        rewarded = replace(batch, reward=self._reward(batch.reward, disagreement))
        losses, metrics = self.of.losses(rollouts, replace(inferred, batch=rewarded), noise)
        target = (inferred.embedding if self.target == "embedding" else inferred.posterior.stochastic)[:, 1:].detach().float()
        error = self.predictions(before, batch.action[:, 1:]) - target
        ensemble = masked(0.5 * error.square().sum(dim=(0, -1)), ~batch.is_first[:, 1:])
        return losses | {"ensemble": ensemble}, metrics | {"behavior/disagreement": disagreement.mean()}

    def _rewarded(self, imagination: Imagination) -> Imagination:
        """The same rollouts, rewarded by disagreement."""
        disagreement = self.disagreement(imagination.features[:, :-1], imagination.action)
        return replace(imagination, reward=self._reward(imagination.reward, F.pad(disagreement, (1, 0))))

    def _reward(self, reward: Float[Tensor, "N T"], disagreement: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
        return self.extrinsic * reward + self.intrinsic * disagreement

    def group(self, name: str) -> list[nn.Parameter]:
        return ActorCritic.group(self, name) if name == "ensemble" else self.of.group(name)
