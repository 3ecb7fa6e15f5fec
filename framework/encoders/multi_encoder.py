"""Several encoders for one observation."""

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
    """Concatenates the embeddings of several encoders, each of the observations whose names match its pattern.

    `encoders` maps patterns to encoders: `{'pixels': @encoders.ConvEncoder, '*': @encoders.MLPEncoder}`. The first pattern that matches
    takes the name; an observation without a pattern, and a pattern without an observation, are errors.
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
        augmented = dict(observation)
        for number, (part, names) in enumerate(zip(self.parts, self.names, strict=True)):
            augmented |= cast(Encoder, part).augment({name: observation[name] for name in names}, fold_in(key, number))
        return augmented


def _assign(*, names: list[str], patterns: list[str]) -> dict[str, list[str]]:
    shares = assign_to_patterns(names, patterns)
    matched = [name for share in shares.values() for name in share]
    if unmatched := [name for name in names if name not in matched]:
        raise UserError(
            f"No encoder takes the observation '{unmatched[0]}': the patterns of MultiEncoder.encoders are {patterns}; "
            f"add '{unmatched[0]}' or '*' to them."
        )
    if unused := [pattern for pattern, share in shares.items() if not share]:
        raise UserError(f"The patterns {unused} of MultiEncoder.encoders take no observation of {names}; remove them.")
    return shares
