"""Exact densities and every registered critic on a Kalman filter's latents, whose information about the observation is known."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, final

import torch
from torch import Tensor

from framework.critics.base import Critic, examine
from framework.data import Latent, LatentKind
from framework.errors import UserError
from framework.functional.contrastive import accuracy, infonce_estimate, infonce_loss
from framework.lab.kalman import DENSITIES, Kalman, KalmanLatents
from framework.lab.members import Member, chosen
from framework.lab.report import Progress, Report, Row, average, silent, statistics
from framework.lab.sources import at_least
from framework.registry import advice, registry_of

LEARNING_RATES: Final = (1e-2, 1e-3)
"""A linear map needs the first, a deep network the second: each critic has both, and the better one counts."""
TRAINING_BATCH: Final = 64
EVALUATIONS: Final = 4


@final
@dataclass(frozen=True)
class Setting:
    """What `dream lab critics` is asked for."""

    phi: float = 0.9
    noise: float = 1.0
    dimensions: int = 6
    candidates: int = 1024
    batches: int = 60
    steps: int = 200
    only: Sequence[str] = ()
    settings: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        self.filter()
        at_least(self.candidates, 2, "--candidates", "the positive and its negatives")
        at_least(self.batches, 2, "--batches", "what a standard error is taken over")
        at_least(self.steps, 0, "--steps", "how many updates a critic has")

    def filter(self) -> Kalman:
        return Kalman(phi=self.phi, noise=self.noise, dimensions=self.dimensions)


def measure(setting: Setting, progress: Progress = silent) -> Report:
    """The exact densities, and below them the critics that learn."""
    found = setting.filter()
    densities, names = _named(setting.only)
    members = chosen("critics", names, setting.settings) if names or (not setting.only and setting.steps) else []
    progress(0, len(members) + 1, "exact densities")
    rows = [*_exact(setting, found, densities)]
    for number, member in enumerate(members, 1):
        progress(number, len(members) + 1, member.name)
        rows.append(_learned(setting, found, member))
    informations = {"I(h;o)": found.of_history, "I(z;o|h)": found.of_posterior, "I(s;o)": found.truth}
    title = (
        f"Critics on a Kalman filter's latents, K = {setting.candidates}, row estimate; nats. "
        f"I(s;o) = I(h;o) + I(z;o|h) = {found.of_history:.3f} + {found.of_posterior:.3f} = {found.truth:.3f}."
    )
    return Report("critics", title, rows, {"command": "critics", **asdict(setting), **informations})


def _named(only: Sequence[str]) -> tuple[list[str], list[str]]:
    """The densities and the critics that are asked for; a density by its first word, or all of its name."""
    if not only:
        return [*DENSITIES], []
    short = {each.split()[0]: each for each in DENSITIES} | {each: each for each in DENSITIES}
    names = [name for name in only if name not in short]
    known = registry_of("critics").list()
    for name in names:
        if name not in known:
            raise UserError(f"--only {name}: there is no critic and no density with that name{advice(name, [*known, *short])}.")
    return [short[name] for name in only if name in short], names


def _exact(setting: Setting, found: Kalman, names: Sequence[str]) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(setting.seed)
    scores: dict[str, list[Tensor]] = {name: [] for name in names}
    hits: dict[str, list[Tensor]] = {name: [] for name in names}
    weights = torch.zeros(setting.candidates, setting.candidates)
    for _ in range(setting.batches if names else 0):
        densities = found.densities(found.draw(setting.candidates, generator))
        for name in names:
            scores[name].append(infonce_estimate(densities[name], weights).mean())
            hits[name].append(accuracy(densities[name], weights))
    for name in names:
        yield Row(
            "critic",
            name,
            truth=found.truth,
            **statistics(torch.stack(scores[name])),
            ceiling=weights[0].exp().sum().log().item(),
            accuracy=average(hits[name]),
            side="lower",
            also={"trained": "exact"},
        )


def _learned(setting: Setting, found: Kalman, member: Member) -> Row:
    """Train one critic by InfoNCE on its own axis for some seconds, and measure it on fresh steps."""
    kinds = member.component.facts.get("takes_latent", ("gaussian",))
    kind: LatentKind = "gaussian" if "gaussian" in kinds else "categorical"
    source = KalmanLatents(found, kind)
    tries = [_trained(setting, member, source, rate) for rate in LEARNING_RATES]
    _, critic = min(tries, key=lambda each: each[0])
    return _evaluated(setting, member, critic, source)


def _trained(setting: Setting, member: Member, source: KalmanLatents, rate: float) -> tuple[float, Critic]:
    """The mean loss of the last tenth of the updates, and the critic."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        critic: Critic = member.build(latent=source.spec, embedding_size=setting.dimensions)
    generator = torch.Generator().manual_seed(setting.seed)
    examine(critic, *_given(source, critic, TRAINING_BATCH, generator))
    parameters = [*critic.parameters()]
    if not parameters or not setting.steps:
        return 0.0, critic
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, setting.steps)
    weights = torch.zeros(TRAINING_BATCH, TRAINING_BATCH)
    found = []
    for _ in range(setting.steps):
        loss = infonce_loss(_scores(source, critic, TRAINING_BATCH, generator), weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        found.append(loss.detach())
    return average(found[-max(1, setting.steps // 10) :]), critic


@torch.no_grad()
def _evaluated(setting: Setting, member: Member, critic: Critic, source: KalmanLatents) -> Row:
    generator = torch.Generator().manual_seed(setting.seed + 1)
    weights = torch.zeros(setting.candidates, setting.candidates)
    estimates, hits = [], []
    for _ in range(EVALUATIONS):
        scores = _scores(source, critic, setting.candidates, generator)
        estimates.append(infonce_estimate(scores, weights).mean())
        hits.append(accuracy(scores, weights))
    return Row(
        "critic",
        member.name,
        truth=source.truth(anchor=critic.anchor, candidate=critic.candidate, offset=0),
        **statistics(torch.stack(estimates)),
        ceiling=weights[0].exp().sum().log().item(),
        accuracy=average(hits),
        side="lower",
        also={"trained": f"{setting.steps} steps" if [*critic.parameters()] else "nothing to train"},
        note=_between(critic, source),
    )


def _between(critic: Critic, source: KalmanLatents) -> str:
    """Said where it is not `I(s; o)` of Gaussian latents that is bounded."""
    said = []
    if source.kind == "categorical":
        said.append("z is cut into 8 quantiles in each dimension: I(h, c; o)")
    if critic.anchor == "prior" and critic.candidate == "stochastic":
        said.append("the information between the prior and the posterior's z, I(h; z), on the column axis")
    return f"truth: {'; '.join(said)}." if said else ""


def _given(source: KalmanLatents, critic: Critic, count: int, generator: torch.Generator) -> tuple[Latent, Tensor]:
    step = source.filter.draw(count, generator, 0)
    candidates = source.stochastic(step.z) if critic.candidate == "stochastic" else step.later
    return source.latents(step, critic.anchor), candidates.float()


def _scores(source: KalmanLatents, critic: Critic, count: int, generator: torch.Generator) -> Tensor:
    """With the fixed side in the rows: the latent, or what a density over observations is given."""
    scores: Tensor = critic(*_given(source, critic, count, generator))
    return scores.T if critic.normalized_over == "observation" else scores
