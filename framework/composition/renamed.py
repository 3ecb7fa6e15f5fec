"""Names that recipes used before, and what stands in their place."""

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final = "a loss's weight is a setting of the component that gives the loss: InfoNCE.scale, RewardHead.scale, GaussianRSSM.kl_scale"
SETTINGS: Final[Mapping[str, str]] = {
    "Agent.scales": WEIGHTS,
    "ConvEncoder.normalise": "it is ConvEncoder.normalize now",
    "DynamicsBackprop.mixing": "it is DynamicsBackprop.return_lambda now",
    "MixedGradient.mixing": "it is MixedGradient.return_lambda now",
    "Reinforce.mixing": "it is Reinforce.return_lambda now",
}
COMPONENTS: Final[Mapping[str, str]] = {
    "Mixed": "WithinCrossMixture",
    "MixedNegatives": "MoCHi",
    "MultiHorizonCritic": "InfoNCE.offsets",
    "Penalised": "Penalized",
}
