"""The agent: every stage of the flow built in its order, and one update that reads like the algorithm box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from framework.actor_critics.base import ActorCritic, Choose, Mode
from framework.data import Batch, Factory, Imagination, Latent, Losses, Metrics, Observation, Pictures, Replayed, Specs
from framework.dynamics.base import Dynamics
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.random import new_key
from framework.heads.base import Head
from framework.imagination import imagine
from framework.lesson import Study, UpdateNoise, UpdateOutput
from framework.objectives.base import InferredBatch, Objective
from framework.optimizers.base import Optimizer
from framework.registry import parts
from framework.world_model import WorldModel


@dataclass(frozen=True)
class Carry:
    """What acting carries from step to step: the belief, the action that it took last, and what the behavior means to do."""

    latent: Latent
    action: Float[Tensor, "N A"]
    plan: Float[Tensor, "N I"]


@final
@parts.register
class Agent(nn.Module):
    """A world model and a behavior learned inside it; *Dream to Control*, Algorithm 1.

    Each factory receives only specs and the sizes that the stage before it declared. `scales` weighs each loss of the world model by
    its name; `imagination_starts` bounds from how many latents of a batch, drawn at random, rollouts start (None: from all, as in the
    paper).

    Gradients: each group of parameters receives the gradient of its own loss alone: `model` of the weighted losses of the world
    model, the others of the behavior's loss of their name. Rollouts start from detached latents.
    """

    derived: ClassVar[tuple[str, ...]] = ("specs",)

    def __init__(
        self,
        *,
        specs: Specs,
        encoder: Factory[Encoder],
        dynamics: Factory[Dynamics],
        heads: Mapping[str, Factory[Head]],
        objectives: Sequence[Factory[Objective]],
        scales: Mapping[str, float],
        actor_critic: Factory[ActorCritic],
        optimizers: Mapping[str, Factory[Optimizer]],
        horizon: int = 15,
        imagination_starts: int | None = None,
    ) -> None:
        super().__init__()
        encode: Encoder = encoder(observation=specs.observation)
        dynamic: Dynamics = dynamics(embedding_size=encode.embedding_size, action_size=specs.action_size)
        latent = dynamic.latent
        self.world_model = WorldModel(
            encoder=encode,
            dynamics=dynamic,
            heads={name: head(latent=latent) for name, head in heads.items()},
            objectives=[
                objective(latent=latent, embedding_size=encode.embedding_size, observation=specs.observation, action=specs.seen_action)
                for objective in objectives
            ],
        )
        self.behavior: ActorCritic = actor_critic(latent=latent, action=specs.seen_action, embedding_size=encode.embedding_size)
        self.specs, self.scales = specs, dict(scales)
        self.horizon, self.imagination_starts = horizon, imagination_starts
        _check_losses(self.world_model, self.scales)
        _check_action(self.behavior, specs)
        self.optimizers = self._optimizers(optimizers)

    def update(self, batch: Batch, generator: torch.Generator, study: Study | None = None) -> Metrics:
        """One gradient step of every group, on one batch: draw, and learn."""
        return self.learn(batch, self.draw(batch, generator), study)

    def learn(self, batch: Batch, chance: UpdateNoise, study: Study | None = None) -> Metrics:
        """All of an update but its chance; all losses are computed before any step is taken.

        `study` stands in for the agent's own `forward`, which it must equal, as a compiled one does. Nothing here is read back from the
        device, and what lasts is changed in place, so that it can be captured.
        """
        lesson = (study or self)(batch, chance)
        metrics = dict(lesson.metrics)
        for name, optimizer in self.optimizers.items():
            norms = optimizer.step(lesson.gradients[name])
            metrics |= {f"train/{name}_{key}": value for key, value in norms.items()}
        self.behavior.after_update()
        self.world_model.after_update(lesson.seen, chance.seed)
        return metrics

    def draw(self, batch: Batch, generator: torch.Generator) -> UpdateNoise:
        """The chance of one update."""
        filtering, seed = self._noise(batch, generator), new_key(generator)
        starts, size = None, batch.reward.numel()
        if self.imagination_starts is not None and self.imagination_starts < size:
            starts = torch.randperm(size, generator=generator, device=generator.device)[: self.imagination_starts]
            size = self.imagination_starts
        horizon = self.horizon if self.behavior.imagines else 0
        return UpdateNoise(
            seed=seed,
            filtering=filtering,
            starts=starts,
            dreaming=self.world_model.dynamics.draw_noise(horizon, size, generator=generator),
            acting=self.behavior.draw_noise(horizon, size, generator=generator),
            replaying=self.behavior.draw_noise(*batch.reward.shape, generator=generator),
        )

    def forward(self, batch: Batch, chance: UpdateNoise) -> UpdateOutput:
        """What a batch teaches: the losses of every group, and their gradients; nothing is drawn here, and nothing stepped."""
        known = self.world_model(batch, chance.filtering, chance.seed)
        _same_names(known.losses, self.scales)
        means = {name: loss.mean() for name, loss in known.losses.items()}
        total = torch.stack([self.scales[name] * mean for name, mean in means.items()]).sum()
        losses, metrics = self._behave(known.seen, chance)
        objectives = {"model": total} | {name: loss.mean() for name, loss in losses.items()}
        learned = objectives | {"model": torch.stack([total, *(objectives[name] for name in self.behavior.shapes_model)]).sum()}
        gradients = {name: self._gradients(name, objective) for name, objective in learned.items()}
        metrics |= known.metrics | {f"model/{name}_loss": mean for name, mean in means.items()}
        metrics |= {f"train/{name}_loss": objective for name, objective in objectives.items()}
        said = {name: value.detach() for name, value in metrics.items()}
        return UpdateOutput(gradients=gradients, seen=known.seen.detach(), metrics=said)

    def initial(self, size: int) -> Carry:
        """The memory before the first step, for `size` environments."""
        latent = self.world_model.dynamics.initial(size)
        return Carry(
            latent=latent,
            action=latent.stochastic.new_zeros(size, self.specs.action_size),
            plan=self.behavior.initial(size).to(latent.stochastic.device),
        )

    @torch.no_grad()
    def act(
        self,
        memory: Carry,
        observation: Observation,
        is_first: Bool[Tensor, " N"],
        mode: Mode,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "N A"], Carry]:
        """Take one observation in and choose an action."""
        latent = self.observe(memory, observation, is_first, generator)
        fresh = self.behavior.initial(is_first.shape[0]).to(is_first.device)
        plan = torch.where(is_first[:, None], fresh, memory.plan)
        action, plan = self.behavior.act(latent, plan, self.imagine, mode, generator)
        return action, Carry(latent=latent, action=action, plan=plan)

    @torch.no_grad()
    def observe(self, memory: Carry, observation: Observation, is_first: Bool[Tensor, " N"], generator: torch.Generator) -> Latent:
        """Take one observation in, whoever acts."""
        noise = self.world_model.dynamics.draw_noise(is_first.shape[0], generator=generator)
        return self.world_model.step(memory.latent, observation, memory.action, is_first, noise)

    @torch.no_grad()
    def imagine(self, start: Latent, choose: Choose, noise: Float[Tensor, "H N A"], generator: torch.Generator) -> Imagination:
        """What the model expects of actions that a behavior considers."""
        horizon, size, _ = noise.shape
        return self._imagine(start, choose, noise, self.world_model.dynamics.draw_noise(horizon, size, generator=generator))

    def diagnose(self, batch: Batch, generator: torch.Generator) -> Metrics:
        """Metrics too expensive for every update."""
        return self.world_model.diagnose(batch, self._noise(batch, generator), new_key(generator))

    def pictures(self, batch: Batch, generator: torch.Generator) -> Pictures:
        return self.world_model.pictures(batch, self._noise(batch, generator), new_key(generator))

    def parameter_count(self) -> Mapping[str, int]:
        """How many numbers each group trains."""
        return {name: sum(parameter.numel() for parameter in self._group(name)) for name in self.optimizers}

    def _noise(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.world_model.dynamics.draw_noise(*batch.reward.shape, generator=generator)

    def _behave(self, seen: InferredBatch, chance: UpdateNoise) -> tuple[Losses, Metrics]:
        """What the behavior loses over rollouts and over what was replayed."""
        batch = seen.batch
        imagination = self._rollouts(_starts(seen.posterior.detach(), chance.starts), chance)
        replayed = Replayed(
            latent=seen.posterior,
            embedding=seen.embedding,
            action=batch.action,
            reward=batch.reward,
            is_first=batch.is_first,
            is_terminal=batch.is_terminal,
            noise=chance.replaying,
        )
        return self.behavior.losses(imagination, replayed)

    def _rollouts(self, start: Latent, chance: UpdateNoise) -> Imagination:
        """Imagination to learn from. Where gradients are taken, the policy's numbers are kept, so that they need not be computed again."""
        if not self.behavior.needs_dynamics_gradient:
            with torch.no_grad():
                return self._imagine(start, self.behavior.sample, chance.acting, chance.dreaming)
        kept: list[Tensor] = []

        def choose(features: Tensor, noise: Tensor) -> Tensor:
            action, numbers = self.behavior.sample_with_parameters(features, noise)
            kept.extend([] if numbers is None else [numbers])
            return action

        imagination = self._imagine(start, choose, chance.acting, chance.dreaming)
        return replace(imagination, policy=torch.stack(kept, dim=1)) if kept else imagination

    def _imagine(self, start: Latent, choose: Choose, action_noise: Tensor, latent_noise: Tensor) -> Imagination:
        return imagine(
            dynamics=self.world_model.dynamics,
            heads=self.world_model.each_head,
            policy=choose,
            start=start,
            latent_noise=latent_noise,
            action_noise=action_noise,
        )

    def _gradients(self, name: str, objective: Tensor) -> Sequence[Tensor]:
        parameters = self._group(name)
        kept = name != ("model", *self.behavior.groups)[-1]
        found = torch.autograd.grad(objective, parameters, retain_graph=kept, allow_unused=True)
        gradients = [gradient for gradient in found if gradient is not None]
        if len(gradients) < len(parameters):
            idle = {id(parameter) for parameter, gradient in zip(parameters, found, strict=True) if gradient is None}
            names = [key for key, parameter in self.named_parameters() if id(parameter) in idle]
            raise UserError(
                f"No loss of the group '{name}' reaches {', '.join(names)}: use them in a loss, or freeze them with requires_grad_(False)."
            )
        return gradients

    def _group(self, name: str) -> list[nn.Parameter]:
        if name != "model":
            return self.behavior.group(name)
        return [parameter for parameter in self.world_model.parameters() if parameter.requires_grad]

    def _optimizers(self, factories: Mapping[str, Factory[Optimizer]]) -> dict[str, Optimizer]:
        groups = ("model", *self.behavior.groups)
        if set(factories) != set(groups):
            raise UserError(
                f"Agent.optimizers has {sorted(factories)}, and the groups of parameters with {type(self.behavior).__name__} are "
                f"{sorted(groups)}; bind one optimizer for each."
            )
        return {name: factories[name](parameters=self._group(name)) for name in groups}


def _starts(posterior: Latent, chosen: Int[Tensor, " N"] | None) -> Latent:
    """The latents of a batch that rollouts begin from."""
    if chosen is None:
        return posterior.flatten()
    times = posterior.stochastic.shape[1]
    return posterior.map(lambda tensor: tensor[chosen // times, chosen % times])


def _check_losses(model: WorldModel, scales: Mapping[str, float]) -> None:
    names = [*model.dynamics.losses, *model.each_head]
    for objective in model.each_objective:
        names += objective.losses
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UserError(f"Two parts of the agent give a loss named {doubled}; keep one of them in Agent.heads and Agent.objectives.")
    _same_names(names, scales)


def _same_names(names: Sequence[str] | Losses, scales: Mapping[str, float]) -> None:
    if set(names) != set(scales):
        missing, idle = sorted(set(names) - set(scales)), sorted(set(scales) - set(names))
        raise UserError(
            f"Agent.scales must name every loss and no other: {missing or 'none'} without a scale, {idle or 'none'} without a loss; "
            f"the losses are {sorted(names)}."
        )


def _check_action(behavior: ActorCritic, specs: Specs) -> None:
    if specs.action_kind not in behavior.action_kinds:
        raise UserError(
            f"{type(behavior).__name__} takes {' or '.join(behavior.action_kinds)} actions, and the environment has "
            f"{specs.action_kind} ones; bind another Agent.actor_critic."
        )
