"""`dream lab derivation`: each line from decoding pixels to a contrast of observations, computed and checked.

    Eq. 2    E log q(o|s)                               the reconstruction term
    Eq. 3    E log q(o|s) - E log p(o)                  what is subtracted does not depend on the latent's parameters
    Eq. 4    = I(s; o)                                  with the best decoder
    Eq. 5    = E log p(s|o) - log p(s)                  Bayes: no decoder any more
    Eq. 6    E f(s, o) - log E_o' exp f(s, o')          any score: from below
    Eq. 7    E f(s, o) - log mean_k exp f(s, o_k)       K candidates: from below, at most log K

*Dream to Control* (Hafner et al., 2020), Appendix B, in the equations of docs/guides/derivation.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Final

import torch
from torch import Tensor

from framework.errors import UserError
from framework.lab.estimates import Side, average, estimate_row, standard_error
from framework.lab.settings import DerivationSettings
from framework.lab.world import SITUATIONS, Representation, World, entropy
from framework.measurement.report import Progress, Report, Row, silent
from framework.registry import advice

CANDIDATES: Final = tuple(2**power for power in range(1, 13))
FEW_CANDIDATES: Final = (2, 8, 32, 128, 512, 4096)
"""Of the collapsed and the one-to-one representation."""
MOST_SAMPLED: Final = 1024
"""The largest number of candidates of which batches are sampled too."""
SAMPLED_PAIRS: Final = 2**14
BATCHES: Final = (8, 512)
"""Limits of the number of sampled batches, which have `SAMPLED_PAIRS` pairs together."""
ROUNDING: Final = 1e-14
LINES: Final = ("Eq. 2", "Eq. 3", "Eq. 4", "Eq. 5", "situation", "Eq. 6", "Eq. 7")


def measure(settings: DerivationSettings, progress: Progress = silent) -> Report:
    """Every line for a noisy representation, and the equalities for a collapsed one and a one-to-one one."""
    generator = torch.Generator().manual_seed(settings.seed)
    world = World.draw(settings.observations, generator)
    noisy = Representation.noisy(world, settings.latents, generator)
    error = torch.randn(noisy.logits.shape, generator=generator, dtype=torch.float64) / 2
    others = [Representation.collapsed(world, settings.latents, generator), Representation.one_to_one(world)]
    rows = [*_reconstruction(noisy, error), *_equalities(noisy), _state_model(noisy, error), *_contrast(noisy, CANDIDATES)]
    rows += [row for other in others for row in (*_equalities(other), *_contrast(other, FEW_CANDIDATES))]
    return Report(
        command="derivation",
        kind="line",
        title=f"Decoding to contrast, with {SITUATIONS} situations and {settings.observations} observations, by exact sums, in nats.",
        rows=[*_with_samples(_selected(rows, settings.only), noisy, generator, progress)],
        setting={**asdict(settings), "situations": SITUATIONS},
        conditions=("latent", "K"),
    )


def _reconstruction(representation: Representation, error: Tensor) -> list[Row]:
    """Eq. 2 and Eq. 3 with a decoder that is not the best one, and their gradients to the representation's parameters."""
    parameters = representation.logits.detach().requires_grad_()
    of = replace(representation, logits=parameters)
    decoder = (of.decoder.detach().log() + error).softmax(dim=0)
    reconstruction, subtracted = of.mean(decoder.log()), of.mean(_log_marginal(of))
    slopes = [torch.autograd.grad(term, parameters, retain_graph=True)[0].abs().max() for term in (reconstruction, subtracted)]
    difference = reconstruction - subtracted
    conditional = entropy(of.latent) - entropy(of.joint)
    return [
        _row("Eq. 2", of, conditional, reconstruction, "E log q(o|s) of a decoder that still learns: at most -H(o|s)", side="lower"),
        _row("Eq. 2: gradient", of, None, slopes[0], "its largest derivative by the table of p(s|o): not zero"),
        _row("Eq. 3: gradient", of, 0.0, slopes[1], "the same of E log p(o), which is subtracted: zero, to rounding"),
        _row("Eq. 3", of, of.information, difference, "E log q(o|s) - E log p(o), that decoder: at most I(s; o)", side="lower"),
    ]


def _state_model(of: Representation, error: Tensor) -> Row:
    """Eq. 6 with a density of the latent that is not `p(s|o)`, and the exact mean over observations in place of `p(s)`."""
    score = (of.encoder.log() + error).log_softmax(dim=1)
    marginal = (of.world.observation @ score.exp()).log()
    bound = of.mean(score - marginal)
    return _row("Eq. 6", of, of.information, bound, "a state model q(s|o) that still learns: at most I(s; o)", side="lower")


def _equalities(of: Representation) -> list[Row]:
    information, marginal = of.information, _log_marginal(of)
    decoding = of.decoder.log() - marginal
    encoding = of.encoder.log() - of.latent.log()
    difference = (decoding - encoding).masked_fill(of.joint == 0, 0.0).abs().max()
    conditional = entropy(of.latent) - entropy(of.joint)
    return [
        _row("Eq. 2: best decoder", of, conditional, of.mean(of.decoder.log()), "E log q(o|s) = -H(o|s)"),
        _row("Eq. 3: subtracted", of, -entropy(of.world.observation), of.mean(marginal), "E log p(o) = -H(o), whatever the latent"),
        _row("Eq. 4", of, information, of.mean(decoding), "E log p(o|s) - log p(o) = I(s; o)"),
        _row("Eq. 5", of, information, of.mean(encoding), "E log p(s|o) - log p(s) = I(s; o)"),
        _row("Eq. 5: largest difference", of, 0.0, difference, "of the two sides of Bayes, over every s and o"),
        _row("situation", of, information, of.situation_information, "I(s; x), of what is hidden: at most I(s; o)", side="lower"),
    ]


def _contrast(of: Representation, candidates: Sequence[int]) -> list[Row]:
    estimates, information = of.estimates(torch.tensor(candidates)), of.information
    return [
        _row("Eq. 7", of, information, estimate, candidates=count, side="lower")
        for count, estimate in zip(candidates, estimates, strict=True)
    ]


def _log_marginal(of: Representation) -> Tensor:
    """`log p(o)`, the marginal of the joint distribution, as a function of the representation's parameters."""
    return of.joint.sum(dim=1, keepdim=True).log().expand_as(of.joint)


def _row(
    name: str,
    of: Representation,
    truth: Tensor | float | None,
    value: Tensor,
    note: str = "",
    *,
    candidates: int | None = None,
    side: Side | None = None,
) -> Row:
    """A truth that is zero up to rounding is shown as zero; a value is shown as it is."""
    exact = None if truth is None else float(torch.as_tensor(truth).detach())
    exact = 0.0 if exact is not None and abs(exact) < ROUNDING else exact
    return estimate_row(
        name,
        truth=exact,
        conditions={"latent": of.name, "K": candidates},
        estimates=[value.detach()],
        ceiling=None if candidates is None else float(torch.tensor(candidates, dtype=torch.float64).log()),
        side=side,
        extra={"difference": None if exact is None else float(value.detach()) - exact, "sampled": None, "sampled_stderr": None},
        note=note,
    )


def _selected(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    names = list(dict.fromkeys([*LINES, *(row.name for row in rows)]))
    for name in only:
        if name not in names:
            raise UserError(f"--only '{name}': the derivation has no line of that name{advice(name, names)}.")
    return [row for row in rows if not only or row.name in only or row.name.partition(":")[0] in only]


def _with_samples(rows: Sequence[Row], noisy: Representation, generator: torch.Generator, progress: Progress) -> Iterator[Row]:
    """Add to the exact expectation the mean of the same bound over batches that are drawn from the same world."""
    for done, row in enumerate(rows):
        count = row["K"]
        progress(done, len(rows), row.name if count is None else f"{row.name}, K = {count}")
        if isinstance(count, int) and count <= MOST_SAMPLED and row["latent"] == noisy.name:
            batches = min(max(SAMPLED_PAIRS // count, BATCHES[0]), BATCHES[1])
            estimates = [*noisy.sample(count, batches, generator)]
            row = replace(row, values={**row.values, "sampled": average(estimates), "sampled_stderr": standard_error(estimates)})
        yield row
