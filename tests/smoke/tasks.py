"""The task of each recipe, and the settings that make it small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CONTROL: Final[Mapping[str, Any]] = {}
NUMBERS: Final[Mapping[str, Any]] = {"show": "numbers"}
CHOICES: Final[Mapping[str, Any]] = {"actions": "choices", "length": 12}
NOISE: Final[Mapping[str, Any]] = {"noise": True}
MEMORY: Final[Mapping[str, Any]] = {"target_visible": "at_first", "targets": "ends", "length": 5}


LATENT_SAC: Final = Path(__file__).with_name("latent_sac.gin")
"""A behavior without a recipe."""
LEFT_OUT: Final[Mapping[str, str]] = dict.fromkeys(
    ("quickstart", "quickstart_reconstruction", "quickstart_reward_only"),
    "trained in full: docs/results/quickstart",
)


@dataclass(frozen=True)
class Task:
    """A recipe, the settings of its world, and bindings; `fast` tasks are in the default suite."""

    recipe: str | Path
    world: Mapping[str, Any]
    bindings: Sequence[str]
    fast: bool = field(default=False, kw_only=True)


def bind(component: str, **settings: object) -> list[str]:
    """Bindings of one component."""
    return [f"{component}.{name}={value!r}" for name, value in settings.items()]


def schedule(*, updates: int, batch: int = 16, length: int = 16, every: int = 16) -> list[str]:
    """600 random steps, 50 updates, and then 4 updates for every `every` steps of 4 environments."""
    steps = 600 + (updates - 50) * every // 4
    ratio = 4 * batch * length / every
    return [
        *bind("Runtime", device="cpu"),
        *bind("Run", environments=4),
        *bind("Replay", capacity=20000, batch=batch, length=length),
        *bind("Trainer", steps=steps, prefill=600, pretrain=50, train_every=every, train_ratio=ratio),
    ]


CONV = bind("ConvEncoder", channels=(16, 32), kernel=2)
MLP = bind("MLPEncoder", layers=1, units=64, size=64)
SHIFT = bind("RandomShift", pixels=1)
DISTRACTED = bind("Distractors", behind=(0, 0, 0))
"""The recipe's own background in place of what is black."""
DECODED = bind("ImageHead", base=64, channels=(32,), kernels=(2, 6))
GAUSSIAN = bind("GaussianRSSM", deterministic=64, stochastic=8, hidden=64, free_nats=0.5)
MEMORYLESS = bind("MemorylessSSM", deterministic=64, stochastic=8, hidden=64)
ROLLOUTS = bind("Agent", horizon=8, imagination_starts=96)
MODEL = ["RewardHead.units=64", "model/Adam.learning_rate=2e-3"]
BEHAVIOR = ["actor/Adam.learning_rate=1e-3", "value/Adam.learning_rate=2e-3", "NormalValue.units=64"]
BACKPROP = [
    *ROLLOUTS,
    *MODEL,
    *BEHAVIOR,
    "NormalValue.layers=2",
    *bind("DynamicsBackprop", layers=2, units=64, discount=0.9, initial_std=1.0, minimum_std=0.1),
]
V1 = [*schedule(updates=300), *CONV, *GAUSSIAN, *BACKPROP]
PROPRIO = [*schedule(updates=300), *MLP, *GAUSSIAN, *BACKPROP]
TPC = [*schedule(updates=300), *CONV, *MEMORYLESS, *BACKPROP]
V2_WITHOUT_DYNAMICS = [
    *schedule(updates=350),
    *CONV,
    *ROLLOUTS,
    *bind("RewardHead", layers=2, units=64),
    *bind("MixedGradient", layers=2, units=64, discount=0.9),
    *bind("NormalValue", layers=2, units=64, slow_every=20),
    *(f"{group}/AdamW.learning_rate={rate}" for group, rate in (("model", 2e-3), ("actor", 1e-3), ("value", 2e-3))),
]
V2 = [*V2_WITHOUT_DYNAMICS, *bind("CategoricalRSSM", deterministic=64, groups=8, classes=8, hidden=64, free_nats=0.5)]
PRO = [*V2_WITHOUT_DYNAMICS, *GAUSSIAN, *SHIFT, *bind("Prototypes", prototypes=64, frozen_updates=100)]
REINFORCE = [
    "Agent.horizon=8",
    *bind("Reinforce", layers=2, discount=0.9),
    *bind("TwoHotValue", layers=2, slow_rate=0.1),
    *bind("LaProp", learning_rate=2e-3, warmup=20),
]
BLOCK = bind("BlockRSSM", deterministic=128, hidden=64, groups=8, classes=8, blocks=4, free_nats=0.5)
POOLED = ["size='1M'", *bind("MaxPoolConvEncoder", multipliers=(2, 3), kernel=3, depth=8)]
UPSAMPLED = bind("UpsampleImageHead", multipliers=(2, 3), kernel=3, depth=8, blocks=4)
V3_SCHEDULE = schedule(updates=450, batch=8, length=12, every=12)
V3 = [*V3_SCHEDULE, *POOLED, *BLOCK, *REINFORCE]
TRANSFORMER = bind("TransformerSSM", deterministic=64, hidden=64, layers=1, attention_heads=4, groups=8, classes=8, free_nats=0.5)
LONG = [*schedule(updates=1000, length=12), "Agent.horizon=4", "LaProp.learning_rate=1e-3"]
"""A task of memory takes longer: a target that is remembered in part earns nothing."""
TASKS: Final[Mapping[str, Task]] = {
    "dreamer_v1": Task("dreamer_v1", MEMORY, [*V1, *DECODED, *schedule(updates=600, length=12)]),
    "dreamer_v1_infonce": Task("dreamer_v1_infonce", CONTROL, [*V1, *schedule(updates=140)], fast=True),
    # Only the first observation shows the target, so that the reward alone trains the memory, and needs more weight than InfoNCE.
    "dreamer_v1_infonce, memory": Task(
        "dreamer_v1_infonce", MEMORY, [*V1, *schedule(updates=600, length=12), *bind("RewardHead", scale=10.0)]
    ),
    # The reward alone trains the latent: at the paper's weight its gain is smaller than the KL.
    "dreamer_v1_reward_only": Task("dreamer_v1_reward_only", CONTROL, [*V1, *schedule(updates=1000), *bind("RewardHead", scale=10.0)]),
    "dreamer_v1_distractors": Task("dreamer_v1_distractors", CONTROL, [*V1, *DECODED, *DISTRACTED]),
    "dreamer_v1_infonce_distractors": Task("dreamer_v1_infonce_distractors", CONTROL, [*V1, *DISTRACTED]),
    "dreamer_v1_infonce, choices": Task("dreamer_v1_infonce", CHOICES, V1),
    "dreamer_v1_cpc_window": Task("dreamer_v1_cpc_window", CONTROL, [*V1, *bind("RollingWindow", rows=4, times=8)]),
    "dreamer_v1_proprio": Task("dreamer_v1_proprio", NUMBERS, [*PROPRIO, *bind("VectorHead", layers=1, units=64)]),
    "dreamer_v1_infonce_proprio": Task("dreamer_v1_infonce_proprio", NUMBERS, PROPRIO),
    "cvrl": Task("cvrl", CONTROL, V1),
    "curl_in_latent": Task("curl_in_latent", CONTROL, [*V1, *SHIFT]),
    "plan2explore": Task(
        "plan2explore",
        CONTROL,
        [
            *V1,
            *DECODED,
            *schedule(updates=600),  # it explores longer: after 300 the actor of seed 0 had learned nothing
            *bind("Plan2Explore", members=4, layers=1, units=64, extrinsic=1.0, intrinsic=0.1),
        ],
    ),
    "tpc": Task("tpc", NOISE, TPC),
    "tpc_distractors": Task("tpc_distractors", CONTROL, [*TPC, *DISTRACTED]),
    "planet": Task(
        "planet",
        CONTROL,
        [
            *schedule(updates=180),
            *CONV,
            *GAUSSIAN,
            *DECODED,
            *MODEL,
            *bind("CEMPlanner", horizon=5, candidates=40, iterations=3, elites=8),
        ],
        fast=True,
    ),
    "latent_sac": Task(
        LATENT_SAC,
        CONTROL,
        [
            *schedule(updates=160),
            *CONV,
            *GAUSSIAN,
            *MODEL,
            *BEHAVIOR,
            "NormalValue.slow_rate=0.05",
            *bind("LatentSAC", units=64, discount=0.9, initial_temperature=0.1),
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
            *MODEL,
            *BEHAVIOR,
            "NormalValue.slow_rate=0.05",
            *bind("MPPIPlanner", units=64, discount=0.9, candidates=40, policy_plans=8, iterations=3, elites=8),
        ],
    ),
    "dreamer_v2": Task("dreamer_v2", MEMORY, [*V2, *DECODED, *schedule(updates=500, length=12)]),
    # Choices are explored by the entropy of the policy alone: at 1e-4 it is deterministic after 150 updates, before the model is accurate.
    "dreamer_v2, choices": Task("dreamer_v2", CHOICES, [*V2, *DECODED, "MixedGradient.entropy=0.1"]),
    "dreamer_pro": Task("dreamer_pro", NOISE, PRO),
    # Its reward's loss counts 1,000 times: with the updates of dreamer_pro it is not learned.
    "dreamer_pro_distractors": Task("dreamer_pro_distractors", CONTROL, [*PRO, *DISTRACTED, *schedule(updates=700)]),
    "dreamer_v3": Task("dreamer_v3", MEMORY, [*V3, *UPSAMPLED, *LONG]),
    "dreamer_v3, choices": Task("dreamer_v3", CHOICES, [*V3, *UPSAMPLED]),
    "dreamer_v3_proprio": Task(
        "dreamer_v3_proprio", NUMBERS, [*V3_SCHEDULE, *BLOCK, *REINFORCE, "MLPEncoder.layers=1", "VectorHead.layers=1"]
    ),
    "dreamer_v3_infonce": Task("dreamer_v3_infonce", CONTROL, V3),
    "r2dreamer": Task("r2dreamer", CONTROL, V3),
    "ne_dreamer": Task("ne_dreamer", CONTROL, [*V3, *bind("NextEmbedding", units=64, layers=1)]),
    "twister_cpc": Task(
        "twister_cpc",
        CONTROL,
        [
            *V3_SCHEDULE,
            *POOLED,
            *UPSAMPLED,
            *SHIFT,
            *TRANSFORMER,
            *REINFORCE,
            "ActionConditionedCPC.steps=3",
            *bind("SeparableCritic", units=64, size=32),
            "LaProp.learning_rate=1e-3",
            "Agent.horizon=5",
        ],
    ),
}
