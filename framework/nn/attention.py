"""A causal transformer with a sliding window and a cache of keys and values."""

from typing import final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework.functional.rotary import rotate, rotations

Past = dict[str, Tensor]
"""The cache: keys and values of the window in each block, and the age of the latest token in its episode."""


@final
class CausalTransformer(nn.Module):
    """Pre-norm blocks of attention and perceptron, and a last norm; a token attends to the last `window` tokens of its own episode.

    `layers` blocks reach `layers (window - 1)` tokens back. Positions are relative (rotary), so that episodes may have any length. Tokens
    one by one, in chunks or all at once give the same result.
    """

    def __init__(self, *, size: int, hidden: int, layers: int, attention_heads: int, window: int) -> None:
        super().__init__()
        self.size, self.window, self.head_size = size, window, size // attention_heads
        self.blocks = nn.ModuleList([CausalBlock(size=size, hidden=hidden, attention_heads=attention_heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(size)

    def empty_past(self, count: int) -> Past:
        """The past before the first token, expanded `count` times without a copy."""
        zeros = self.norm.weight.new_zeros
        keys_values = zeros(1, self.window - 1, 2 * self.size).expand(count, -1, -1)
        return {"age": zeros(count)} | {f"block_{index}": keys_values for index in range(len(self.blocks))}

    def forward(self, tokens: Float[Tensor, "N L U"], is_first: Bool[Tensor, "N L"], past: Past) -> tuple[Float[Tensor, "N L U"], Past]:
        """The outputs of the next `L` tokens, and the past `[N, L, ..]` after each: overlapping views of one buffer for each block."""
        length = tokens.shape[1]
        age = ages(past["age"], is_first)
        mask = attention_mask(age, self.window)
        rotation = rotations(self.window - 1 + length, self.head_size, tokens.device)
        following = {"age": age}
        for index, block in enumerate(self.blocks):
            tokens, keys_values = block(tokens, past[f"block_{index}"], mask, rotation)
            windows = keys_values.unfold(1, self.window - 1, 1)[:, 1:]
            following[f"block_{index}"] = rearrange(windows, "n l u p -> n l p u")
        return self.norm(tokens), following


@final
class CausalBlock(nn.Module):
    """`x + attention(norm(x))`, then `x + perceptron(norm(x))` with GELU units; keys and values of earlier tokens are an argument."""

    def __init__(self, *, size: int, hidden: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.attention_norm, self.perceptron_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key_value, self.output = nn.Linear(size, size), nn.Linear(size, 2 * size), nn.Linear(size, size)
        self.perceptron = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))

    def forward(
        self,
        tokens: Float[Tensor, "N L U"],
        past: Float[Tensor, "N P K"],
        mask: Bool[Tensor, "N L P+L"],
        rotation: Float[Tensor, "2 P+L half"],
    ) -> tuple[Float[Tensor, "N L U"], Float[Tensor, "N P+L K"]]:
        """The tokens after this block, and the unrotated keys and values of earlier and present tokens, side by side."""
        normed = self.attention_norm(tokens)
        present = self.key_value(normed)
        keys_values = torch.cat([past.to(present.dtype), present], dim=1)
        # A weight of zero times nan is nan: one of an earlier episode would reach the tokens that do not attend to it.
        keys_values = keys_values.masked_fill(keys_values.isnan(), 0.0)
        key, value = rearrange(keys_values, "n m (two h e) -> two n h m e", two=2, h=self.attention_heads)
        query = rotate(rearrange(self.query(normed), "n l (h e) -> n h l e", h=self.attention_heads), rotation[:, -tokens.shape[1] :])
        attended = F.scaled_dot_product_attention(query, rotate(key, rotation), value, attn_mask=rearrange(mask, "n l m -> n 1 l m"))
        tokens = tokens + self.output(rearrange(attended, "n h l e -> n l (h e)"))
        return tokens + self.perceptron(self.perceptron_norm(tokens)), keys_values


def ages(before: Float[Tensor, " N"], is_first: Bool[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """The number of tokens of its episode up to each token, itself included; `before` is that number before the first."""
    places = torch.arange(is_first.shape[1], device=is_first.device, dtype=before.dtype)
    starts = torch.where(is_first, places, -before.detach().nan_to_num()[:, None]).cummax(dim=1).values
    return places + 1 - starts


def attention_mask(age: Float[Tensor, "N L"], window: int) -> Bool[Tensor, "N L M"]:
    """Which of the `window - 1` earlier and `L` present tokens each token attends to: the last `window` of its episode, itself included."""
    places = torch.arange(window - 1 + age.shape[1], device=age.device)
    distance = places[window - 1 :, None] - places
    return (distance >= 0) & (distance < age.clamp(max=window)[..., None])
