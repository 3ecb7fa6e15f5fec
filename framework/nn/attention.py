"""A causal transformer over a sliding window, which can be called with all tokens at once or with some more at a time."""

from typing import final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework.functional.rotary import rotated, turns

Past = dict[str, Tensor]
"""What later tokens need of earlier ones: of each block the keys and values of a window, and of how many tokens they are."""


@final
class CausalTransformer(nn.Module):
    """Blocks of attention and perceptron with norms before them, each token seeing the last `window` of its own episode, and a norm.

    A window slides in each block, so that `layers` blocks reach `layers (window - 1)` tokens back. Positions are relative (`rotary`):
    a token has no number that could run out. Tokens one by one, in parts or all at once give the same.
    """

    def __init__(self, *, size: int, hidden: int, layers: int, attention_heads: int, window: int) -> None:
        super().__init__()
        self.size, self.window, self.head_size = size, window, size // attention_heads
        self.blocks = nn.ModuleList([CausalBlock(size=size, hidden=hidden, attention_heads=attention_heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(size)

    def nothing(self, count: int) -> Past:
        """The past before the first token, `count` times over without taking their memory."""
        zeros = self.norm.weight.new_zeros
        known = zeros(1, self.window - 1, 2 * self.size).expand(count, -1, -1)
        return {"age": zeros(count)} | {f"block_{index}": known for index in range(len(self.blocks))}

    def forward(self, tokens: Float[Tensor, "N L U"], is_first: Bool[Tensor, "N L"], past: Past) -> tuple[Float[Tensor, "N L U"], Past]:
        """The next `L` tokens, and the past `[N, L, ..]` as it is after each: views, overlapping in one buffer for each block."""
        length = tokens.shape[1]
        age = ages(past["age"], is_first)
        seen = visible(age, self.window)
        turn = turns(self.window - 1 + length, self.head_size, tokens.device)
        following = {"age": age}
        for index, block in enumerate(self.blocks):
            tokens, known = block(tokens, past[f"block_{index}"], seen, turn)
            windows = known.unfold(1, self.window - 1, 1)[:, 1:]
            following[f"block_{index}"] = rearrange(windows, "n l u p -> n l p u")
        return self.norm(tokens), following


@final
class CausalBlock(nn.Module):
    """`x + attention(norm(x))`, then `x + perceptron(norm(x))` with GELU units; keys and values of the tokens before are given."""

    def __init__(self, *, size: int, hidden: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.attention_norm, self.perceptron_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.known, self.joined = nn.Linear(size, size), nn.Linear(size, 2 * size), nn.Linear(size, size)
        self.perceptron = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))

    def forward(
        self,
        tokens: Float[Tensor, "N L U"],
        past: Float[Tensor, "N P K"],
        seen: Bool[Tensor, "N L P+L"],
        turn: Float[Tensor, "2 P+L half"],
    ) -> tuple[Float[Tensor, "N L U"], Float[Tensor, "N P+L K"]]:
        """The tokens after this block, and the keys and values of those before and of these, side by side, not yet turned."""
        normed = self.attention_norm(tokens)
        found = self.known(normed)
        known = torch.cat([past.to(found.dtype), found], dim=1)
        key, value = rearrange(known, "n m (two h e) -> two n h m e", two=2, h=self.attention_heads)
        query = rotated(rearrange(self.query(normed), "n l (h e) -> n h l e", h=self.attention_heads), turn[:, -tokens.shape[1] :])
        attended = F.scaled_dot_product_attention(query, rotated(key, turn), value, attn_mask=rearrange(seen, "n l m -> n 1 l m"))
        tokens = tokens + self.joined(rearrange(attended, "n h l e -> n l (h e)"))
        return tokens + self.perceptron(self.perceptron_norm(tokens)), known


def ages(before: Float[Tensor, " N"], is_first: Bool[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """How many tokens of its episode each token comes to, itself included, of which `before` came earlier."""
    places = torch.arange(is_first.shape[1], device=is_first.device, dtype=before.dtype)
    begun = torch.where(is_first, places, -before.detach()[:, None]).cummax(dim=1).values
    return places + 1 - begun


def visible(age: Float[Tensor, "N L"], window: int) -> Bool[Tensor, "N L M"]:
    """Which of `window - 1` tokens before and of these `L` each of these may see: its episode's last `window`, itself included."""
    places = torch.arange(window - 1 + age.shape[1], device=age.device)
    distance = places[window - 1 :, None] - places
    return (distance >= 0) & (distance < age.clamp(max=window)[..., None])
