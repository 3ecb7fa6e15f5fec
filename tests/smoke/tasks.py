"""What each recipe is to learn, and how it is made small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CONTROL: Final[Mapping[str, Any]] = {}
NUMBERS: Final[Mapping[str, Any]] = {"show": "numbers"}
CHOICES: Final[Mapping[str, Any]] = {"actions": "choices", "length": 12}
NOISE: Final[Mapping[str, Any]] = {"noise": True}
MEMORY: Final[Mapping[str, Any]] = {"told": "at_first", "targets": "ends", "length": 5}


LATENT_SAC: Final = Path(__file__).with_name("latent_sac.gin")
"""A behavior that no shipped recipe has."""
LEFT_OUT: Final[Mapping[str, str]] = dict.fromkeys(
    ("quickstart", "quickstart_reconstruction", "quickstart_reward_only"),
    "trained in full: docs/results/quickstart",
)


@dataclass(frozen=True)
class Task:
    """`fast` ones are in the default suite."""

    recipe: str | Path
    world: Mapping[str, Any]
    bindings: Sequence[str]
    fast: bool = field(default=False, kw_only=True)


def schedule(*, updates: int, batch: int = 16, length: int = 16, every: int = 16) -> list[str]:
    """After 600 steps with random actions, 50 updates, and then 4 for every `every` steps, 4 environments taking them together."""
    steps = 600 + (updates - 50) * every // 4
    return [
        "Runtime.device='cpu'",
        "Run.environments=4",
        "Replay.capacity=20000",
        f"Replay.batch={batch}",
        f"Replay.length={length}",
        f"Trainer.steps={steps}",
        "Trainer.prefill=600",
        "Trainer.pretrain=50",
        f"Trainer.train_every={every}",
        f"Trainer.train_ratio={4 * batch * length / every}",
    ]


CONV = ["ConvEncoder.channels=(16, 32)", "ConvEncoder.kernel=2"]
MLP = ["MLPEncoder.layers=1", "MLPEncoder.units=64", "MLPEncoder.size=64"]
SHIFT = ["RandomShift.pixels=1"]
DISTRACTED = ["Distractors.behind=(0, 0, 0)"]
"""The recipe's own background in place of what is black."""
DECODED = ["ImageHead.base=64", "ImageHead.channels=(32,)", "ImageHead.kernels=(2, 6)"]
GAUSSIAN = ["GaussianRSSM.deterministic=64", "GaussianRSSM.stochastic=8", "GaussianRSSM.hidden=64", "GaussianRSSM.free_nats=0.5"]
MEMORYLESS = ["MemorylessSSM.deterministic=64", "MemorylessSSM.stochastic=8", "MemorylessSSM.hidden=64"]
ROLLED = ["Agent.horizon=8", "Agent.imagination_starts=96"]
OF_MODEL = ["RewardHead.units=64", "model/Adam.learning_rate=2e-3"]
OF_BEHAVIOR = ["actor/Adam.learning_rate=1e-3", "value/Adam.learning_rate=2e-3", "NormalValue.units=64"]
BACKPROP = [
    *ROLLED,
    *OF_MODEL,
    *OF_BEHAVIOR,
    "NormalValue.layers=2",
    "DynamicsBackprop.layers=2",
    "DynamicsBackprop.units=64",
    "DynamicsBackprop.discount=0.9",
    "DynamicsBackprop.initial_std=1.0",
    "DynamicsBackprop.minimum_std=0.1",
]
V1 = [*schedule(updates=300), *CONV, *GAUSSIAN, *BACKPROP]
TPC = [*schedule(updates=300), *CONV, *MEMORYLESS, *BACKPROP]
V2 = [
    *schedule(updates=350),
    *CONV,
    *ROLLED,
    "RewardHead.layers=2",
    "RewardHead.units=64",
    "CategoricalRSSM.deterministic=64",
    "CategoricalRSSM.groups=8",
    "CategoricalRSSM.classes=8",
    "CategoricalRSSM.hidden=64",
    "CategoricalRSSM.free_nats=0.5",
    "MixedGradient.layers=2",
    "MixedGradient.units=64",
    "MixedGradient.discount=0.9",
    "NormalValue.layers=2",
    "NormalValue.units=64",
    "NormalValue.slow_every=20",
    "model/AdamW.learning_rate=2e-3",
    "actor/AdamW.learning_rate=1e-3",
    "value/AdamW.learning_rate=2e-3",
]
PRO = [*V2, *SHIFT, "Prototypes.prototypes=64", "Prototypes.frozen_updates=100"]
REINFORCE = [
    "Agent.horizon=8",
    "Reinforce.layers=2",
    "Reinforce.discount=0.9",
    "TwoHotValue.layers=2",
    "TwoHotValue.slow_rate=0.1",
    "LaProp.learning_rate=2e-3",
    "LaProp.warmup=20",
]
BLOCK = [
    "BlockRSSM.deterministic=128",
    "BlockRSSM.hidden=64",
    "BlockRSSM.groups=8",
    "BlockRSSM.classes=8",
    "BlockRSSM.blocks=4",
    "BlockRSSM.free_nats=0.5",
]
POOLED = ["size='1M'", "MaxPoolConvEncoder.multipliers=(2, 3)", "MaxPoolConvEncoder.kernel=3", "MaxPoolConvEncoder.depth=8"]
UPSAMPLED = [
    "UpsampleImageHead.multipliers=(2, 3)",
    "UpsampleImageHead.kernel=3",
    "UpsampleImageHead.depth=8",
    "UpsampleImageHead.blocks=4",
]
V3 = [*schedule(updates=450, batch=8, length=12, every=12), *POOLED, *BLOCK, *REINFORCE]
TRANSFORMER = [
    "TransformerSSM.deterministic=64",
    "TransformerSSM.hidden=64",
    "TransformerSSM.layers=1",
    "TransformerSSM.attention_heads=4",
    "TransformerSSM.groups=8",
    "TransformerSSM.classes=8",
    "TransformerSSM.free_nats=0.5",
]
LONG = [*schedule(updates=1000, length=12), "Agent.horizon=4", "LaProp.learning_rate=1e-3"]
"""To remember takes longer: nothing is earned by what is remembered in part."""
TASKS: Final[Mapping[str, Task]] = {
    "dreamer_v1": Task("dreamer_v1", MEMORY, [*V1, *DECODED, *schedule(updates=600, length=12)]),
    "dreamer_v1_infonce": Task("dreamer_v1_infonce", CONTROL, [*V1, *schedule(updates=220)], fast=True),
    # No observation but the first tells of the target, so that the reward alone asks for a memory: beside InfoNCE it needs more weight.
    "dreamer_v1_infonce, memory": Task(
        "dreamer_v1_infonce",
        MEMORY,
        [*V1, *schedule(updates=600, length=12), "Agent.scales={'kl': 1.0, 'reward': 10.0, 'infonce': 1.0}"],
    ),
    # The reward is all that a latent is for: at the paper's weight it is worth less than the nats that it would cost to tell it.
    "dreamer_v1_reward_only": Task(
        "dreamer_v1_reward_only", CONTROL, [*V1, *schedule(updates=1000), "Agent.scales={'kl': 1.0, 'reward': 10.0}"]
    ),
    "dreamer_v1_distractors": Task("dreamer_v1_distractors", CONTROL, [*V1, *DECODED, *DISTRACTED]),
    "dreamer_v1_infonce_distractors": Task("dreamer_v1_infonce_distractors", CONTROL, [*V1, *DISTRACTED]),
    "dreamer_v1_infonce, choices": Task("dreamer_v1_infonce", CHOICES, V1),
    "dreamer_v1_cpc_window": Task("dreamer_v1_cpc_window", CONTROL, [*V1, "RollingWindow.rows=4", "RollingWindow.times=8"]),
    "dreamer_v1_proprio": Task(
        "dreamer_v1_proprio",
        NUMBERS,
        [*schedule(updates=300), *MLP, *GAUSSIAN, *BACKPROP, "VectorHead.layers=1", "VectorHead.units=64"],
    ),
    "dreamer_v1_infonce_proprio": Task("dreamer_v1_infonce_proprio", NUMBERS, [*schedule(updates=300), *MLP, *GAUSSIAN, *BACKPROP]),
    "cvrl": Task("cvrl", CONTROL, V1),
    "curl_in_latent": Task("curl_in_latent", CONTROL, [*V1, *SHIFT]),
    "plan2explore": Task(
        "plan2explore",
        CONTROL,
        [
            *V1,
            *DECODED,
            "Plan2Explore.members=4",
            "Plan2Explore.layers=1",
            "Plan2Explore.units=64",
            "Plan2Explore.extrinsic=1.0",
            "Plan2Explore.intrinsic=0.1",
        ],
    ),
    "tpc": Task("tpc", NOISE, TPC),
    "tpc_distractors": Task("tpc_distractors", CONTROL, [*TPC, *DISTRACTED]),
    "planet": Task(
        "planet",
        CONTROL,
        [
            *schedule(updates=220),
            *CONV,
            *GAUSSIAN,
            *DECODED,
            *OF_MODEL,
            "CEMPlanner.horizon=5",
            "CEMPlanner.candidates=40",
            "CEMPlanner.iterations=3",
            "CEMPlanner.elites=8",
        ],
        fast=True,
    ),
    "latent_sac": Task(
        LATENT_SAC,
        CONTROL,
        [
            *schedule(updates=220),
            *CONV,
            *GAUSSIAN,
            *OF_MODEL,
            *OF_BEHAVIOR,
            "NormalValue.slow_rate=0.05",
            "LatentSAC.units=64",
            "LatentSAC.discount=0.9",
            "LatentSAC.initial_temperature=0.1",
            "temperature/Adam.learning_rate=1e-3",
        ],
        fast=True,
    ),
    "tdmpc2_like": Task(
        "tdmpc2_like",
        CONTROL,
        [
            *schedule(updates=600, batch=64, length=4),
            *CONV,
            *MEMORYLESS,
            *OF_MODEL,
            *OF_BEHAVIOR,
            "NormalValue.slow_rate=0.05",
            "MPPIPlanner.units=64",
            "MPPIPlanner.discount=0.9",
            "MPPIPlanner.candidates=40",
            "MPPIPlanner.policy_plans=8",
            "MPPIPlanner.iterations=3",
            "MPPIPlanner.elites=8",
        ],
    ),
    "dreamer_v2": Task("dreamer_v2", MEMORY, [*V2, *DECODED, *schedule(updates=500, length=12)]),
    # Choices are explored by their entropy alone: at 1e-4 the policy is certain of one after 150 updates, before the model is right.
    "dreamer_v2, choices": Task("dreamer_v2", CHOICES, [*V2, *DECODED, "MixedGradient.entropy=0.1"]),
    "dreamer_pro": Task("dreamer_pro", NOISE, PRO),
    "dreamer_pro_distractors": Task("dreamer_pro_distractors", CONTROL, [*PRO, *DISTRACTED]),
    "dreamer_v3": Task("dreamer_v3", MEMORY, [*V3, *UPSAMPLED, *LONG]),
    "dreamer_v3, choices": Task("dreamer_v3", CHOICES, [*V3, *UPSAMPLED]),
    "dreamer_v3_proprio": Task(
        "dreamer_v3_proprio",
        NUMBERS,
        [
            *schedule(updates=450, batch=8, length=12, every=12),
            *BLOCK,
            *REINFORCE,
            "MLPEncoder.layers=1",
            "VectorHead.layers=1",
        ],
    ),
    "dreamer_v3_infonce": Task("dreamer_v3_infonce", CONTROL, V3),
    "r2dreamer": Task("r2dreamer", CONTROL, V3),
    "ne_dreamer": Task("ne_dreamer", CONTROL, [*V3, "NextEmbedding.units=64", "NextEmbedding.layers=1"]),
    "twister_cpc": Task(
        "twister_cpc",
        CONTROL,
        [
            *schedule(updates=450, batch=8, length=12, every=12),
            *POOLED,
            *UPSAMPLED,
            *SHIFT,
            *TRANSFORMER,
            *REINFORCE,
            "ActionConditionedCPC.steps=3",
            "SeparableCritic.units=64",
            "SeparableCritic.size=32",
            "LaProp.learning_rate=1e-3",
            "Agent.horizon=5",
        ],
    ),
}
