"""The agent: every stage of the flow built in its order, and one update that reads like the algorithm box."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from framework.actor_critics.base import ActorCritic, Choose, Mode
from framework.data import Batch, Factory, Imagination, InferredBatch, Latent, Metrics, Observation, Pictures, UpdateNoise
from framework.dynamics.base import Dynamics
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional import ranks
from framework.functional.random import new_key
from framework.heads.base import Head
from framework.imagination import imagine
from framework.objectives.base import Objective
from framework.optimizers.base import Optimizer
from framework.registry import parts
from framework.specs import ModelSpecs, Specs
from framework.text import aligned
from framework.world_model import WorldModel

LONGEST_HORIZON: Final = 10_000


@dataclass(frozen=True)
class Carry:
    """The recurrent input of acting: the latent, the last action, and the planner's state."""

    latent: Latent
    action: Float[Tensor, "N A"]
    plan: Float[Tensor, "N I"]


@final
@parts.register
class Agent(nn.Module):
    """A world model and a behavior learned inside it; *Dream to Control*, Algorithm 1.

    Each factory receives only specs and the sizes that the stage before it declared. `imagination_starts` is how many latents of a
    batch, drawn at random, rollouts start from (None: all, as in the paper).

    Where several ranks train one agent, each updates it with its own rows: losses, gradients and metrics are those of the rows of all.

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
        actor_critic: Factory[ActorCritic],
        optimizers: Mapping[str, Factory[Optimizer]],
        horizon: int = 15,
        imagination_starts: int | None = None,
    ) -> None:
        super().__init__()
        if imagination_starts is not None and imagination_starts < 1:
            raise UserError(f"Agent.imagination_starts = {imagination_starts} must be at least 1, or None for every step of a batch.")
        if not 1 <= horizon <= LONGEST_HORIZON:
            raise UserError(f"Agent.horizon = {horizon} must be between 1 and {LONGEST_HORIZON}: an imagined rollout is in memory at once.")
        encode: Encoder = encoder(observation=specs.observation)
        dynamic: Dynamics = dynamics(embedding_size=encode.embedding_size, action_size=specs.action_size)
        latent = dynamic.latent
        model = ModelSpecs(latent, encode.embedding_size, specs.observation, specs.model_action)
        self.world_model = WorldModel(
            encoder=encode,
            dynamics=dynamic,
            heads={name: head(latent=latent) for name, head in heads.items()},
            objectives=[objective(model=model) for objective in objectives],
        )
        self.behavior: ActorCritic = actor_critic(model=model)
        self.specs, self.horizon, self.imagination_starts = specs, horizon, imagination_starts
        _check_action(self.behavior, specs)
        self.optimizers = self._optimizers(optimizers)

    def update(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        """One gradient step of every group; *Dream to Control*, Algorithm 1.

        Metrics stay on the device, and lasting tensors change in place, so that the update can be captured.
        """
        # World model: infer the latents of the batch and compute the losses.
        model = self.world_model(batch, noise.posterior, noise.key)

        # Imagination: roll the policy out inside the model, from detached posteriors.
        imagination = self._rollouts(_starts(model.inferred.posterior.detach(), noise.starts), noise)

        # Behavior: actor and value losses over the rollouts and the replayed steps.
        losses, metrics = self.behavior.losses(imagination, model.inferred, noise.replayed_actions)

        # Optimizer steps: all gradients are taken before any parameter moves.
        objectives = {"model": model.loss} | {name: loss.mean() for name, loss in losses.items()}
        metrics |= model.metrics | {f"train/{name}_loss": objective for name, objective in objectives.items()}
        gradients = self._gradients(objectives)
        for name, optimizer in self.optimizers.items():
            metrics |= {f"train/{name}_{key}": value for key, value in optimizer.step(gradients[name]).items()}
        self.behavior.after_update()
        self.world_model.after_update(model.inferred.detach(), noise.key)
        return _means(metrics)

    @torch.no_grad()
    def infer(self, batch: Batch, generator: torch.Generator | None = None) -> InferredBatch:
        """The embedding, posterior and prior of every step of a batch, as objectives get them in an update, without augmentation.

        Without a generator, posteriors are drawn with a seed of 0, and so are equal at every call.
        """
        generator = torch.Generator(batch.reward.device).manual_seed(0) if generator is None else generator
        return self.world_model.observe(batch, self._posterior_noise(batch, generator))

    def draw_noise(self, batch: Batch, generator: torch.Generator) -> UpdateNoise:
        """The random numbers of one update: those of this rank's rows, and a key that all ranks have."""
        posterior, key = self._posterior_noise(batch, generator), ranks.largest_of_all(new_key(generator))
        starts, size = None, batch.reward.numel()
        if self.imagination_starts is not None and self.imagination_starts < size:
            starts = torch.randperm(size, generator=generator, device=generator.device)[: self.imagination_starts]
            size = self.imagination_starts
        horizon = self.horizon if self.behavior.imagines else 0
        return UpdateNoise(
            key=key,
            posterior=posterior,
            starts=starts,
            imagined_latents=self.world_model.dynamics.draw_noise(horizon, size, generator=generator),
            imagined_actions=self.behavior.draw_noise(horizon, size, generator=generator),
            replayed_actions=self.behavior.draw_noise(*batch.reward.shape, generator=generator),
        )

    def initial(self, size: int) -> Carry:
        """The carry before the first step, for `size` environments."""
        latent = self.world_model.dynamics.initial(size)
        return Carry(
            latent=latent,
            action=latent.stochastic.new_zeros(size, self.specs.action_size),
            plan=self.behavior.initial(size).to(latent.stochastic.device),
        )

    @torch.no_grad()
    def act(
        self,
        carry: Carry,
        observation: Observation,
        is_first: Bool[Tensor, " N"],
        mode: Mode,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "N A"], Carry]:
        """Infer the latent of one observation and choose an action."""
        latent = self.observe(carry, observation, is_first, generator)
        initial = self.behavior.initial(is_first.shape[0]).to(is_first.device)
        plan = torch.where(is_first[:, None], initial, carry.plan)
        action, plan = self.behavior.act(latent, plan, self.imagine, mode, generator)
        return action, Carry(latent=latent, action=action, plan=plan)

    @torch.no_grad()
    def observe(self, carry: Carry, observation: Observation, is_first: Bool[Tensor, " N"], generator: torch.Generator) -> Latent:
        """Infer the latent of one observation, whichever policy acts."""
        noise = self.world_model.dynamics.draw_noise(is_first.shape[0], generator=generator)
        return self.world_model.step(carry.latent, observation, carry.action, is_first, noise)

    @torch.no_grad()
    def imagine(self, start: Latent, choose: Choose, noise: Float[Tensor, "H N A"], generator: torch.Generator) -> Imagination:
        """Roll the model out under the actions that a behavior considers."""
        horizon, size, _ = noise.shape
        return self._imagine(start, choose, noise, self.world_model.dynamics.draw_noise(horizon, size, generator=generator))

    def diagnose(self, batch: Batch, generator: torch.Generator) -> Metrics:
        """Metrics too expensive for every update."""
        key = ranks.largest_of_all(new_key(generator))
        return _means(self.world_model.diagnose(batch, self._posterior_noise(batch, generator), key))

    def pictures(self, batch: Batch, generator: torch.Generator) -> Pictures:
        """Pictures of the world model's predictions, `uint8` `[height, width, channel]` by name."""
        return self.world_model.pictures(batch, self._posterior_noise(batch, generator), new_key(generator))

    def parameter_count(self) -> Mapping[str, int]:
        """The number of trained parameters in each group."""
        return {name: sum(parameter.numel() for parameter in self._group(name)) for name in self.optimizers}

    def __repr__(self) -> str:
        model, action, counts = self.world_model, self.specs.model_action, self.parameter_count()
        latent, names = model.dynamics.latent, [type(each).__name__ for each in model.each_objective]
        observed = [f"{name} {spec.dtype} {[*spec.shape]}" for name, spec in self.specs.observation.items()]
        facts = {
            "observation": ", ".join(observed),
            "action": f"{action.kind} {[*action.sizes]}",
            "encoder": f"{type(model.encoder).__name__}, embedding {model.encoder.embedding_size}",
            "dynamics": f"{type(model.dynamics).__name__}, h {latent.deterministic}, z {latent.stochastic} ({latent.kind})",
            "heads": ", ".join(f"{name} {type(head).__name__}" for name, head in model.each_head.items()),
            "objectives": ", ".join(names) or "none",
            "behavior": f"{type(self.behavior).__name__}, horizon {self.horizon}",
            "parameters": ", ".join(f"{name} {count:,}" for name, count in counts.items()),
        }
        return aligned("Agent", facts)

    def _posterior_noise(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.world_model.dynamics.draw_noise(*batch.reward.shape, generator=generator)

    def _rollouts(self, start: Latent, noise: UpdateNoise) -> Imagination:
        """Rollouts to learn from. Where gradients are taken, the parameters of the policy are kept for its losses."""
        if not self.behavior.needs_dynamics_gradient:
            with torch.no_grad():
                return self._imagine(start, self.behavior.sample, noise.imagined_actions, noise.imagined_latents)
        kept: list[Tensor] = []

        def choose(features: Tensor, action_noise: Tensor) -> Tensor:
            action, parameters = self.behavior.sample_with_parameters(features, action_noise)
            kept.extend([] if parameters is None else [parameters])
            return action

        imagination = self._imagine(start, choose, noise.imagined_actions, noise.imagined_latents)
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

    def _gradients(self, objectives: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """The gradient of each group's objective, the mean over ranks; the losses in `shapes_model` also reach the world model."""
        shaping = [objectives[name] for name in self.behavior.shapes_model]
        minimized = {**objectives, "model": torch.stack([objectives["model"], *shaping]).sum()}
        last = ("model", *self.behavior.groups)[-1]
        return {name: self._group_gradients(name, objective, retain=name != last) for name, objective in minimized.items()}

    def _group_gradients(self, name: str, objective: Tensor, *, retain: bool) -> list[Tensor]:
        parameters = self._group(name)
        gradients = torch.autograd.grad(objective, parameters, retain_graph=retain, allow_unused=True)
        unused = {id(parameter) for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is None}
        if unused:
            raise UserError(
                f"No loss of the group '{name}' reaches {self._names(unused)}: use them in a loss, or freeze them with "
                "requires_grad_(False)."
            )
        return ranks.means_of_all([gradient for gradient in gradients if gradient is not None])

    def _names(self, parameters: Collection[int]) -> str:
        """The names of parameters, which are given by their ids, each with the innermost component that holds it."""
        holders = {f"{path}.": type(module) for path, module in self.named_modules() if getattr(type(module), "derived", None) is not None}
        names = []
        for name, parameter in self.named_parameters():
            if id(parameter) in parameters:
                path = max((each for each in holders if each != "." and name.startswith(each)), key=len, default="")
                names.append(f"{name.removeprefix(path)} of {holders[path].__name__}" if path else name)
        return ", ".join(names)

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
        trained = {id(parameter) for name in groups for parameter in self._group(name)}
        if left := {id(parameter) for parameter in self.parameters() if parameter.requires_grad} - trained:
            raise UserError(
                f"{self._names(left)} belongs to no group of parameters, so that nothing trains it: the groups of "
                f"{type(self.behavior).__name__} are {sorted(groups)}; put it into the submodule of a group, or freeze it with "
                "requires_grad_(False)."
            )
        return {name: factories[name](parameters=self._group(name)) for name in groups}


def _means(metrics: Metrics) -> Metrics:
    """The means over ranks; a metric that a component computed over all ranks is equal on each."""
    return dict(zip(metrics, ranks.means_of_all([value.detach().float() for value in metrics.values()]), strict=True))


def _starts(posterior: Latent, chosen: Int[Tensor, " N"] | None) -> Latent:
    """The latents from which rollouts begin."""
    latents = posterior.flatten()
    return latents if chosen is None else latents.map(lambda tensor: tensor[chosen])


def _check_action(behavior: ActorCritic, specs: Specs) -> None:
    if specs.action_kind not in behavior.action_kinds:
        raise UserError(
            f"{type(behavior).__name__} takes {' or '.join(behavior.action_kinds)} actions, and the environment has "
            f"{specs.action_kind} ones; bind another Agent.actor_critic."
        )
