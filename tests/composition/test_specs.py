"""Where two components must agree, the check names both and the binding that would mend it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from framework.composition import check
from framework.composition.specs import RULES
from tests.members import ROOT

Write = Callable[[str, str], Path]
QUICKSTART = ROOT / "recipes" / "quickstart.gin"
LATENT_AND_OBSERVATION = """
from framework import critics, dynamics
from framework.critics.bilinear_critic import BilinearCritic
from framework.dynamics.gaussian_rssm import GaussianRSSM


@critics.register
class SpecObservationDensity(critics.Critic):
    normalized_over = "observation"
    takes_latent = ("categorical",)
    __init__ = BilinearCritic.__init__
    score = BilinearCritic.score
"""

MISMATCHES = {
    "a loss without a scale": (
        "Agent.scales = {'kl': 1.0, 'reward': 1.0}",
        "the loss 'infonce' of @objectives.InfoNCE has no scale in Agent.scales; add 'infonce': 1.0",
    ),
    "a head without a scale": (
        "Agent.heads = {'reward': @heads.RewardHead, 'continuation': @heads.ContinuationHead}",
        "the loss 'continuation' of Agent.heads (@heads.ContinuationHead) has no scale in Agent.scales; add 'continuation': 1.0",
    ),
    "a scale without a loss": (
        "Agent.scales = {'kl': 1.0, 'reward': 1.0, 'infonce': 1.0, 'pixels': 1.0}",
        "Agent.scales has 'pixels', and no component gives such a loss: 'kl' comes from @dynamics.GaussianRSSM",
    ),
    "a loss of two components": (
        "Agent.objectives = [@objectives.InfoNCE, @second/objectives.InfoNCE]",
        "two components give a loss named 'infonce': @objectives.InfoNCE and @second/objectives.InfoNCE",
    ),
    "no reward": (
        "Agent.heads = {'rewards': @heads.RewardHead}\nAgent.scales = {'kl': 1.0, 'rewards': 1.0, 'infonce': 1.0}",
        "Agent.heads has no 'reward', which imagination needs; add 'reward': @heads.RewardHead",
    ),
    "a group without an optimizer": (
        "Agent.optimizers = {'model': @model/optimizers.Adam, 'actor': @actor/optimizers.Adam}",
        "the parameters 'value' of DynamicsBackprop have no optimizer; add 'value': @value/optimizers.Adam to Agent.optimizers",
    ),
    "an optimizer without a group": (
        "Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam, 'value': @value/Adam, 'critic': @value/Adam}",
        "Agent.optimizers has 'critic', and @actor_critics.DynamicsBackprop has no such group: the groups are model, actor, value",
    ),
    "a wrapper's group without an optimizer": (
        "Agent.actor_critic = @actor_critics.Plan2Explore\nPlan2Explore.of = @actor_critics.DynamicsBackprop",
        "the parameters 'ensemble' of Plan2Explore have no optimizer; add 'ensemble': @ensemble/optimizers.Adam to Agent.optimizers",
    ),
    "a wrapped behavior's group without an optimizer": (
        "Agent.actor_critic = @actor_critics.ActionNoise\nActionNoise.of = @actor_critics.DynamicsBackprop\n"
        "Agent.optimizers = {'model': @model/optimizers.Adam, 'actor': @actor/optimizers.Adam}",
        "the parameters 'value' of DynamicsBackprop have no optimizer; add 'value': @value/optimizers.Adam to Agent.optimizers",
    ),
    "an optimizer without a group in a wrapper": (
        "Agent.actor_critic = @actor_critics.ActionNoise\nActionNoise.of = @actor_critics.CEMPlanner",
        "Agent.optimizers has 'actor', and @actor_critics.ActionNoise has no such group: the groups are model; remove 'actor' from it.",
    ),
    "rollouts from some of the steps that a value learns from": (
        "Agent.actor_critic = @actor_critics.Reinforce\nReinforce.value = @values.TwoHotValue\nAgent.imagination_starts = 96",
        "Reinforce.replay_value = 0.3 needs a rollout from every replayed step, and Agent.imagination_starts = 96; bind "
        "Agent.imagination_starts = None, or Reinforce.replay_value = 0.0.",
    ),
    "a density over latents on columns": (
        "InfoNCE.axis = 'column'",
        "InfoNCE.axis = 'column' does not go with @critics.GaussianCritic, a density normalized over the latent: the bound would be wrong "
        "by nats; bind InfoNCE.axis = 'row', or 'column_as_released' to ask for this pair by name.",
    ),
    "a density over latents on both axes": ("InfoNCE.axis = 'symmetric'", "bind InfoNCE.axis = 'row'."),
    "a density over observations on rows": (
        "InfoNCE.critic = @critics.SpecObservationDensity",
        "InfoNCE.axis = 'row' does not go with @critics.SpecObservationDensity, a density normalized over the observation",
    ),
    "a critic of another latent": (
        "InfoNCE.critic = @critics.SpecObservationDensity\nInfoNCE.axis = 'column'",
        "@critics.SpecObservationDensity takes a latent that is categorical, and @dynamics.GaussianRSSM gives a gaussian one; "
        "bind another InfoNCE.critic or another Agent.dynamics.",
    ),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_it_finds(name: str, write: Write) -> None:
    lines, message = MISMATCHES[name]
    write("spec_plugin.py", LATENT_AND_OBSERVATION)
    write("recipe.gin", f"import spec_plugin\ninclude 'agent.gin'\n{lines}\n")
    found = [str(problem) for problem in check("recipe.gin", root="parts.Agent")]
    fitting = [text for text in found if message in text]
    assert len(fitting) == 1, found
    named = re.match(r"(\S+):(\d+): ", fitting[0])
    assert named is not None
    assert named[1] in ("recipe.gin", "agent.gin")


@pytest.mark.parametrize("axis", ["row", "column_as_released"])
def test_a_density_over_latents_goes_with(axis: str, write: Write) -> None:
    write("recipe.gin", f"include 'agent.gin'\nInfoNCE.axis = '{axis}'\n")
    assert check("recipe.gin", root="parts.Agent") == []


@pytest.mark.parametrize("axis", ["row", "column", "symmetric"])
def test_a_score_that_is_no_density_goes_with(axis: str, write: Write) -> None:
    bindings = [f"InfoNCE.axis = '{axis}'", "InfoNCE.critic = @critics.BilinearCritic"]
    assert check("agent.gin", bindings, root="parts.Agent") == []


def test_a_wrong_axis_is_found_on_its_own_line(write: Write) -> None:
    write("recipe.gin", "include 'agent.gin'\n\nInfoNCE.axis = 'column'\n")
    problem = check("recipe.gin", root="parts.Agent")[0]
    assert (problem.file, problem.line) == ("recipe.gin", 3)


def test_the_groups_of_a_wrapper_are_those_of_all_that_it_wraps(write: Write) -> None:
    lines = [
        "include 'agent.gin'",
        "Agent.actor_critic = @actor_critics.ActionNoise",
        "ActionNoise.of = @actor_critics.Plan2Explore",
        "Plan2Explore.of = @actor_critics.DynamicsBackprop",
        "Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam, 'value': @value/Adam, 'ensemble': @actor/Adam}",
    ]
    write("recipe.gin", "\n".join(lines))
    assert check("recipe.gin", root="parts.Agent") == []


@pytest.mark.parametrize("lines", ["Agent.imagination_starts = None", "Agent.imagination_starts = 96\nReinforce.replay_value = 0.0"])
def test_a_value_that_learns_from_replayed_steps_goes_with(lines: str, write: Write) -> None:
    behavior = "Agent.actor_critic = @actor_critics.Reinforce\nReinforce.value = @values.TwoHotValue"
    write("recipe.gin", f"include 'agent.gin'\n{behavior}\n{lines}\n")
    assert check("recipe.gin", root="parts.Agent") == []


def test_negatives_of_the_replay_have_their_draws() -> None:
    recipe, bindings = QUICKSTART, ["InfoNCE.negatives = @UniformSubset", "UniformSubset.of = @negatives.ReplayNegatives"]
    found = [str(problem) for problem in check(recipe, bindings)]
    assert len(found) == 1, found
    assert "@negatives.ReplayNegatives needs draws of their own, and Replay.extra = 0; bind Replay.extra = 256" in found[0]
    assert check(recipe, [*bindings, "Replay.extra = 16"]) == []


@pytest.mark.parametrize(("critic", "count"), [("BilinearCritic", 1), ("CosineCritic", 0)])
def test_unit_vectors_are_there_to_be_mixed(critic: str, count: int, write: Write) -> None:
    write("recipe.gin", f"include 'quickstart.gin'\ninclude 'negatives/mixed_negatives.gin'\nInfoNCE.critic = @critics.{critic}\n")
    found = [str(problem) for problem in check("recipe.gin") if "unit vectors" in str(problem)]
    assert len(found) == count
    assert all("MoCHi mixes unit vectors, and @critics.BilinearCritic has none; bind InfoNCE.critic" in text for text in found)


TWO_VIEWS = """
include 'agent.gin'
include 'objectives/prototypes.gin'
Agent.scales = {
    'kl': 1.0, 'reward': 1.0, 'swapped_prototypes': 1.0, 'temporal_prototypes': 1.0, 'projection_norm': 0.0,
}
"""


def test_two_views_need_an_encoder_that_augments(write: Write) -> None:
    write("recipe.gin", TWO_VIEWS)
    found = [str(problem) for problem in check("recipe.gin", root="parts.Agent") if "views" in str(problem)]
    assert len(found) == 1
    assert "@objectives.Prototypes compares two augmented views of a batch, and @encoders.ConvEncoder augments nothing" in found[0]
    assert "bind Agent.encoder = @encoders.RandomShift and RandomShift.encoder = @encoders.ConvEncoder" in found[0]


@pytest.mark.parametrize(
    "bindings",
    [
        ["Agent.encoder = @encoders.RandomShift", "RandomShift.encoder = @encoders.ConvEncoder"],
        [
            "Agent.encoder = @encoders.MultiEncoder",
            "MultiEncoder.encoders = {'*': @encoders.RandomShift}",
            "RandomShift.encoder = @encoders.ConvEncoder",
        ],
    ],
)
def test_one_that_augments_may_be_inside_another(bindings: list[str], write: Write) -> None:
    write("recipe.gin", TWO_VIEWS)
    assert [str(problem) for problem in check("recipe.gin", bindings, root="parts.Agent") if "views" in str(problem)] == []


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("absent", "Distractors.background = 'absent', but there is no such folder; bind a folder with such files, or 'procedural'."),
        ("empty", "Distractors.background = 'empty', but there is no file in it that ends in .avi, .gif,"),
        ("broken", "Distractors.background: 'broken/CLIP.MP4' cannot be read"),
        ("images", ""),
        ("procedural", ""),
    ],
)
def test_a_folder_is_there_and_holds_what_is_read(folder: str, words: str, write: Write) -> None:
    write("empty/notes.txt", "")
    write("broken/CLIP.MP4", "no film")
    image = write("images/below/sky.PNG", "")
    Image.new("RGB", (3, 2)).save(image)
    write("recipe.gin", f"include 'quickstart.gin'\ninclude 'environments/distractors.gin'\nDistractors.background = '{folder}'\n")
    found = [str(problem) for problem in check("recipe.gin")]
    assert len(found) == bool(words)
    assert all(text.startswith(f"recipe.gin:3: {words}") for text in found)


def test_every_rule_says_what_it_asks() -> None:
    assert len(RULES) == 14
    assert all(rule.__doc__ for rule in RULES)
