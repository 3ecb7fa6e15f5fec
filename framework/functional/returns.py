"""Returns of rollouts, by backward recursion over the last axis; the best of several plans, and the distribution refit to those."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from framework.functional import ranks


def lambda_return(
    reward: Float[Tensor, "*N H"],
    discount: Float[Tensor, "*N H"],
    next_value: Float[Tensor, "*N H"],
    return_lambda: Float[Tensor, "*N H"] | float,
) -> Float[Tensor, "*N H"]:
    """Lambda-returns: `R_t = r_t + d_t ((1 - lambda) v_{t+1} + lambda R_{t+1})`, `R_H = v_H`.

    *Dream to Control*, Eq. 6. `next_value[t]` is the value of the step after `t`, `discount[t]` gamma times the probability that there
    is one. `return_lambda` is one number or one for each step: 0 is TD(0), 1 is Monte Carlo with a bootstrap at the end.
    """
    one_step, decay = reward + discount * next_value * (1 - return_lambda), discount * return_lambda
    following = next_value[..., -1]
    returns = []
    for step_return, step_decay in zip(reversed(one_step.unbind(dim=-1)), reversed(decay.unbind(dim=-1)), strict=True):
        following = step_return + step_decay * following
        returns.append(following)
    return torch.stack(returns[::-1], dim=-1)


def discount_weights(discount: Float[Tensor, "*N H"]) -> Float[Tensor, "*N H"]:
    """The discounted probability of reaching each step: `w_0 = 1, w_t = d_0 d_1 .. d_{t-1}`."""
    reached = torch.cumprod(discount[..., :-1], dim=-1)
    return torch.cat([torch.ones_like(discount[..., :1]), reached], dim=-1)


def percentile_range(returns: Float[Tensor, "..."], low: float = 0.05, high: float = 0.95) -> Float[Tensor, ""]:
    """The range from the low to the high percentile of all elements, on all ranks."""
    levels = torch.tensor([low, high], device=returns.device)
    bounds = torch.quantile(ranks.gather(returns.float().flatten()), levels)
    return bounds[1] - bounds[0]


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
