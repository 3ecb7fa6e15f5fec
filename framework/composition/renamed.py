"""Names that recipes used before, and what stands in their place."""

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final = "a loss's weight is a setting of the component that gives the loss: InfoNCE.scale, RewardHead.scale, GaussianRSSM.kl_scale"
SETTINGS: Final[Mapping[str, str]] = {
    "Agent.scales": WEIGHTS,
    "ConvEncoder.normalise": "it is ConvEncoder.normalize now",
    "CosineCritic.initial_temperature": "it is CosineCritic.temperature now",
    "DistanceCritic.initial_temperature": "it is DistanceCritic.temperature now",
    "DynamicsBackprop.mixing": "it is DynamicsBackprop.return_lambda now",
    "MixedGradient.mixing": "it is MixedGradient.return_lambda now",
    "Reinforce.mixing": "it is Reinforce.return_lambda now",
    "Replay.extra": "it is Replay.extra_candidates now",
}
VALUES: Final[Mapping[tuple[str, object], str]] = {
    (f"{critic}.temperature", kind): f"{critic}.temperature_kind = '{kind}' says so now"
    for critic in ("CosineCritic", "DistanceCritic")
    for kind in ("fixed", "learned")
}
"""Values that a setting of the same name had before."""
COMPONENTS: Final[Mapping[str, str]] = {
    "Mixed": "WithinCrossMixture",
    "MixedNegatives": "MoCHi",
    "MultiHorizonCritic": "InfoNCE.offsets",
    "Penalised": "Penalized",
}
