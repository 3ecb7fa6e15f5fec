"""Dreamer V3 has the published number of parameters at each of its sizes, part by part, on the meta device.

The paper gives the names of the sizes alone. The released program prints exact counts when it starts, which are public for two settings.
Every other count follows from the same structure, written out below layer by layer, which reproduces those two.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from dm_env import specs
from torch import nn

from framework import composition
from framework.specs import Specs
from tests.members import ROOT

PIXELS = {"pixels": specs.BoundedArray((64, 64, 3), np.uint8, 0, 255)}
WALKER = {"height": specs.Array((), np.float32), "orientations": specs.Array((14,), np.float32), "velocity": specs.Array((9,), np.float32)}
SIX = specs.BoundedArray((6,), np.float32, -1.0, 1.0)

SIZES = {
    "1M": (512, 64, 4, 686_846),
    "12M": (2048, 256, 16, 10_494_158),
    "25M": (3072, 384, 24, 23_489_326),
    "50M": (4096, 512, 32, 41_650_062),
    "100M": (6144, 768, 48, 93_468_238),
    "200M": (8192, 1024, 64, 165_948_686),
    "400M": (12288, 1536, 96, 372_896_398),
}
"""The deterministic part; units everywhere; classes of each of 32 groups, of which channels are multiples too; all parameters."""

PRINTED_200M_PIXELS_17_CHOICES = {
    "encoder": 3_492_864,
    "dynamics": 95_495_168,
    "decoder": 20_282_115,
    "reward": 10_749_183,
    "continuation": 10_488_833,
    "actor": 12_606_481,
    "value": 12_850_431,
}
PRINTED_1M_WALKER_VECTORS = {
    "encoder": 10_112,
    "dynamics": 364_416,
    "decoder": 51_096,
    "reward": 57_663,
    "continuation": 41_153,
    "actor": 50_316,
    "value": 66_111,
}


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def layer(inputs: int, outputs: int) -> int:
    """With a root-mean-square norm: a scale, no offset."""
    return linear(inputs, outputs) + outputs


def published(deterministic: int, units: int, classes: int, actions: int) -> dict[str, int]:
    """Every layer of the released structure, for pixels and a continuous action."""
    stochastic, features = 32 * classes, deterministic + 32 * classes
    channels = [3, 2 * classes, 3 * classes, 4 * classes, 4 * classes]
    grid = 4 * 4 * channels[-1]
    block = deterministic // 8
    recurrence = layer(deterministic, units) + layer(stochastic, units) + layer(actions, units)
    recurrence += 8 * ((block + 3 * units) * block) + 2 * deterministic
    recurrence += 8 * (block * 3 * block) + 3 * deterministic
    prior = layer(deterministic, units) + layer(units, units) + linear(units, stochastic)
    posterior = layer(deterministic + grid, units) + linear(units, stochastic)
    start = 8 * (block * grid // 8) + grid + layer(stochastic, 2 * units) + linear(2 * units, grid) + channels[-1]
    downward = channels[:0:-1]
    return {
        "encoder": sum(layer(25 * size, following) for size, following in pairwise(channels)),
        "dynamics": recurrence + prior + posterior,
        "decoder": start + sum(layer(25 * size, following) for size, following in pairwise(downward)) + linear(25 * downward[-1], 3),
        "reward": layer(features, units) + linear(units, 255),
        "continuation": layer(features, units) + linear(units, 1),
        "actor": layer(features, units) + 2 * layer(units, units) + linear(units, 2 * actions),
        "value": layer(features, units) + 2 * layer(units, units) + linear(units, 255),
    }


def counted(recipe: str, size: str, observation: Mapping[str, specs.Array], action: specs.Array) -> dict[str, int]:
    """The parameters that our agent trains, part by part."""
    composed = composition.load(ROOT / "recipes" / f"{recipe}.gin", [f"size='{size}'"])
    with torch.device("meta"):
        agent = composed.root.keywords["agent"](specs=Specs(observation=observation, action=action))
    model, behavior = agent.world_model, agent.behavior
    parts: dict[str, nn.Module] = {
        "encoder": model.encoder,
        "dynamics": model.dynamics,
        "decoder": model.objectives,
        "reward": model.heads["reward"],
        "continuation": model.heads["continuation"],
        "actor": behavior.actor,
        "value": behavior.value,
    }
    assert all(each.device.type == "meta" for each in agent.parameters())
    counts = {name: sum(each.numel() for each in part.parameters() if each.requires_grad) for name, part in parts.items()}
    assert sum(counts.values()) == sum(agent.parameter_count().values())
    return counts


@pytest.mark.parametrize(
    ("recipe", "size", "observation", "action", "printed", "total"),
    [
        ("dreamer_v3", "200M", PIXELS, specs.DiscreteArray(17), PRINTED_200M_PIXELS_17_CHOICES, 165_965_075),
        ("dreamer_v3_proprio", "1M", WALKER, SIX, PRINTED_1M_WALKER_VECTORS, 640_867),
    ],
)
def test_every_part_has_the_parameters_that_the_released_program_prints(recipe, size, observation, action, printed, total):
    counts = counted(recipe, size, observation, action)
    assert counts == printed
    assert sum(counts.values()) == total


@pytest.mark.parametrize("size", [size if size in ("1M", "400M") else pytest.param(size, marks=pytest.mark.nightly) for size in SIZES])
def test_every_size_has_the_published_structure(size):
    *structure, total = SIZES[size]
    counts = counted("dreamer_v3", size, PIXELS, SIX)
    assert counts == published(*structure, actions=6)
    assert sum(counts.values()) == total


def test_the_structure_written_out_gives_the_printed_counts():
    """A choice has one output where a continuous action has two."""
    counts = published(*SIZES["200M"][:3], actions=17)
    counts["actor"] -= linear(1024, 2 * 17) - linear(1024, 17)
    assert counts == PRINTED_200M_PIXELS_17_CHOICES


def test_the_header_of_the_recipe_has_the_count_of_every_size():
    header = (ROOT / "gin" / "agents" / "dreamer_v3.gin").read_text()
    assert {path.stem for path in (ROOT / "gin" / "agents" / "dreamer_v3").glob("*.gin")} == {*SIZES}
    assert all(f"{total:,}" in header for *_, total in SIZES.values())
