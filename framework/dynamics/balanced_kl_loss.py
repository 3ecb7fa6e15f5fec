"""What every dynamics charges for what the posterior knows beyond the prior."""

from collections.abc import Callable

from torch import Tensor

from framework.data import Latent, Losses, Metrics
from framework.errors import UserError
from framework.functional.kl import FreeNats, apply_free_nats


def balanced_kl_loss(
    posterior: Latent,
    prior: Latent,
    *,
    kl: Callable[[Latent, Latent], Tensor],
    balance: float | None,
    free_nats: float,
    free_nats_on: FreeNats,
) -> tuple[Losses, Metrics]:
    """`b KL(sg(posterior) || prior) + (1 - b) KL(posterior || sg(prior))`, less what is free; without a balance the plain KL.

    Two losses with scales of their own, Dreamer V3's `d` on the dynamics and `r` on the representation, are `b = d / (d + r)` under a
    scale of `d + r`: both have the same value, and so are free at the same steps.

    Gradients: with a balance, each side is detached in the other's term.
    """
    if balance is None:
        charged = kl(posterior, prior)
    else:
        charged = balance * kl(posterior.detach(), prior) + (1 - balance) * kl(posterior, prior.detach())
    return {"kl": apply_free_nats(charged, free_nats, free_nats_on)}, {"model/kl_nats": charged.mean()}


def check_balance(name: str, balance: float | None) -> None:
    if balance is not None and not 0 <= balance <= 1:
        raise UserError(f"{name}.balance = {balance} is no share: bind a number from 0 to 1, or None.")
