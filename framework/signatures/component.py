"""A component as a listing shows it: its family, its place, its docstring and its parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

SENTENCE_END: Final = re.compile(r"(?<=[^\s.][.])(?<!\bEq\.)(?<!\bal\.)\s+(?=[A-Z`*])")


@final
@dataclass(frozen=True)
class Family:
    """One kind of interchangeable component: the class that states its contract, and a summary in one line."""

    name: str
    base: str
    summary: str


FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family("environments", "Environment", "Where the agent acts: dm_env environments and their wrappers."),
        Family("vector_environments", "VectorEnvironment", "How several environments step together: worker processes, batched simulators."),
        Family("encoders", "Encoder", "An observation becomes an embedding."),
        Family("dynamics", "Dynamics", "The latent model that filters embeddings and imagines ahead."),
        Family("objectives", "Objective", "What ties the latent to the observation: reconstruction, contrasts and their kin."),
        Family("critics", "Critic", "Contrastive scores f(s, o) of a latent and an observation; value functions are under `values`."),
        Family("negatives", "Negatives", "Negative-sampling strategies: the candidates that each anchor is contrasted with."),
        Family("bounds", "Bound", "Bounds on the mutual information: an estimate from the scores, and the loss that trains the critic."),
        Family("heads", "Head", "Distributions predicted from the latent's features: reward, continuation, decoders."),
        Family("values", "Value", "Value functions of reinforcement learning; contrastive scores f(s, o) are under `critics`."),
        Family("actor_critics", "ActorCritic", "How a policy and its value learn from imagination."),
        Family("optimizers", "Optimizer", "How gradients become updates."),
        Family("parts", "object", "The fixed pieces that every run has: Run, Agent, Trainer, Replay and so on."),
    )
}


@final
@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor. `default` is source text, and None where there is no default."""

    name: str
    annotation: str
    default: str | None
    derived: bool
    file: str
    line: int

    @property
    def required(self) -> bool:
        """Whether a recipe must bind it: it has no default, and Python does not pass it."""
        return self.default is None and not self.derived

    @property
    def place(self) -> str:
        """File and line, those of a base class for an inherited constructor."""
        return f"{self.file}:{self.line}"


@final
@dataclass(frozen=True)
class Component:
    """One registered class. `facts` are the literals of its class body, those of its base classes included."""

    family: str
    name: str
    module: str
    file: str
    line: int
    doc: str
    parameters: tuple[Parameter, ...]
    facts: Mapping[str, Any] = field(hash=False)
    builtin: bool = True

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        return SENTENCE_END.split(paragraph, maxsplit=1)[0].rstrip(":")

    @property
    def settings(self) -> tuple[Parameter, ...]:
        """The parameters that a recipe may bind."""
        return tuple(each for each in self.parameters if not each.derived)

    @property
    def selector(self) -> str:
        """The full name, as a recipe writes it."""
        return f"{self.family}.{self.name}"

    @property
    def place(self) -> str:
        """File and line of the class."""
        return f"{self.file}:{self.line}"
