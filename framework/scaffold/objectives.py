"""An objective of your own: the latent predicts the embedding of its observation."""

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from framework import objectives
from framework.data import InferredBatch, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.random import Key
from framework.nn.blocks import MLP
from framework.specs import ModelSpecs


@final
@objectives.register
class MyComponent(objectives.Objective):
    """`|MLP([z_t, h_t]) - sg e_t|^2 / E` at each step.

    Gradients: none to the embedding as a target, so that the encoder learns through the posterior alone.
    """

    losses: ClassVar[tuple[str, ...]] = ("my_component",)

    def __init__(self, *, model: ModelSpecs, scale: float = 1.0, layers: int = 1, units: int = 128) -> None:
        super().__init__(model=model, scale=scale)
        if units < 1:
            raise UserError(f"MyComponent.units = {units} is no width of a layer: bind 1 or more.")
        self.net = MLP(input_size=model.latent.feature_size, output_size=model.embedding_size, layers=layers, units=units, activation="elu")

    def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]:
        prediction: Float[Tensor, "B T E"] = self.net(inferred.features).float()
        error = (prediction - inferred.embedding.detach().float()).square().mean(dim=-1)
        return {"my_component": error}, {"model/my_component_error": error.detach().sqrt().mean()}
