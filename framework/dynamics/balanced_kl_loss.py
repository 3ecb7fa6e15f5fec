"""The KL of posterior and prior, with KL balancing and free nats."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from framework.data import Latent, Losses, Metrics
from framework.errors import UserError
from framework.functional.kl import FreeNats, apply_free_nats


@final
@dataclass(frozen=True)
class KLSettings:
    """Free nats and their convention, the balance, and the weight of the loss."""

    free_nats: float
    free_nats_on: FreeNats
    balance: float | None
    scale: float

    def check(self, owner: str) -> None:
        if self.balance is not None and not 0 <= self.balance <= 1:
            raise UserError(f"{owner}.balance = {self.balance} must be a number from 0 to 1, or None.")


def balanced_kl_loss(
    posterior: Latent, prior: Latent, *, kl: Callable[[Latent, Latent], Tensor], settings: KLSettings
) -> tuple[Losses, Metrics]:
    """`b KL(sg(posterior) || prior) + (1 - b) KL(posterior || sg(prior))` above the free nats; without a balance the plain KL.

    Two losses of one value with their own scales, Dreamer V3's `d` on the dynamics and `r` on the representation, are `b = d / (d + r)`
    with a scale of `d + r`: both lie below the free nats at the same steps.

    Gradients: with a balance, each side is detached in the other's term.
    """
    if settings.balance is None:
        nats = kl(posterior, prior)
    else:
        nats = settings.balance * kl(posterior.detach(), prior) + (1 - settings.balance) * kl(posterior, prior.detach())
    return {"kl": apply_free_nats(nats, settings.free_nats, settings.free_nats_on)}, {"model/kl_nats": nats.mean()}
