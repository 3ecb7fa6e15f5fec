"""The arrows of the data flow: one frozen dataclass for each thing that passes between two stages.

**Time alignment, stated once.** Row `t` of a `Batch` holds the observation `o_t`, the action `a_{t-1}` that led to it (zero where
`is_first`), the reward `r_t` that arrived with it, `is_first_t` and `is_terminal_t`. A time limit ends an episode without
`is_terminal`: returns bootstrap there.

**Step unit, stated once.** An *environment step* is one control step of the simulator, action repeats counted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.text import aligned

Built = TypeVar("Built")
Factory = Callable[..., Built]
"""What a recipe binds with `@family.Name`. The stage that owns it calls it once, with the sizes that it derives."""

Observation = Mapping[str, Tensor]
"""The arrays of an environment by name; images are `uint8`, `[.., Y, X, C]`."""
Metrics = dict[str, Tensor]
"""Numbers by name, `contrastive/estimate`, each in a tensor `[]` without gradient."""
Pictures = dict[str, Tensor]
"""`uint8` pictures `[height, width, channel]` by name."""
Losses = dict[str, Tensor]
"""Losses by name: `[B, T]` of an objective or a dynamics, of any shape of a behavior."""


def detached(metrics: Metrics) -> Metrics:
    """Metrics without their gradient, as components give them."""
    return {name: value.detach() for name, value in metrics.items()}


class Record:
    """A dataclass of tensors, whose `repr` is the type and shape of each."""

    def __repr__(self) -> str:
        return aligned(type(self).__name__, dict(_shapes(self)))


@dataclass(frozen=True, repr=False)
class ExtraSteps(Record):
    """Single steps drawn uniformly from the replay, independent of the sequences of the same batch.

    `observation` and `episode` are those of each step.
    """

    observation: Observation
    episode: Int[Tensor, " X"]


@dataclass(frozen=True, repr=False)
class Batch(Record):
    """Replayed sequences, aligned as the module says."""

    observation: Observation
    """`o_t`, by name."""
    action: Float[Tensor, "B T A"]
    """`a_{t-1}`, which led to the observation: in [-1, 1], or one-hot groups; zero where `is_first`."""
    reward: Float[Tensor, "B T"]
    """`r_t`, which arrived with the observation."""
    is_first: Bool[Tensor, "B T"]
    """Whether the step begins an episode."""
    is_terminal: Bool[Tensor, "B T"]
    """Whether the step ends its episode for good, not by a time limit."""
    episode: Int[Tensor, "B T"]
    """Two steps have the same number only if they come from the same episode."""
    extra: ExtraSteps | None = None
    """`Replay.extra_candidates` single steps, where that is not 0."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Apply one function to every tensor."""
        return cast(Batch, _mapped(self, function))

    def state_dict(self) -> dict[str, Any]:
        """Its fields, as plain values."""
        return asdict(self)

    @staticmethod
    def of(content: Mapping[str, Any]) -> "Batch":
        """The batch of a `state_dict`."""
        extra = content["extra"]
        return Batch(**{**content, "extra": None if extra is None else ExtraSteps(**extra)})

    def to(self, device: torch.device) -> "Batch":
        """Copy to a device, without waiting for the copy where memory is pinned."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True, repr=False)
class Latent(Record):
    """The latent of a step: `h`, a sample of `z`, and the statistics of the distribution that `z` was drawn from."""

    deterministic: Float[Tensor, "*B D"]
    """`h`."""
    stochastic: Float[Tensor, "*B Z"]
    """`z`; where it is categorical, one-hot groups side by side."""
    statistics: dict[str, Tensor]
    """`mean` and `std` of a Gaussian; `logits`, flattened as `z` is, of a categorical."""
    past: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that the next step needs beyond `h` and `z`, by name; empty for most dynamics. Over `[B, T]` they are views into one
    buffer, which flattening copies: select steps first (`map` with an index), or drop them (`without_past`)."""

    @property
    def features(self) -> Float[Tensor, "*B F"]:
        """The input of heads, critics and policies: `[z, h]`."""
        return torch.cat([self.stochastic, self.deterministic], dim=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Latent":
        """Apply one function to every tensor."""
        return Latent.joined(function, self)

    def where(self, chosen: Bool[Tensor, "N 1"], other: "Latent") -> "Latent":
        """This latent where `chosen`, the other elsewhere."""
        return Latent.joined(lambda own, others: own.where(chosen.reshape(-1, *[1] * (own.dim() - 1)), others), self, other)

    def with_past(self, past: dict[str, Tensor]) -> "Latent":
        return replace(self, past=past)

    def without_past(self) -> "Latent":
        """The same latent for callers that take no further step from it."""
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
        return Latent.joined(lambda *tensors: torch.stack(tensors, dim), *latents)

    @staticmethod
    def joined(function: Callable[..., Tensor], *latents: "Latent") -> "Latent":
        """One function of the tensors of one name of several latents, for every name of the first."""
        statistics, past = [each.statistics for each in latents], [each.past for each in latents]
        return Latent(
            deterministic=function(*(each.deterministic for each in latents)),
            stochastic=function(*(each.stochastic for each in latents)),
            statistics={name: function(*(each[name] for each in statistics)) for name in statistics[0]},
            past={name: function(*(each[name] for each in past)) for name in past[0]},
        )


@dataclass(frozen=True, repr=False)
class Imagination(Record):
    """Rollouts of the policy inside the model."""

    action: Float[Tensor, "N H A"]
    """`action[:, t]` was taken at `features[:, t]`."""
    features: Float[Tensor, "N H+1 F"]
    """`features[:, 0]` is the start."""
    reward: Float[Tensor, "N H+1"]
    """`reward[:, t]` belongs to `features[:, t]`."""
    continuation: Float[Tensor, "N H+1"]
    """The probability in [0, 1] that the episode goes on at `features[:, t]`."""
    policy: Float[Tensor, "N H P"] | None = None
    """The parameters of the policy's distribution at each action, where they were kept for its losses (`sample_with_parameters`)."""


@dataclass(frozen=True, repr=False)
class ExtraCandidates(Record):
    """Embeddings of `ExtraSteps`: candidates that are independent of the anchors.

    `embedding` and `episode` are those of each step.
    """

    embedding: Float[Tensor, "X E"]
    episode: Int[Tensor, " X"]


@dataclass(frozen=True, repr=False)
class SecondView(Record):
    """Embeddings of a batch under a second augmentation.

    `embedding` is by the encoder, `slow_embedding` by its slow copy where there is one.
    """

    embedding: Float[Tensor, "B T E"]
    slow_embedding: Float[Tensor, "B T E"] | None = None


@dataclass(frozen=True, repr=False)
class InferredBatch(Record):
    """A batch and the latents that the world model inferred for it, row by row.

    `slow_embedding` is by the encoder's slow copy, where an objective needs one; `second` is set in training alone, where an objective
    compares two views. Latents are inferred for the first view only.
    """

    batch: Batch
    """The replayed sequences."""
    embedding: Float[Tensor, "B T E"]
    """The encoder's, of each observation by itself."""
    posterior: Latent
    """The latent inferred from the observations up to and with that of its step."""
    prior: Latent
    """The latent predicted for its step from those before alone."""
    slow_embedding: Float[Tensor, "B T E"] | None = None
    extra: ExtraCandidates | None = None
    """The embeddings of `Batch.extra`."""
    second: SecondView | None = None

    @property
    def features(self) -> Float[Tensor, "B T F"]:
        """The features of the posterior."""
        return self.posterior.features

    def detach(self) -> "InferredBatch":
        """The same numbers without gradient."""
        return cast(InferredBatch, _mapped(self, Tensor.detach))


@dataclass(frozen=True, repr=False)
class UpdateNoise(Record):
    """All random numbers of one update. `starts` index the flattened steps from which rollouts begin; None: all of them."""

    key: Int[Tensor, ""]
    posterior: Float[Tensor, "B T Z"]
    starts: Int[Tensor, " N"] | None
    imagined_latents: Float[Tensor, "H N Z"]
    imagined_actions: Float[Tensor, "H N A"]
    replayed_actions: Float[Tensor, "B T A"]

    def map(self, function: Callable[[Tensor], Tensor]) -> "UpdateNoise":
        """Apply one function to every tensor."""
        return cast(UpdateNoise, _mapped(self, function))


def _mapped(value: object, function: Callable[[Tensor], Tensor]) -> object:
    """A value with one function applied to every tensor in it, in the order of the fields of dataclasses."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {name: _mapped(each, function) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _mapped(getattr(value, each.name), function) for each in fields(value)})
    return value


def _shapes(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The name of each tensor in a value, `posterior.stochastic`, with its type and shape."""
    if isinstance(value, Tensor):
        yield name, f"{str(value.dtype).removeprefix('torch.')} {[*value.shape]}"
    parts = value if isinstance(value, Mapping) else vars(value) if isinstance(value, Record) else {}
    for key, part in parts.items():
        yield from _shapes(part, f"{name}.{key}" if name else key)
