"""Eq. 14 of the note: decode the observation."""

from collections.abc import Mapping
from typing import ClassVar, cast, final

import torch
from dm_env import specs
from einops import rearrange
from torch import nn

from framework import objectives
from framework.data import Factory, LatentSpec, Losses, Metrics, Pictures, is_image
from framework.errors import UserError
from framework.functional.hashing import Seed
from framework.heads.base import Head
from framework.objectives.base import Filtered, Objective


@final
@objectives.register
class Reconstruction(Objective):
    """`-log q(o_t | s_t)`, summed over the named observations that `decoders` binds: `{'pixels': @heads.ImageHead}`."""

    losses: ClassVar[tuple[str, ...]] = ("reconstruction",)

    def __init__(
        self,
        *,
        latent: LatentSpec,
        embedding_size: int,
        observation: Mapping[str, specs.Array],
        decoders: Mapping[str, Factory[Head]],
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size, observation=observation)
        unknown = sorted(set(decoders) - set(observation))
        if unknown or not decoders:
            raise UserError(f"Reconstruction.decoders names {unknown or 'nothing'}; the observations are {sorted(observation)}.")
        self.images = [name for name in decoders if is_image(observation[name])]
        self.decoders = nn.ModuleDict(
            {name: decoder(feature_size=latent.feature_size, target=(name, observation[name])) for name, decoder in decoders.items()}
        )

    def forward(self, seen: Filtered, seed: Seed) -> tuple[Losses, Metrics]:
        costs = {name: cast(Head, decoder).loss(seen.posterior.features, seen.batch) for name, decoder in self.decoders.items()}
        metrics = {f"model/reconstruction_{name}": cost.detach().mean() for name, cost in costs.items()}
        return {"reconstruction": torch.stack(list(costs.values())).sum(dim=0)}, metrics

    def pictures(self, seen: Filtered, seed: Seed) -> Pictures:
        """The first six sequences, the truth above what was decoded."""
        features = seen.posterior.features[:6]
        found = {}
        for name in self.images:
            decoded = ((self.decoders[name](features).mean + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
            pair = torch.stack([seen.batch.observation[name][:6], decoded])
            found[f"reconstruction_{name}"] = rearrange(pair, "pair b t y x c -> (b pair y) (t x) c")
        return found
