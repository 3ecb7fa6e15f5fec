"""`dream lab derivation`: from decoding pixels (Eq. 14) to telling them apart (Eq. 15), each line of it computed and checked.

    Eq. 14    E log q(o|s)                               the reconstruction term
    step A    E log q(o|s) - E log q(o)                  what is subtracted does not depend on the latent's parameters
    step B    = I(s; o)                                  with the best decoder
    step C    = E log q(s|o) - log q(s)                  Bayes: no decoder any more
    Eq. 15    E log q(s|o) - log mean_k q(s|o_k)         K candidates in place of q(s): from below, at most log K

*Dream to Control* (Hafner et al., 2020), Appendix B. Eq. 15 has a sum there, and so `log K` less. The reward's term stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, final

import torch
from torch import Tensor

from framework.errors import UserError
from framework.lab.report import Progress, Report, Row, silent, statistics
from framework.lab.world import SITUATIONS, Representation, World, entropy
from framework.registry import advice

CANDIDATES: Final = tuple(2**power for power in range(1, 13))
FEWER: Final = (2, 8, 32, 128, 512, 4096)
"""For the representations that stand beside, whose curves hold no surprise."""
SAMPLED: Final = 1024
PAIRS: Final = 2**14
BATCHES: Final = (8, 512)
"""Batches of up to `SAMPLED` candidates are sampled beside: as many as make `PAIRS`, within these limits."""
LARGEST: Final = 128
ROUNDING: Final = 1e-14
LINES: Final = ("Eq. 14", "step A", "step B", "step C", "situation", "Eq. 15")


@final
@dataclass(frozen=True)
class Setting:
    """What is enumerated. `only` names lines, whole (`step A: gradient`) or a step with all that belongs to it (`step A`)."""

    observations: int = 6
    latents: int = 5
    only: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("observations", "latents"):
            if not 2 <= getattr(self, name) <= LARGEST:
                raise UserError(
                    f"--{name} {getattr(self, name)} must be from 2 to {LARGEST}: fewer tell nothing, more are slow to enumerate."
                )


def measure(setting: Setting, progress: Progress = silent) -> Report:
    """Every line for a noisy representation, and what matters of it for one that collapsed and one that loses nothing."""
    generator = torch.Generator().manual_seed(setting.seed)
    world = World.draw(setting.observations, generator)
    noisy = Representation.noisy(world, setting.latents, generator)
    spoil = torch.randn(noisy.logits.shape, generator=generator, dtype=torch.float64) / 2
    others = [Representation.collapsed(world, setting.latents, generator), Representation.one_to_one(world)]
    rows = [*_reconstruction(noisy, spoil), *_steps(noisy), *_contrast(noisy, CANDIDATES)]
    for other in others:
        rows += [*_steps(other), *_contrast(other, FEWER)]
    rows = _chosen(rows, setting.only)
    return Report(
        command="derivation",
        title=f"From Eq. 14 to Eq. 15 with {SITUATIONS} situations and {setting.observations} observations, by exact sums, in nats.",
        rows=_sampled(rows, noisy, generator, progress),
        setting={
            "command": "derivation",
            "observations": setting.observations,
            "latents": setting.latents,
            "situations": SITUATIONS,
            "seed": setting.seed,
        },
    )


def _reconstruction(representation: Representation, spoil: Tensor) -> list[Row]:
    """Eq. 14 and step A with a decoder that has not learned all yet, and their gradients to the representation's parameters."""
    parameters = representation.logits.detach().requires_grad_()
    of = Representation(representation.name, representation.world, parameters)
    decoder = (of.posterior.detach().log() + spoil).softmax(dim=0)
    equation = of.mean(decoder.log())
    subtracted = of.mean(_marginal(of))
    slopes = [torch.autograd.grad(term, parameters, retain_graph=True)[0].abs().max() for term in (equation, subtracted)]
    conditional = entropy(of.latent) - entropy(of.joint)
    return [
        _row("Eq. 14", of, conditional, equation, "E log q(o|s) of a decoder that still learns: at most -H(o|s)", side="lower"),
        _row("Eq. 14: gradient", of, None, slopes[0], "its largest derivative by the table of q(s|o): not zero"),
        _row("step A: gradient", of, 0.0, slopes[1], "the same of E log q(o), which is subtracted: zero, to rounding"),
        _row("step A", of, of.information, equation - subtracted, "E log q(o|s) - E log q(o), that decoder: at most I(s; o)", side="lower"),
    ]


def _steps(of: Representation) -> list[Row]:
    """The lines that are equalities, each beside what it must equal."""
    information, marginal = of.information, _marginal(of)
    decoding = of.posterior.log() - marginal
    encoding = of.given.log() - of.latent.log()
    apart = (decoding - encoding).masked_fill(of.joint == 0, 0.0).abs().max()
    conditional = entropy(of.latent) - entropy(of.joint)
    return [
        _row("Eq. 14: best decoder", of, conditional, of.mean(of.posterior.log()), "E log q(o|s) = -H(o|s)"),
        _row("step A: subtracted", of, -entropy(of.world.observation), of.mean(marginal), "E log q(o) = -H(o), whatever the latent"),
        _row("step B", of, information, of.mean(decoding), "E log q(o|s) - log q(o) = I(s; o)"),
        _row("step C", of, information, of.mean(encoding), "E log q(s|o) - log q(s) = I(s; o)"),
        _row("step C: largest difference", of, 0.0, apart, "of the two sides of Bayes, over every s and o"),
        _row("situation", of, information, of.of_situation, "I(s; x), of what is hidden: at most I(s; o)", side="lower"),
    ]


def _contrast(of: Representation, candidates: Sequence[int]) -> list[Row]:
    found, information = of.estimates(torch.tensor(candidates)), of.information
    ceilings = torch.tensor(candidates, dtype=torch.float64).log()
    return [
        _row("Eq. 15", of, information, estimate, "", candidates=count, ceiling=ceiling.item(), side="lower")
        for count, estimate, ceiling in zip(candidates, found, ceilings, strict=True)
    ]


def _marginal(of: Representation) -> Tensor:
    """`log q(o)`, the marginal of the joint distribution that the representation makes: formally, its parameters are in it."""
    return of.joint.sum(dim=1, keepdim=True).log().expand_as(of.joint)


def _row(
    name: str,
    of: Representation,
    truth: Tensor | float | None,
    mean: Tensor,
    note: str,
    *,
    candidates: int | None = None,
    ceiling: float | None = None,
    side: Literal["lower"] | None = None,
) -> Row:
    """A truth that is zero but for rounding is shown as zero; what was found is shown as it was found."""
    found, exact = float(mean.detach()), None if truth is None else float(torch.as_tensor(truth).detach())
    exact = 0.0 if exact is not None and abs(exact) < ROUNDING else exact
    under = {"latent": of.name} | ({} if candidates is None else {"K": candidates})
    also = {} if exact is None else {"difference": found - exact}
    return Row(kind="line", name=name, truth=exact, mean=found, under=under, ceiling=ceiling, side=side, also=also, note=note)


def _chosen(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    names = list(dict.fromkeys([*LINES, *(row.name for row in rows)]))
    for name in only:
        if name not in names:
            raise UserError(f"--only '{name}': the derivation has no line of that name{advice(name, names)}.")
    return [row for row in rows if not only or row.name in only or row.name.partition(":")[0] in only]


def _sampled(rows: Sequence[Row], noisy: Representation, generator: torch.Generator, progress: Progress) -> list[Row]:
    """Beside the exact expectation, what the bound that training runs makes of batches drawn from the same world."""
    found = []
    for done, row in enumerate(rows):
        count = row.under.get("K")
        progress(done, len(rows), row.name if count is None else f"{row.name}, K = {count}")
        if isinstance(count, int) and count <= SAMPLED and row.under["latent"] == noisy.name:
            batches = min(max(PAIRS // count, BATCHES[0]), BATCHES[1])
            measured = statistics(noisy.sample(count, batches, generator))
            also = {**row.also, "sampled": measured["mean"], "sampled_stderr": measured["stderr"]}
            row = replace(row, also=also)
        found.append(row)
    progress(len(rows), len(rows), "done")
    return found
