"""Quantile regression: the k-th of `N` outputs estimates the quantile `(k + 1/2) / N` of the returns."""

import torch
from jaxtyping import Float
from torch import Tensor


def quantile_huber(quantiles: Float[Tensor, "*B K"], target: Float[Tensor, "*B"], width: float) -> Float[Tensor, "*B"]:
    """`mean_k |tau_k - 1(u_k < 0)| huber(u_k) / width`, `u_k = target - quantile_k`; squared within `width`, linear beyond.

    Dabney et al. (2018), *Distributional Reinforcement Learning with Quantile Regression*, Eq. 10, for one target.
    """
    count = quantiles.shape[-1]
    level = (torch.arange(count, device=quantiles.device) + 0.5) / count
    error = target.float().unsqueeze(-1) - quantiles.float()
    size = error.abs()
    huber = torch.where(size <= width, 0.5 * error.square(), width * (size - 0.5 * width)) / width
    return ((level - (error.detach() < 0).float()).abs() * huber).mean(dim=-1)
