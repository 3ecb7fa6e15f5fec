"""`dream lab critics`: exact densities and every registered critic on the latents of a Kalman filter, of known information."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import torch
from torch import Tensor

from framework.critics.base import Critic, examine
from framework.data import Latent
from framework.errors import UserError
from framework.functional.contrastive import accuracy, infonce_estimate, infonce_loss
from framework.lab.estimates import estimate_row
from framework.lab.kalman import DENSITIES, Kalman, KalmanLatents
from framework.lab.members import Member, chosen
from framework.lab.settings import CriticsSettings
from framework.measurement.report import Progress, Report, Row, silent
from framework.registry import REMEDY, advice, registry_of
from framework.specs import LatentKind

LEARNING_RATES: Final = (1e-2, 1e-3)
"""Linear maps need the first, deep networks the second. Each critic is trained with both, and the one of lower loss is measured."""
TRAINING_BATCH: Final = 64
EVALUATIONS: Final = 4


def measure(settings: CriticsSettings, progress: Progress = silent) -> Report:
    """The exact densities, and below them the critics that learn; with an `offset` the critics alone."""
    kalman = Kalman(phi=settings.phi, noise=settings.noise, dimensions=settings.dimensions)
    densities, names = _requested(settings.only)
    members = chosen("critics", names, settings.bindings) if names or (not settings.only and settings.steps) else []
    progress(0, len(members) + 1, "exact densities")
    rows = [] if settings.offset else _exact(settings, kalman, densities)
    for number, member in enumerate(members, 1):
        progress(number, len(members) + 1, member.name)
        rows.append(learned_row(settings, kalman, member))
    history, posterior, both = kalman.history_information, kalman.posterior_information, kalman.truth
    later = f" and observations {settings.offset} steps later" if settings.offset else ""
    return Report(
        command="critics",
        kind="critic",
        title=f"Critics on a Kalman filter's latents{later}, K = {settings.candidates}, row estimate; nats. "
        f"I(s;o) = I(h;o) + I(z;o|h) = {history:.3f} + {posterior:.3f} = {both:.3f}.",
        rows=rows,
        setting={**asdict(settings), "I(h;o)": history, "I(z;o|h)": posterior, "I(s;o)": both},
    )


def _requested(only: Sequence[str]) -> tuple[list[str], list[str]]:
    """The requested densities and critics; a density by its first word or by its whole name."""
    if not only:
        return [*DENSITIES], []
    short = {each.split()[0]: each for each in DENSITIES} | {each: each for each in DENSITIES}
    names, registered = [name for name in only if name not in short], registry_of("critics").list()
    for name in names:
        if name not in registered:
            near = advice(name, [*registered, *short])
            raise UserError(f"--only {name}: there is no critic and no density with that name{near}; {REMEDY}.")
    return [short[name] for name in only if name in short], names


def _exact(settings: CriticsSettings, kalman: Kalman, names: Sequence[str]) -> list[Row]:
    generator = torch.Generator().manual_seed(settings.seed)
    batches: defaultdict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for _ in range(settings.batches if names else 0):
        for name, scores in kalman.densities(kalman.draw(settings.candidates, generator)).items():
            batches[name].append(_estimate_and_accuracy(scores))
    return [_row(settings, name, batches[name], kalman.truth, "exact") for name in names]


def learned_row(settings: CriticsSettings, kalman: Kalman, member: Member) -> Row:
    """Train a critic by InfoNCE on its own axis, and measure it on fresh steps."""
    kinds = member.component.facts.get("takes_latent", ("gaussian",))
    kind: LatentKind = "gaussian" if "gaussian" in kinds else "categorical"
    source = KalmanLatents(kalman, kind)
    _, critic = min((_fit(settings, member, source, rate) for rate in LEARNING_RATES), key=lambda fitted: fitted[0])
    generator = torch.Generator().manual_seed(settings.seed + 1)
    with torch.no_grad():
        scores = (_scores(source, critic, settings.candidates, generator, settings.offset) for _ in range(EVALUATIONS))
        batches = [_estimate_and_accuracy(each) for each in scores]
    truth = source.truth(anchor=critic.anchor, candidate=critic.candidate, offset=settings.offset)
    trained = f"{settings.steps} steps" if [*critic.parameters()] else "nothing to train"
    return _row(settings, member.name, batches, truth, trained, _note(critic, source))


def _fit(settings: CriticsSettings, member: Member, source: KalmanLatents, rate: float) -> tuple[float, Critic]:
    """The mean loss of the last tenth of the updates, and the critic."""
    critic: Critic = member.seeded(settings.seed, latent=source.spec, embedding_size=settings.dimensions)
    generator = torch.Generator().manual_seed(settings.seed)
    examine(critic, *_arguments(source, critic, TRAINING_BATCH, generator, settings.offset))
    parameters = [*critic.parameters()]
    if not parameters or not settings.steps:
        return 0.0, critic
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    weights, losses = torch.zeros(TRAINING_BATCH, TRAINING_BATCH), []
    for _ in range(settings.steps):
        loss = infonce_loss(_scores(source, critic, TRAINING_BATCH, generator, settings.offset), weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses[-max(1, settings.steps // 10) :]).mean().item(), critic


def _estimate_and_accuracy(scores: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.zeros_like(scores)
    return infonce_estimate(scores, weights).mean(), accuracy(scores, weights)


def _row(
    settings: CriticsSettings, name: str, batches: Sequence[tuple[Tensor, Tensor]], truth: float | None, trained: str, note: str = ""
) -> Row:
    estimates, accuracies = zip(*batches, strict=True)
    ceiling, extra = math.log(settings.candidates), {"trained": trained}
    return estimate_row(
        name, truth=truth, estimates=estimates, accuracies=accuracies, ceiling=ceiling, side="lower", extra=extra, note=note
    )


def _note(critic: Critic, source: KalmanLatents) -> str:
    """The true information, where it is not that of Gaussian latents and observations."""
    parts = []
    if source.kind == "categorical":
        parts.append("z is cut into 8 quantiles in each dimension: I(h, c; o)")
    if critic.anchor == "prior" and critic.candidate == "stochastic":
        parts.append("the information between the prior and the posterior's z, I(h; z), on the column axis")
    return f"truth: {'; '.join(parts)}." if parts else ""


def _arguments(source: KalmanLatents, critic: Critic, count: int, generator: torch.Generator, offset: int) -> tuple[Latent, Tensor]:
    step = source.filter.draw(count, generator, offset)
    candidates = source.stochastic(step.z) if critic.candidate == "stochastic" else step.later
    return source.latents(step, critic.anchor), candidates.float()


def _scores(source: KalmanLatents, critic: Critic, count: int, generator: torch.Generator, offset: int) -> Tensor:
    """With the fixed argument in the rows: the latent, or the condition of a density over observations."""
    scores: Tensor = critic(*_arguments(source, critic, count, generator, offset))
    return scores.T if critic.normalized_over == "observation" else scores
