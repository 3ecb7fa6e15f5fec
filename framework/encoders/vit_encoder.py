"""A vision transformer as the image encoder."""

from collections.abc import Mapping
from typing import final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import encoders
from framework.data import Observation
from framework.encoders.base import ImageEncoder
from framework.errors import UserError
from framework.nn.blocks import glorot


@final
@encoders.register
class ViTEncoder(ImageEncoder):
    """The Vision Transformer: square patches as tokens, learned positions, pre-norm blocks, and the mean of the tokens.

    *An Image is Worth 16x16 Words* (Dosovitskiy et al., 2021), with the mean in place of its class token, as in later work; `uint8`
    images are scaled to [-0.5, 0.5]; `patch` must divide both sides.
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        patch: int = 8,
        size: int = 256,
        layers: int = 4,
        attention_heads: int = 4,
    ) -> None:
        super().__init__(observation=observation)
        height, width, depth = self.shape
        if height % patch or width % patch:
            raise UserError(f"ViTEncoder.patch = {patch} does not divide an image of {height} x {width}; bind a divisor of both.")
        if size % attention_heads:
            raise UserError(f"ViTEncoder.attention_heads = {attention_heads} does not divide ViTEncoder.size = {size}; bind a divisor.")
        self.patch, self.embedding_size = patch, size
        self.tokens = nn.Linear(patch * patch * depth, size)
        self.positions = nn.Parameter(torch.empty((height // patch) * (width // patch), size))
        self.blocks = nn.ModuleList([TransformerBlock(size=size, attention_heads=attention_heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(size)
        glorot(self)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        image = observation[self.name]
        patches = rearrange(image / 255.0 - 0.5, "... (y p) (x q) c -> (...) (y x) (p q c)", p=self.patch, q=self.patch)
        tokens = self.tokens(patches) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).mean(dim=-2).reshape(*image.shape[:-3], self.embedding_size)


@final
class TransformerBlock(nn.Module):
    """`x + attention(norm(x))`, then `x + perceptron(norm(x))` with four times as many GELU units."""

    def __init__(self, *, size: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.attention_norm, self.perceptron_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.projections, self.joined = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.perceptron = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, tokens: Float[Tensor, "N L E"]) -> Float[Tensor, "N L E"]:
        projected = self.projections(self.attention_norm(tokens))
        query, key, value = rearrange(projected, "n l (three h e) -> three n h l e", three=3, h=self.attention_heads)
        attended = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.joined(rearrange(attended, "n h l e -> n l (h e)"))
        return tokens + self.perceptron(self.perceptron_norm(tokens))
