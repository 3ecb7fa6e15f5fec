"""Several encoders, each for the observations whose names it is bound to."""

from collections.abc import Mapping
from typing import cast, final

import torch
from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework import encoders
from framework.data import Factory, Observation
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.random import Key, fold_in
from framework.nn.patterns import assign_to_patterns


@final
@encoders.register
class MultiEncoder(Encoder):
    """Joins the embeddings of its encoders.

    `encoders` maps a pattern of observation names to an encoder: `{'pixels': @encoders.ConvEncoder, '*': @encoders.MLPEncoder}`.
    The first pattern that fits takes the name; an observation that fits none, and a pattern that takes none, are errors.
    """

    def __init__(self, *, observation: Mapping[str, specs.Array], encoders: Mapping[str, Factory[Encoder]]) -> None:
        super().__init__(observation=observation)
        shares = _assign(names=sorted(observation), patterns=list(encoders))
        self.names = list(shares.values())
        parts = [encoders[pattern](observation={name: observation[name] for name in names}) for pattern, names in shares.items()]
        self.parts = nn.ModuleList(parts)
        self.embedding_size = sum(part.embedding_size for part in parts)
        self.augments = any(part.augments for part in parts)

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        parts = [part({name: observation[name] for name in names}) for part, names in zip(self.parts, self.names, strict=True)]
        return torch.cat(parts, dim=-1)

    def augment(self, observation: Observation, key: Key) -> Observation:
        shown = dict(observation)
        for number, (part, names) in enumerate(zip(self.parts, self.names, strict=True)):
            shown |= cast(Encoder, part).augment({name: observation[name] for name in names}, fold_in(key, number))
        return shown


def _assign(*, names: list[str], patterns: list[str]) -> dict[str, list[str]]:
    shares = assign_to_patterns(names, patterns)
    taken = [name for share in shares.values() for name in share]
    if left := [name for name in names if name not in taken]:
        raise UserError(
            f"No encoder takes the observation '{left[0]}': the patterns of MultiEncoder.encoders are {patterns}; "
            f"add '{left[0]}' or '*' to them."
        )
    if idle := [pattern for pattern, share in shares.items() if not share]:
        raise UserError(
            f"The patterns {idle} of MultiEncoder.encoders take no observation; the observations are {names}: remove what takes none."
        )
    return shares
