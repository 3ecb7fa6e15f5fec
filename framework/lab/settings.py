"""The options of the commands of `dream lab`, with defaults, limits and help. It imports no torch: help is printed at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, final

from framework.errors import UserError


def option(default: Any, text: str, *, flags: tuple[str, ...] = (), least: int | None = None, most: int | None = None) -> Any:
    """A field with its help, its flags where they are not `--name`, and its limits."""
    return field(default=default, metadata={"help": text, "flags": flags, "least": least, "most": most})


def names(kind: str, flag: str = "--only") -> Any:
    return option((), f"Measure this {kind} alone; may be repeated.", flags=(flag,))


def bindings(kind: str) -> Any:
    return option((), f"Name.setting=value, of one {kind}.", flags=("-b", "--bind", "--set"))


def seed() -> Any:
    return option(0, "The seed of all random numbers.", least=0)


@dataclass(frozen=True)
class LabSettings:
    """The options of one command; values outside their limits are refused."""

    def __post_init__(self) -> None:
        for each in fields(self):
            values = getattr(self, each.name)
            for value in values if isinstance(values, tuple | list) else (values,):
                check_limits(f"--{each.name.replace('_', '-')}", value, each.metadata["least"], each.metadata["most"])


def check_limits(flag: str, value: Any, least: int | None, most: int | None = None) -> None:
    if (least is not None and value < least) or (most is not None and value > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise UserError(f"{flag} = {value} is out of range: give a number that is {limits}.")


@final
@dataclass(frozen=True, kw_only=True)
class BoundsSettings(LabSettings):
    """Measure every bound on correlated Gaussians.

    The exact critic is the score at which each bound is best. On the column axis the literal density `log p(x|y)` is shown beside it, and
    is wrong there by nats. `trained` climbs the staircase of Poole et al. (2019) with their critic, and takes minutes.

    \b
    dream lab bounds --mutual-information 2 6 10 --candidates 64 1024
    dream lab bounds --axis column --only InfoNCEBound
    """

    dimensions: int = option(20, "Of each side.", least=1)
    mutual_information: Sequence[float] = option((2.0, 4.0, 6.0, 8.0, 10.0), "True nats.")
    candidates: Sequence[int] = option((64, 128, 256, 1024), "K, the size of a batch.", least=2)
    critic: Literal["exact", "trained"] = option("exact", "Where the scores come from.")
    axis: Literal["row", "column"] = option("row", "What is fixed: x, or y.")
    pairs: int = option(20_480, "Positive pairs drawn for each row of the table.", least=1)
    steps: int = option(4_000, "Updates for each level, with --critic trained.", least=1)
    only: Sequence[str] = names("bound")
    bindings: Sequence[str] = bindings("bound")
    seed: int = seed()


@final
@dataclass(frozen=True, kw_only=True)
class NegativesSettings(LabSettings):
    """Measure every negative-sampling strategy with the exact critic.

    In `slow-fast` half of each latent stays the same through its sequence; in `autoregressive` neighbors in time are alike. Both make
    steps of the own sequence false negatives.

    \b
    dream lab negatives
    dream lab negatives --source autoregressive --phi 0.9 -b WindowExcluded.steps=8
    """

    source: Literal["slow-fast", "autoregressive"] = option("slow-fast", "What is drawn.")
    slow_nats: float = option(1.0, "Of the part that a sequence keeps (slow-fast).")
    fast_nats: float = option(1.0, "Of the part that each step draws afresh (slow-fast).")
    phi: float = option(0.9, "Correlation of neighboring steps (autoregressive).")
    nats: float = option(4.0, "Of each step (autoregressive).")
    batch: int = option(32, "Sequences, B.", least=1)
    length: int = option(32, "Steps of each, T.", least=1)
    batches: int = option(100, "How many are drawn.", least=2)
    only: Sequence[str] = names("strategy")
    bindings: Sequence[str] = bindings("strategy")
    seed: int = seed()


@final
@dataclass(frozen=True, kw_only=True)
class CriticsSettings(LabSettings):
    """Measure exact densities and learned critics on a Kalman filter's latents.

    `h` is the predicted mean, `z` a sample of the filtering posterior. The first four rows show which `q(s|o)` is right; below them every
    registered critic is trained for some seconds.

    \b
    dream lab critics
    dream lab critics --steps 1000 --only BilinearCritic GaussianCritic
    """

    phi: float = option(0.9, "Correlation of neighboring steps.")
    noise: float = option(1.0, "Variance of the observation's noise; the signal's is 1.")
    dimensions: int = option(6, "Independent ones.", least=1)
    candidates: int = option(1024, "K, the size of a batch.", least=2)
    batches: int = option(60, "How many are drawn for the exact densities.", least=2)
    steps: int = option(200, "Updates of each critic that learns; 0 leaves them out.", least=0)
    offset: int = option(0, "Steps from the latent to the observation; above 0 the exact densities are left out.", least=0)
    only: Sequence[str] = names("critic")
    bindings: Sequence[str] = bindings("critic")
    seed: int = seed()


@final
@dataclass(frozen=True, kw_only=True)
class DerivationSettings(LabSettings):
    """Compute Eq. 2 to Eq. 7 of the derivation (docs/guides/derivation.md) in a world small enough to enumerate.

    \b
    dream lab derivation --observations 8
    """

    observations: int = option(6, "How many there are in the world.", least=2, most=128)
    latents: int = option(5, "How many values a latent has.", least=2, most=128)
    only: Sequence[str] = option((), "Show this line alone, or all lines of this step; may be repeated.")
    seed: int = seed()


@final
@dataclass(frozen=True, kw_only=True)
class CostSettings(LabSettings):
    """Measure time and peak memory of critics and strategies, forward and backward.

    \b
    dream lab cost --candidates 2048 --critic ConcatCritic
    """

    candidates: int = option(1024, "N latents and as many candidates.")
    features: int = option(256, "The size of a latent.")
    embedding: int = option(256, "The size of an embedding.", least=1)
    device: Literal["auto", "cpu", "cuda"] = option("auto", "Where.")
    critics: Sequence[str] = names("critic", "--critic")
    strategies: Sequence[str] = names("strategy", "--strategy")
    every: bool = option(False, "Every critic with every strategy; else each with the cheapest of the other kind.", flags=("--all",))
    seed: int = seed()
