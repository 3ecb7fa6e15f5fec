"""What passes between drawing, learning and stepping inside one update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from framework.data import Batch, Metrics
from framework.functional.random import Key
from framework.objectives.base import InferredBatch


@dataclass(frozen=True)
class UpdateNoise:
    """All that one update draws, so that what it computes is a function of its arguments.

    `starts` are the steps that rollouts begin from, counted through the batch; None for all of them.
    """

    seed: Key
    filtering: Float[Tensor, "B T Z"]
    starts: Int[Tensor, " N"] | None
    dreaming: Float[Tensor, "H N Z"]
    acting: Float[Tensor, "H N A"]
    replaying: Float[Tensor, "B T A"]

    def map(self, function: Callable[[Tensor], Tensor]) -> "UpdateNoise":
        """Apply one function to every tensor."""
        return UpdateNoise(
            seed=function(self.seed),
            filtering=function(self.filtering),
            starts=None if self.starts is None else function(self.starts),
            dreaming=function(self.dreaming),
            acting=function(self.acting),
            replaying=function(self.replaying),
        )


@dataclass(frozen=True)
class UpdateOutput:
    """What one batch teaches: a gradient for each parameter of each group, what was seen on the way, and its metrics."""

    gradients: Mapping[str, Sequence[Tensor]]
    seen: InferredBatch
    metrics: Metrics


Study = Callable[[Batch, UpdateNoise], UpdateOutput]
"""An agent's `forward`, as it is or compiled."""
Learn = Callable[[Batch, UpdateNoise], Metrics]
"""An agent's `learn`, as it is or captured."""
