"""What behaviors share when they act: exploration noise, and rollouts of many plans for each environment."""

from typing import Final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.actor_critics.base import Action, Choose, Imagine
from framework.data import Imagination, Latent
from framework.errors import UserError
from framework.functional.actions import OneHotGroups
from framework.functional.categorical import gumbel
from framework.specs import ActionSpec

LONGEST_SEARCH: Final = 1_000
MOST_CANDIDATES: Final = 2**20


def exploration_noise(action: Action, spec: ActionSpec, amount: float | Float[Tensor, ""], generator: torch.Generator) -> Action:
    """Add `N(0, amount^2)` to a continuous action and clip it to [-1, 1]; replace choices by uniform ones with probability `amount`."""
    size, device = action.shape[0], generator.device
    if spec.kind == "continuous":
        return (action + amount * torch.randn(size, spec.size, generator=generator, device=device)).clamp(-1, 1)
    replaced = torch.rand(size, 1, generator=generator, device=device) < amount
    uniform = OneHotGroups(torch.zeros_like(action), spec.sizes).sample(gumbel(size, spec.size, generator=generator))
    return uniform.where(replaced, action)


def roll_out(latent: Latent, choose: Choose, noise: Float[Tensor, "H N M A"], imagine: Imagine, generator: torch.Generator) -> Imagination:
    """`M` rollouts from each latent, of plans or of a policy; rollout `m` from latent `n` is row `n M + m`."""
    starts = latent.map(lambda tensor: tensor.repeat_interleave(noise.shape[2], dim=0))
    return imagine(starts, choose, rearrange(noise, "h n m a -> h (n m) a"), generator)


def open_loop(features: Tensor, action: Tensor) -> Tensor:
    """The choice of a plan: the planned action, whatever the features."""
    return action


def check_search(owner: str, *, horizon: int, iterations: int, candidates: int, elites: int) -> None:
    """Raise a `UserError` for sizes of a planner's search that cannot be."""
    for name, value in (("horizon", horizon), ("iterations", iterations)):
        if not 1 <= value <= LONGEST_SEARCH:
            raise UserError(f"{owner}.{name} = {value} must be between 1 and {LONGEST_SEARCH}.")
    if not 1 <= elites <= candidates <= MOST_CANDIDATES:
        raise UserError(
            f"{owner}.elites = {elites} must be between 1 and {owner}.candidates = {candidates}, and these at most {MOST_CANDIDATES}."
        )
