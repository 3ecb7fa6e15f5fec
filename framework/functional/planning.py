"""Sampling-based planning: returns of plans, the best of them, and the distribution refit to those."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from framework.functional.returns import lambda_return


def plan_return(reward: Float[Tensor, "N H"], discount: Float[Tensor, "N H"], value: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """`r_1 + d_1 (r_2 + d_2 (.. r_H + d_H v))`, where `r_k` is the reward of action k and `d_k` the discount after it."""
    return lambda_return(reward, discount, value[:, None].expand_as(reward), return_lambda=1.0)[:, 0]


def best_plans(
    plans: Float[Tensor, "H N M A"], scores: Float[Tensor, "N M"], count: int
) -> tuple[Float[Tensor, "H N K A"], Float[Tensor, "N K"]]:
    """The `count` plans of the highest scores in each environment, best first, and their scores."""
    top = scores.topk(count, dim=-1)
    chosen = repeat(top.indices, "n k -> h n k a", h=plans.shape[0], a=plans.shape[-1])
    return plans.gather(2, chosen), top.values


def refit(plans: Float[Tensor, "H N K A"], weights: Float[Tensor, "N K"]) -> tuple[Float[Tensor, "H N A"], Float[Tensor, "H N A"]]:
    """The weighted mean and standard deviation of every action; the weights sum to one."""
    weights = rearrange(weights, "n k -> n k 1")
    mean = (weights * plans).sum(dim=2)
    variance = (weights * (plans - mean[:, :, None]).square()).sum(dim=2)
    return mean, torch.sqrt(variance)
