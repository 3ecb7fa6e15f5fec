"""Groups of categorical variables, flattened: `S` groups of `K` classes side by side.

    log p_k = log((1 - unimix) softmax_k + unimix / K),    z = onehot(argmax(log p + g)) + p - sg(p),    g ~ Gumbel

Hafner et al. (2021), *Mastering Atari with Discrete World Models* (straight-through samples); unimix since Dreamer V3 (2023).
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def mixed_log_probabilities(logits: Float[Tensor, "*B Z"], classes: int, unimix: float) -> Float[Tensor, "*B Z"]:
    """Log-probabilities of each group in float32, mixed with a share `unimix` of the uniform distribution."""
    grouped = rearrange(logits.float(), "... (s k) -> ... s k", k=classes)
    log_probabilities = grouped.log_softmax(dim=-1)
    if unimix > 0:
        log_probabilities = torch.log((1 - unimix) * log_probabilities.exp() + unimix / classes)
    return rearrange(log_probabilities, "... s k -> ... (s k)")


def straight_through(log_probabilities: Float[Tensor, "*B Z"], noise: Float[Tensor, "*B Z"], classes: int) -> Float[Tensor, "*B Z"]:
    """One-hot samples from Gumbel noise, the mode from zeros. Gradients: straight through to the probabilities."""
    grouped = rearrange(log_probabilities, "... (s k) -> ... s k", k=classes)
    chosen = (grouped + rearrange(noise, "... (s k) -> ... s k", k=classes)).argmax(dim=-1, keepdim=True)
    probabilities = grouped.exp()
    # `one_hot` would read the largest index, which synchronizes with the device.
    one_hot = torch.zeros_like(probabilities).scatter_(-1, chosen, 1.0)
    sample = one_hot + (probabilities - probabilities.detach())
    return rearrange(sample, "... s k -> ... (s k)")


def gumbel(*shape: int, generator: torch.Generator) -> Float[Tensor, "..."]:
    """Gumbel noise `-log(-log u)`, on the device of the generator."""
    tiny = torch.finfo(torch.float32).tiny
    uniform = torch.rand(*shape, generator=generator, device=generator.device).clamp(min=tiny)
    return -(-uniform.log()).clamp(min=tiny).log()


def categorical_kl(log_probabilities: Float[Tensor, "*B Z"], other: Float[Tensor, "*B Z"]) -> Float[Tensor, "*B"]:
    """`KL(p || other)` in nats, summed over the groups, of log-probabilities that are normalized in each group."""
    return (log_probabilities.exp() * (log_probabilities - other)).sum(dim=-1)
