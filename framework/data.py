"""The arrows of the data flow: one frozen dataclass for each thing that passes between two stages.

**Time alignment, stated once.** Row `t` of a `Batch` holds the observation `o_t`, the action `a_{t-1}` that led to it (zero where
`is_first`), the reward `r_t` that arrived with it, `is_first_t` and `is_terminal_t`. A time limit ends an episode without
`is_terminal`: returns bootstrap there.

**Step unit, stated once.** An *environment step* is one control step of the simulator, action repeats counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

Built = TypeVar("Built")
Factory = Callable[..., Built]
"""What a recipe binds with `@family.Name`: called once, by the stage that owns it, with the sizes that it derives."""

LatentKind = Literal["gaussian", "categorical"]
ActionKind = Literal["continuous", "discrete", "multi_discrete"]
Observation = Mapping[str, Tensor]
Metrics = dict[str, Tensor]
Pictures = dict[str, Tensor]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class ActionSpec:
    """The action as the model sees it: numbers in [-1, 1], or a one-hot group for each choice, side by side.

    `sizes` holds how many numbers a continuous action has, and how many options each choice of a discrete one.
    """

    kind: ActionKind
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """The length of the action vector."""
        return sum(self.sizes)

    @staticmethod
    def of(spec: specs.Array) -> "ActionSpec":
        """An integer array is one choice for each element, its options counted from its minimum."""
        if isinstance(spec, specs.DiscreteArray):
            return ActionSpec(kind="discrete", sizes=(int(spec.num_values),))
        if isinstance(spec, specs.BoundedArray) and np.issubdtype(spec.dtype, np.integer):
            options = np.broadcast_to(spec.maximum - spec.minimum + 1, spec.shape)
            return ActionSpec(kind="multi_discrete", sizes=tuple(int(size) for size in options.ravel()))
        return ActionSpec(kind="continuous", sizes=(int(np.prod(spec.shape)),))


@dataclass(frozen=True)
class Specs:
    """What an environment shows and takes: named observation arrays, and an action in [-1, 1] or of integers."""

    observation: Mapping[str, specs.Array]
    action: specs.Array

    @property
    def seen_action(self) -> ActionSpec:
        """The action as the model sees it."""
        return ActionSpec.of(self.action)

    @property
    def action_kind(self) -> ActionKind:
        return self.seen_action.kind

    @property
    def action_size(self) -> int:
        """The length of the action vector that the model sees."""
        return self.seen_action.size


def is_image(spec: specs.Array) -> bool:
    """Whether an observation is a picture: `uint8`, height by width by channel."""
    return len(spec.shape) == 3 and spec.dtype == "uint8"


@dataclass(frozen=True)
class LatentSpec:
    """The sizes that a dynamics declares: deterministic part `h`, stochastic part `z` (flattened), and the kind of `z`.

    A categorical `z` is `stochastic / classes` one-hot groups of `classes`, side by side.
    """

    deterministic: int
    stochastic: int
    kind: LatentKind
    classes: int | None = None

    @property
    def feature_size(self) -> int:
        return self.deterministic + self.stochastic


@dataclass(frozen=True)
class ExtraSteps:
    """Single steps drawn uniformly from the replay, independent of the sequences beside them."""

    observation: Observation
    episode: Int[Tensor, " X"]


@dataclass(frozen=True)
class Batch:
    """Replayed sequences, aligned as the module says."""

    observation: Observation
    action: Float[Tensor, "B T A"]
    reward: Float[Tensor, "B T"]
    is_first: Bool[Tensor, "B T"]
    is_terminal: Bool[Tensor, "B T"]
    episode: Int[Tensor, "B T"]
    """A number that two steps share only if they come from the same episode."""
    draws: ExtraSteps | None = None
    """What `Replay.extra` asked for."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Apply one function to every tensor."""
        return Batch(
            observation={name: function(value) for name, value in self.observation.items()},
            action=function(self.action),
            reward=function(self.reward),
            is_first=function(self.is_first),
            is_terminal=function(self.is_terminal),
            episode=function(self.episode),
            draws=self.draws
            and ExtraSteps(
                observation={name: function(value) for name, value in self.draws.observation.items()},
                episode=function(self.draws.episode),
            ),
        )

    def to(self, device: torch.device) -> "Batch":
        """Copy to a device, without waiting for the copy where memory is pinned."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True)
class Latent:
    """The model's belief: `h`, a sample of `z`, and the statistics of the distribution that `z` was drawn from.

    A Gaussian latent has statistics `mean` and `std`; a categorical one has `logits`, flattened as `z` is.
    """

    deterministic: Float[Tensor, "*B D"]
    stochastic: Float[Tensor, "*B Z"]
    statistics: dict[str, Tensor]
    past: dict[str, Tensor] = field(default_factory=dict)
    """What the next step needs beyond `h` and `z`, by name; most dynamics need nothing. Over `[B, T]` it is a view into one buffer,
    which flattening copies: choose steps first (`map` with an index), or leave it (`without_past`)."""

    @property
    def features(self) -> Float[Tensor, "*B F"]:
        """What heads, critics and policies see: `[z, h]`."""
        return torch.cat([self.stochastic, self.deterministic], dim=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Latent":
        """Apply one function to every tensor."""
        return Latent(
            deterministic=function(self.deterministic),
            stochastic=function(self.stochastic),
            statistics={name: function(value) for name, value in self.statistics.items()},
            past={name: function(value) for name, value in self.past.items()},
        )

    def where(self, chosen: Bool[Tensor, "N 1"], other: "Latent") -> "Latent":
        """This latent where it is chosen, the other elsewhere."""
        return Latent(
            deterministic=self.deterministic.where(chosen, other.deterministic),
            stochastic=self.stochastic.where(chosen, other.stochastic),
            statistics={name: value.where(chosen, other.statistics[name]) for name, value in self.statistics.items()},
            past={name: value.where(_like(chosen, value), other.past[name]) for name, value in self.past.items()},
        )

    def with_past(self, past: dict[str, Tensor]) -> "Latent":
        return Latent(deterministic=self.deterministic, stochastic=self.stochastic, statistics=self.statistics, past=past)

    def without_past(self) -> "Latent":
        """For what looks at the latent and does not go on from it."""
        return self.with_past({})

    def detach(self) -> "Latent":
        return self.map(Tensor.detach)

    def before(self, time: int) -> "Latent":
        """The first steps of `[B, T, ..]`."""
        return self.map(lambda tensor: tensor[:, :time])

    def flatten(self) -> "Latent":
        """Turn `[B, T, ..]` into `[N, ..]`."""
        return self.map(lambda tensor: rearrange(tensor, "b t ... -> (b t) ..."))

    @staticmethod
    def stack(latents: Sequence["Latent"], dim: int) -> "Latent":
        return Latent(
            deterministic=torch.stack([latent.deterministic for latent in latents], dim),
            stochastic=torch.stack([latent.stochastic for latent in latents], dim),
            statistics={name: torch.stack([latent.statistics[name] for latent in latents], dim) for name in latents[0].statistics},
            past={name: torch.stack([latent.past[name] for latent in latents], dim) for name in latents[0].past},
        )


def _like(chosen: Bool[Tensor, "N 1"], value: Tensor) -> Tensor:
    return chosen.reshape(-1, *[1] * (value.dim() - 1))


@dataclass(frozen=True)
class Origin:
    """Where each anchor or candidate of a contrast comes from: which row and time of the batch, which episode, which rank."""

    row: Int[Tensor, " N"]
    time: Int[Tensor, " N"]
    episode: Int[Tensor, " N"]
    rank: Int[Tensor, " N"]
    rows: int
    times: int

    @staticmethod
    def of(episode: Int[Tensor, "B T"], rank: int = 0) -> "Origin":
        """Number the steps of one batch, in the order in which `Latent.flatten` lays them out."""
        rows, times = episode.shape
        device = episode.device
        return Origin(
            row=torch.arange(rows, device=device).repeat_interleave(times),
            time=torch.arange(times, device=device).repeat(rows),
            episode=rearrange(episode, "b t -> (b t)"),
            rank=torch.full((rows * times,), rank, device=device),
            rows=rows,
            times=times,
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> "Origin":
        """Apply one function to what is known of each step; the batch stays as large as it is."""
        return Origin(
            row=function(self.row),
            time=function(self.time),
            episode=function(self.episode),
            rank=function(self.rank),
            rows=self.rows,
            times=self.times,
        )

    def followed_by(self, episode: Int[Tensor, " X"]) -> "Origin":
        """Append steps from outside the batch: of known episodes (-1 where unknown), without a row or a time (-1)."""
        nowhere = torch.full_like(episode, -1)
        return Origin(
            row=torch.cat([self.row, nowhere]),
            time=torch.cat([self.time, nowhere]),
            episode=torch.cat([self.episode, episode]),
            rank=torch.cat([self.rank, torch.zeros_like(episode)]),
            rows=self.rows,
            times=self.times,
        )


@dataclass(frozen=True)
class Imagination:
    """Rollouts of the policy inside the model. `features[:, 0]` is the start, `action[:, t]` was taken at `features[:, t]`.

    `reward[:, t]` and `continuation[:, t]` belong to `features[:, t]`; a continuation is a probability in [0, 1].
    """

    action: Float[Tensor, "N H A"]
    features: Float[Tensor, "N H+1 F"]
    reward: Float[Tensor, "N H+1"]
    continuation: Float[Tensor, "N H+1"]
    policy: Float[Tensor, "N H P"] | None = None
    """The numbers of the policy's distribution at each action, where they were kept for its losses (`ActorCritic.decide`)."""


@dataclass(frozen=True)
class Replayed:
    """A batch as a behavior sees it: what the model believed and was told at each step, aligned as a `Batch` is."""

    latent: Latent
    embedding: Float[Tensor, "B T E"]
    action: Float[Tensor, "B T A"]
    reward: Float[Tensor, "B T"]
    is_first: Bool[Tensor, "B T"]
    is_terminal: Bool[Tensor, "B T"]
    noise: Float[Tensor, "B T A"]
    """The randomness of one action at each step, of the kind that the behavior draws."""

    @property
    def features(self) -> Float[Tensor, "B T F"]:
        return self.latent.features
