"""The reconstruction bound: decode the observation."""

from collections.abc import Mapping
from typing import ClassVar, cast, final

import torch
from einops import rearrange
from torch import nn

from framework import objectives
from framework.data import Factory, InferredBatch, Losses, Metrics, Pictures
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.random import Key
from framework.heads.base import Head
from framework.nn.patterns import assign_to_patterns
from framework.objectives.base import Objective
from framework.specs import ModelSpecs, is_image
from framework.visualization.figures import to_rgb


@final
@objectives.register
class Reconstruction(Objective):
    """`-log q(o_t | s_t)`, summed over the observations that `decoders` binds, each with the `scale` of its head.

    For example `{'pixels': @heads.ImageHead, '*': @heads.VectorHead}`.

    Each observation belongs to the first pattern that matches its name, and one head decodes all of a pattern; an observation that matches
    none is not decoded.
    """

    losses: ClassVar[tuple[str, ...]] = ("reconstruction",)

    def __init__(
        self,
        *,
        model: ModelSpecs,
        scale: float = 1.0,
        decoders: Mapping[str, Factory[Head]],
    ) -> None:
        super().__init__(model=model, scale=scale)
        observation = model.observation
        shares = assign_to_patterns(sorted(observation), decoders)
        idle = [pattern for pattern, names in shares.items() if not names]
        if idle or not decoders:
            raise UserError(
                f"Reconstruction.decoders names {idle or 'nothing'}; the observations are {sorted(observation)}: bind a decoder for one of "
                "them, or for '*'."
            )
        self.names = list(shares.values())
        targets = {pattern: {name: observation[name] for name in names} for pattern, names in shares.items()}
        self.decoders = nn.ModuleList([decoders[pattern](latent=model.latent, target=target) for pattern, target in targets.items()])
        self.images = {names[0]: number for number, names in enumerate(self.names) if is_image(observation[names[0]])}

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        decoders = [cast(Head, decoder) for decoder in self.decoders]
        losses = [decoder.scale * decoder.loss(inferred.features, inferred.batch) for decoder in decoders]
        metrics = {f"model/reconstruction_{'_'.join(names)}": loss.detach().mean() for names, loss in zip(self.names, losses, strict=True)}
        return {"reconstruction": torch.stack(losses).sum(dim=0)}, metrics

    def pictures(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> Pictures:
        """The first six sequences, the observations above their reconstructions."""
        features = inferred.posterior.features[:6]
        pictures = {}
        for name, number in self.images.items():
            decoded = ((self.decoders[number](features).mean + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
            pair = to_rgb(torch.stack([inferred.batch.observation[name][:6], decoded]))
            pictures[f"reconstruction_{name}"] = rearrange(pair, "pair b t y x c -> (b pair y) (t x) c")
        return pictures
