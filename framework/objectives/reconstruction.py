"""Eq. 14 of the note: decode the observation."""

from collections.abc import Mapping
from typing import ClassVar, cast, final

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import objectives
from framework.data import Batch, Factory, Latent, LatentSpec, Losses, Metrics, Pictures, is_image
from framework.errors import UserError
from framework.heads.base import Head
from framework.objectives.base import Objective


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

    def forward(self, posterior: Latent, prior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> tuple[Losses, Metrics]:
        costs = {name: cast(Head, decoder).loss(posterior.features, batch) for name, decoder in self.decoders.items()}
        metrics = {f"model/reconstruction_{name}": cost.detach().mean() for name, cost in costs.items()}
        return {"reconstruction": torch.stack(list(costs.values())).sum(dim=0)}, metrics

    def pictures(self, posterior: Latent, embedding: Float[Tensor, "B T E"], batch: Batch) -> Pictures:
        """The first six sequences, the truth above what was decoded."""
        features = posterior.features[:6]
        found = {}
        for name in self.images:
            decoded = ((self.decoders[name](features).mean + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
            pair = torch.stack([batch.observation[name][:6], decoded])
            found[f"reconstruction_{name}"] = rearrange(pair, "pair b t y x c -> (b pair y) (t x) c")
        return found
