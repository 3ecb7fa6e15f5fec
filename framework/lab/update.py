"""One update of `InfoNCE` over a random batch, for `dream lab cost`."""

from dataclasses import dataclass
from typing import Final, cast, final

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from framework.bounds.infonce_bound import InfoNCEBound
from framework.critics.base import Critic, examine
from framework.data import Batch, ExtraCandidates, InferredBatch, Latent
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.errors import UserError
from framework.functional.random import new_key
from framework.lab.members import Member
from framework.negatives.base import Negatives
from framework.objectives.infonce import InfoNCE
from framework.specs import ActionSpec, LatentKind, LatentSpec, ModelSpecs

GROUP: Final = 8
"""The size of a one-hot group, and the ratio of all features to the stochastic part."""
ACTIONS: Final = 4
EXAMINED: Final = 4
"""Latents and candidates of which a critic's scores are examined before anything is timed."""
EXTRA: Final = 256
"""Extra candidates, for the strategies that take them."""


@final
@dataclass(frozen=True)
class UpdateSizes:
    """Sizes of a batch, and of the latent and the embedding of each step."""

    rows: int
    times: int
    features: int
    embedding: int
    seed: int

    def __post_init__(self) -> None:
        if self.features < 2 * GROUP or self.features % GROUP:
            raise UserError(
                f"--features = {self.features} must be a multiple of {GROUP}, at least {2 * GROUP}, since a part is stochastic."
            )

    def latent(self, kind: LatentKind) -> LatentSpec:
        """An eighth of the features, in whole groups, is stochastic."""
        stochastic = max(GROUP, self.features // GROUP // GROUP * GROUP)
        classes = GROUP if kind == "categorical" else None
        return LatentSpec(deterministic=self.features - stochastic, stochastic=stochastic, kind=kind, classes=classes)


@final
class ObjectiveUpdate:
    """One update of an objective, over the same random batch at each call."""

    def __init__(self, sizes: UpdateSizes, critic: Member, strategy: Member, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(sizes.seed)
        critic_class, strategy_class = cast("type[Critic]", critic.cls), cast("type[Negatives]", strategy.cls)
        kinds = critic_class.takes_latent
        latent = sizes.latent("gaussian" if "gaussian" in kinds else kinds[0])
        if strategy_class.anchor == "prior" and latent.kind != "gaussian":
            raise UserError(f"{strategy.name} predicts by a dynamics with Gaussian latents, and {critic.name} takes {latent.kind} ones.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sizes.seed)
            objective = InfoNCE(
                model=ModelSpecs(latent, sizes.embedding, {}, ActionSpec(kind="continuous", sizes=(ACTIONS,))),
                critic=critic.build,
                negatives=strategy.build,
                bound=InfoNCEBound,
                anchor=critic_class.anchor or strategy_class.anchor or "posterior",
                axis="column" if critic_class.normalized_over == "observation" else "row",
            )
            dynamics = GaussianRSSM(
                embedding_size=sizes.embedding, action_size=ACTIONS, deterministic=latent.deterministic, stochastic=latent.stochastic
            )
        self.objective, self.key = objective.to(device), new_key(generator).to(device)
        self.dynamics = dynamics.to(device)
        self.inferred = _inferred(sizes, latent, generator, device)
        _examine(objective, self.inferred)
        leaves = [self.inferred.embedding, *_parts(self.inferred.posterior), *_parts(self.inferred.prior)]
        self.leaves = [*leaves, *objective.parameters(), *dynamics.parameters()]

    def __call__(self) -> None:
        losses, _ = self.objective(self.inferred, self.dynamics, self.key)
        loss = torch.stack([each.mean() for each in losses.values()]).sum()
        torch.autograd.grad(loss, self.leaves, allow_unused=True)
        self.objective.after_update(self.inferred, self.dynamics, self.key)


@torch.no_grad()
def _examine(objective: InfoNCE, inferred: InferredBatch) -> None:
    """Refuse a critic whose scores are of the wrong shape or no numbers."""
    latents = {"posterior": inferred.posterior, "prior": inferred.prior}[objective.anchor].flatten().map(lambda part: part[:EXAMINED])
    candidates = {"embedding": inferred.embedding, "stochastic": inferred.posterior.stochastic}[objective.critic.candidate]
    examine(objective.critic, latents, rearrange(candidates, "b t e -> (b t) e")[:EXAMINED])


def _inferred(sizes: UpdateSizes, latent: LatentSpec, generator: torch.Generator, device: torch.device) -> InferredBatch:
    """A batch as the world model passes it to the objective: each row one episode, all numbers random."""
    rows, times = sizes.rows, sizes.times

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    def random_latent() -> Latent:
        sample, deterministic = normal(rows, times, latent.stochastic), normal(rows, times, latent.deterministic)
        statistics = {"mean": normal(*sample.shape), "std": torch.ones_like(sample)}
        if latent.kind == "categorical":
            statistics, groups = {"logits": sample}, rearrange(sample, "b t (s k) -> b t s k", k=GROUP)
            sample = rearrange(F.one_hot(groups.argmax(dim=-1), GROUP).float(), "b t s k -> b t (s k)")
        return Latent(deterministic, sample, statistics).map(Tensor.requires_grad_)

    is_first = torch.arange(times, device=device).expand(rows, times) == 0
    return InferredBatch(
        posterior=random_latent(),
        prior=random_latent(),
        embedding=normal(rows, times, sizes.embedding).requires_grad_(),
        batch=Batch(
            observation={},
            action=normal(rows, times, ACTIONS).tanh(),
            reward=normal(rows, times),
            is_first=is_first,
            is_terminal=torch.zeros_like(is_first),
            episode=torch.arange(rows, device=device)[:, None].expand(rows, times),
        ),
        slow_embedding=normal(rows, times, sizes.embedding),
        extra=ExtraCandidates(embedding=normal(EXTRA, sizes.embedding), episode=torch.arange(EXTRA, device=device) + rows),
    )


def _parts(latent: Latent) -> list[Tensor]:
    return [latent.deterministic, latent.stochastic, *latent.statistics.values()]
