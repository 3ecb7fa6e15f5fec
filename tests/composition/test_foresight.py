"""What the environment shows and takes is known to the check where the recipe says it, or where it can be asked quickly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.composition import check
from tests.programs import answer

Write = Callable[[str, str], Path]
GYMNASIUM = "include 'quickstart.gin'\ninclude 'environments/gymnasium.gin'\ninclude 'encoders/mlp_encoder.gin'\n"
OWN = """
import numpy as np
from dm_env import specs
from framework import environments


@environments.register
class OwnMaze(environments.Environment):
    derived = ("seed",)
    {asked}

    def __init__(self, *, seed: int, rooms: int = 3) -> None:
        if rooms == 7:
            raise RuntimeError("no such maze")
        self.rooms = rooms

    def reset(self): ...
    def step(self, action): ...

    def observation_spec(self):
        return {{"map": specs.Array((self.rooms,), np.float32), "compass": specs.Array((2,), np.float32)}}

    def action_spec(self):
        return specs.BoundedArray((2,), np.int64, 0, 3)
"""


def texts(recipe: str, *bindings: str) -> list[str]:
    return [str(problem) for problem in check(recipe, bindings)]


@pytest.mark.parametrize(
    ("task", "behavior", "words"),
    [
        ("CartPole-v1", "cem_planner", "CEMPlanner takes continuous actions, and the environment has discrete ones"),
        ("CartPole-v1", "mppi_planner", "MPPIPlanner takes continuous actions, and the environment has discrete ones"),
        ("CartPole-v1", "latent_sac", "LatentSAC takes continuous actions, and the environment has discrete ones"),
        ("CartPole-v1", "reinforce", ""),
        ("Pendulum-v1", "cem_planner", ""),
    ],
)
def test_a_behavior_takes_the_actions_of_a_gymnasium_task(task: str, behavior: str, words: str, write: Write) -> None:
    write("recipe.gin", f"{GYMNASIUM}include 'actor_critics/{behavior}.gin'\n\ntask = '{task}'\nAgent.imagination_starts = None\n")
    found = texts("recipe.gin")
    assert len(found) == bool(words), found
    assert all(words in text and text.endswith("bind another Agent.actor_critic.") for text in found)


def test_it_is_found_in_a_behavior_that_another_wraps(write: Write) -> None:
    lines = ["ActionNoise.of = @actor_critics.CEMPlanner", "Agent.optimizers = {'model': @model/optimizers.Adam}", "task = 'CartPole-v1'"]
    write("recipe.gin", GYMNASIUM + "Agent.actor_critic = @ActionNoise\n" + "\n".join(lines) + "\n")
    assert [text[:69] for text in texts("recipe.gin")] == ["recipe.gin:4: ActionNoise takes continuous actions, and the environme"]


def test_a_task_that_is_asked_says_itself_what_is_wrong(write: Write) -> None:
    write("recipe.gin", f"{GYMNASIUM}include 'actor_critics/reinforce.gin'\ntask = 'CartPol-v1'\nAgent.imagination_starts = None\n")
    assert "Gymnasium has no task 'CartPol-v1'; did you mean 'CartPole-v1'?" in texts("recipe.gin")[0]


NAMES = {
    "an observation that no encoder takes": (
        "Agent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'position': @MLPEncoder}",
        "No encoder takes the observation 'pixels': the patterns of MultiEncoder.encoders are ['position']; add 'pixels' or '*' to them.",
        4,
    ),
    "a pattern that takes nothing": (
        "Agent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'pixels': @ConvEncoder, 'depth': @MLPEncoder}",
        "The patterns ['depth'] of MultiEncoder.encoders take no observation; the observations are ['pixels']: remove what takes none.",
        4,
    ),
    "a decoder of what is not shown": (
        "include 'objectives/reconstruction.gin'\nReconstruction.decoders = {'depth': @ImageHead}",
        "Reconstruction.decoders names ['depth']; the observations are ['pixels']: bind a decoder for one of them, or for '*'.",
        4,
    ),
    "a vector of another task": (
        "DMControl.observe = 'proprioception'\nAgent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'height': @MLPEncoder}",
        "No encoder takes the observation 'position': the patterns of MultiEncoder.encoders are ['height']",
        5,
    ),
    "a vector where images are shown too": (
        "DMControl.observe = 'both'\nAgent.encoder = @MultiEncoder\n"
        "MultiEncoder.encoders = {'pixels': @ConvEncoder, 'position': @MLPEncoder}",
        "No encoder takes the observation 'velocity'",
        5,
    ),
    "an image behind what distracts": (
        "Run.environment = @Distractors\nDistractors.of = @DMControl\nAgent.encoder = @MultiEncoder\n"
        "MultiEncoder.encoders = {'position': @MLPEncoder}",
        "No encoder takes the observation 'pixels'",
        6,
    ),
    "an encoder of vectors for an image": ("Agent.encoder = @MLPEncoder", "MLPEncoder takes vectors and was given pixels", 3),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_finds(name: str, write: Write) -> None:
    lines, message, line = NAMES[name]
    write("recipe.gin", f"include 'quickstart.gin'\n\n{lines}\nAgent.scales = {SCALES[lines.startswith('include')]}\n")
    found = check("recipe.gin")
    assert len(found) == 1, "\n".join(map(str, found))
    assert message in found[0].message
    assert (found[0].file, found[0].line) == ("recipe.gin", line)


SCALES = {
    False: "{'kl': 0.5, 'reward': 3.0, 'infonce': 1.0}",
    True: "{'kl': 0.5, 'reward': 3.0, 'reconstruction': 1.0}",
}


@pytest.mark.parametrize(
    "lines",
    [
        "Agent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'pix*': @ConvEncoder}",
        "DMControl.observe = 'proprioception'\nAgent.encoder = @MultiEncoder\n"
        "MultiEncoder.encoders = {'position': @MLPEncoder, 'v*': @MLPEncoder}",
        "DMControl.observe = 'both'\nAgent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'pixels': @ConvEncoder, '*': @MLPEncoder}",
        "DMControl.observe = 'proprioception'\nAgent.encoder = @MLPEncoder",
    ],
)
def test_names_that_fit_are_accepted(lines: str, write: Write) -> None:
    write("recipe.gin", f"include 'quickstart.gin'\n{lines}\n")
    assert texts("recipe.gin") == []


@pytest.mark.parametrize(
    ("recipe", "size", "words"),
    [
        ("dreamer_v3", 84, "MaxPoolConvEncoder halves an image 4 times, and 84 x 84 is not divisible by 16"),
        ("dreamer_v3", 84, "UpsampleImageHead doubles its image 4 times, and 84 x 84 is not divisible by 16"),
        ("dreamer_v3", 96, ""),
        ("planet", 84, "ImageHead.kernels = (5, 5, 6, 6) make an image of 64 x 64, and the observation has 84 x 84"),
        ("planet", 64, ""),
        ("quickstart", 8, "ConvEncoder cannot take images of 8 x 8: after 1 of its"),
    ],
)
def test_images_are_of_a_size_that_divides(recipe: str, size: int, words: str) -> None:
    found = texts(recipe, f"DMControl.size = {size}")
    assert len([text for text in found if words in text]) == bool(words), found
    assert bool(found) == bool(words)


@pytest.mark.parametrize(("asked", "count"), [("asked_with = {}", 1), ("", 0)])
def test_an_environment_of_one_s_own_is_asked_if_it_says_so(asked: str, count: int, write: Write) -> None:
    name = f"own_maze_{count}"
    write(f"{name}.py", OWN.format(asked=asked).replace("OwnMaze", f"OwnMaze{count}"))
    lines = [f"import {name}", "include 'quickstart.gin'", f"Run.environment = @OwnMaze{count}", "Agent.encoder = @MultiEncoder"]
    write("recipe.gin", "\n".join([*lines, "MultiEncoder.encoders = {'map': @MLPEncoder}"]) + "\n")
    found = texts("recipe.gin")
    assert len(found) == count
    assert all("recipe.gin:5: No encoder takes the observation 'compass'" in text for text in found)
    broken = texts("recipe.gin", f"OwnMaze{count}.rooms = 7")
    assert len(broken) == count
    assert all(
        f"recipe.gin:3: OwnMaze{count} cannot be built, to ask what it shows (RuntimeError: no such maze)." in text for text in broken
    )


def test_the_suite_is_not_loaded_where_the_recipe_says_enough() -> None:
    asked = answer(
        "from framework.composition import check",
        "found = [check(name) for name in ('dreamer_v1_proprio', 'dreamer_v3_proprio', 'planet')]",
        "print(json.dumps([found, [name for name in ('torch', 'dm_control', 'gymnasium') if name in sys.modules]]))",
    )
    assert asked == [[[], [], []], []]


def test_what_is_asked_needs_no_torch() -> None:
    asked = answer(
        "from framework.composition import check",
        "bindings = [\"DMControl.observe = 'both'\", 'Agent.encoder = @MultiEncoder', \"MultiEncoder.encoders = {'p*': @MLPEncoder}\"]",
        "print(json.dumps([len(check('quickstart', bindings)), 'torch' in sys.modules]))",
    )
    assert asked == [1, False]
