"""A recipe that reads well but cannot be built is refused in one sentence, at the binding that caused it, before anything runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from framework.composition import load
from framework.composition.command_line import quoted
from framework.composition.factory import ComponentFactory
from framework.errors import UserError
from framework.registry import registry_of
from framework.testing.samples import LATENT, OBSERVATIONS, behavior_sizes, objective_sizes
from framework.training.checks import check
from tests.cli.calls import TINY
from tests.members import SMALL

Write = Callable[[str, str], Path]
PLUGIN = """
import numpy as np
from dm_env import specs
from framework import critics, environments, negatives
from framework.specs import LatentSpec
from framework.errors import UserError


@critics.register
class RefusalDensity(critics.Critic):
    cost = "none"
    normalized_over = "observation"
    takes_latent = ("categorical",)

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings): ...


@negatives.register
class RefusalNegatives(negatives.Negatives):
    def __init__(self, *, steps: int = 3) -> None:
        super().__init__()
        at_most(5, steps)

    def choose(self, contrast, key):
        if contrast.anchors.times > 6:
            raise UserError("RefusalNegatives takes sequences of at most 6 steps; bind a smaller Replay.length.")
        return contrast


def at_most(limit: int, steps: int) -> None:
    if steps > limit:
        raise UserError(f"RefusalNegatives.steps = {steps} must be at most {limit}.")


@environments.register
class RefusalMaze(environments.Environment):
    derived = ("seed",)

    def __init__(self, *, seed: int, rooms: int = 3) -> None:
        if rooms == 7:
            raise UserError("RefusalMaze.rooms = 7 is no maze.")
        self.rooms = rooms

    def reset(self): ...
    def step(self, action): ...

    def observation_spec(self):
        return {"map": specs.Array((self.rooms,), np.float32), "compass": specs.Array((2,), np.float32)}

    def action_spec(self):
        return specs.BoundedArray((2,), np.int64, 0, 3)
"""
INFONCE = "Agent.objectives = [@InfoNCE]\n"
REINFORCE = "Agent.actor_critic = @Reinforce\nReinforce.value = @TwoHotValue\n"
DISTRACTORS = "Run.environment = @Distractors\nDistractors.of = @DMControl\nDMControl.task = 'cartpole_swingup'\n"
GYMNASIUM = "Run.environment = @Gymnasium\nAgent.encoder = @MLPEncoder\n"
ROOM = "Gymnasium.task = 'tests.environments.gymnasium_tasks:Room-v0'\n"
CONTROL = "Run.environment = @DMControl\nDMControl.task = 'cartpole_swingup'\nAgent.encoder = @ConvEncoder\n"
VECTORS = CONTROL + "DMControl.observe = 'proprioception'\nAgent.encoder = @MultiEncoder\n"

REFUSALS: Mapping[str, tuple[str, int, str]] = {
    # Losses, heads, groups.
    "a loss of two components": (
        "Agent.objectives = [@InfoNCE, @second/InfoNCE]",
        1,
        "Two parts of the agent give a loss named ['infonce']; keep one of them in Agent.heads and Agent.objectives",
    ),
    "no reward": ("Agent.heads = {'rewards': @RewardHead}", 1, "Agent.heads has no 'reward', which imagination needs"),
    "a group without an optimizer": ("Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam}", 1, "Agent.optimizers has"),
    "an optimizer without a group": (
        "Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam, 'value': @value/Adam, 'critic': @value/Adam}",
        1,
        "the groups of parameters with DynamicsBackprop are ['actor', 'model', 'value']",
    ),
    "a wrapper's group without an optimizer": (
        "Agent.actor_critic = @Plan2Explore\nPlan2Explore.of = @DynamicsBackprop\n"
        "Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam, 'value': @value/Adam}",
        3,
        "the groups of parameters with Plan2Explore are ['actor', 'ensemble', 'model', 'value']",
    ),
    "rollouts from some of the steps that a value learns from": (
        REINFORCE + "Agent.imagination_starts = 6",
        3,
        "Reinforce.replay_value = 0.3 needs a rollout from each of the 24 replayed steps, and there are 6; bind "
        "Agent.imagination_starts = None, or Reinforce.replay_value = 0.0.",
    ),
    # Critics, strategies and bounds.
    "a density over latents on columns": (
        "InfoNCE.critic = @GaussianCritic\nInfoNCE.axis = 'column'",
        2,
        "InfoNCE.axis = 'column' does not fit GaussianCritic, a density over the latent: off its own axis the bound is wrong by nats; "
        "bind InfoNCE.axis = 'row', or 'column_as_released' to ask for it by name.",
    ),
    "a density over latents on both axes": (
        "InfoNCE.axis = 'symmetric'\nInfoNCE.critic = @GaussianCritic",
        1,
        "bind InfoNCE.axis = 'row'",
    ),
    "a density over observations on rows": (
        "Agent.dynamics = @CategoricalRSSM\nInfoNCE.critic = @RefusalDensity",
        2,
        "InfoNCE.axis = 'row' does not fit RefusalDensity, a density over the observation",
    ),
    "a critic of another latent": (
        "InfoNCE.critic = @RefusalDensity\nInfoNCE.axis = 'column'",
        1,
        "RefusalDensity takes a latent that is categorical, and the dynamics gives a gaussian one; bind another critic or another "
        "Agent.dynamics.",
    ),
    "a Gaussian critic of a categorical latent": (
        "InfoNCE.critic = @GaussianCritic\nAgent.dynamics = @CategoricalRSSM",
        1,
        "GaussianCritic takes a latent that is gaussian, and the dynamics gives a categorical one",
    ),
    "negatives of the replay without draws": (
        "InfoNCE.negatives = @UniformSubset\nUniformSubset.of = @ReplayNegatives\nUniformSubset.candidates = 9",
        2,
        "ReplayNegatives needs steps of their own from the replay; bind Replay.extra_candidates = 256",
    ),
    "mixed vectors of a critic without any": (
        "InfoNCE.negatives = @MoCHi",
        1,
        "MoCHi mixes unit vectors, and BilinearCritic has none; bind InfoNCE.critic = @critics.CosineCritic.",
    ),
    "two views without an augmentation": (
        "Agent.objectives = [@Prototypes]",
        1,
        "Prototypes compares two augmented views of a batch, and MultiEncoder augments nothing",
    ),
    "a bound from above": ("InfoNCE.bound = @LeaveOneOut", 1, "LeaveOneOut bounds from above, and cannot be trained"),
    "a bound that joins anchors in blocks": (
        "InfoNCE.bound = @SMILE\nInfoNCE.chunk_above = 23",
        2,
        "SMILE joins all anchors of a batch, and 4 x 6 steps are more than InfoNCE.chunk_above = 23",
    ),
    "a bound that joins anchors inside another": (
        "InfoNCE.bound = @Penalized\nPenalized.of = @SMILE\nInfoNCE.chunk_above = 23",
        3,
        "joins all anchors of a batch, and 4 x 6 steps are more than InfoNCE.chunk_above = 23",
    ),
    "a share that is none": ("InfoNCE.negatives = @Debiased\nDebiased.positive_share = 1.0", 2, "Debiased.positive_share = 1.0 must be"),
    # Candidates of a batch.
    "more candidates than a batch has": (
        "InfoNCE.negatives = @UniformSubset\nUniformSubset.candidates = 25",
        2,
        "UniformSubset.candidates = 25, and there are 24 candidates; bind from 2 to 24, or a larger Replay.batch or Replay.length.",
    ),
    "more negatives than a batch has": (
        "InfoNCE.negatives = @TopK\nTopK.count = 24",
        2,
        "TopK.count = 24, and there are 23 negatives; bind from 1 to 23, or a larger Replay.batch or Replay.length.",
    ),
    "a mixture of more negatives than a batch has": (
        "InfoNCE.negatives = @WithinCrossMixture\nWithinCrossMixture.count = 24",
        2,
        "WithinCrossMixture.count = 24, and there are 23 negatives; bind from 1 to 23, or a larger",
    ),
    "more candidates than a batch has, inside a queue": (
        "InfoNCE.negatives = @MemoryQueue\nMemoryQueue.of = @UniformSubset\nUniformSubset.candidates = 25",
        3,
        "UniformSubset.candidates = 25",
    ),
    "other rows within a row": (
        "InfoNCE.negatives = @CrossSequence\nCrossSequence.of = @WithinSequence",
        1,
        "InfoNCE.negatives leaves no anchor a negative: CrossSequence of WithinSequence keeps nothing but the positives of 4 x 6 steps",
    ),
    "the same time within a row": (
        "InfoNCE.negatives = @SameTimestep\nSameTimestep.of = @WithinSequence",
        1,
        "leaves no anchor a negative: SameTimestep of WithinSequence",
    ),
    "other rows of one row": ("InfoNCE.negatives = @CrossSequence\nReplay.batch = 1", 1, "leaves no anchor a negative: CrossSequence"),
    "the same time of one row": ("InfoNCE.negatives = @SameTimestep\nReplay.batch = 1", 1, "leaves no anchor a negative: SameTimestep"),
    "one step within a row": ("InfoNCE.negatives = @WithinSequence\nReplay.length = 1", 1, "leaves no anchor a negative: WithinSequence"),
    "a batch of one step": (
        "InfoNCE.negatives = @InBatch\nReplay.batch = 1\nReplay.length = 1",
        1,
        "leaves no anchor a negative: InBatch",
    ),
    # Sequences.
    "an offset past the sequence": (
        "InfoNCE.offsets = (9,)",
        1,
        "and sequences are 6 steps long",
    ),
    "a horizon past the sequence": (
        "Agent.objectives = [@NextEmbedding]\nNextEmbedding.horizon = 6",
        2,
        "NextEmbedding.horizon = 6",
    ),
    "a warm-up of a whole sequence": (
        "Agent.objectives = [@Prototypes]\nPrototypes.warm_up = 6\nAgent.encoder = @RandomShift\nRandomShift.encoder = @MultiEncoder",
        2,
        "Prototypes.warm_up = 6, and sequences are 6 steps long",
    ),
    # The run.
    "a setting of the run": ("Run.seed = -1", 1, "Run.seed = -1 at least 0"),
    "no patience with environments": ("Run.environment_timeout = 0.0", 1, "Run.environment_timeout = 0.0 more than 0 seconds"),
    "no error of environments": (
        "Run.max_environment_errors = 0",
        1,
        "Run.max_environment_errors = 0 and Run.log_every = ",
    ),
    "no steps of an evaluation": ("Evaluation.max_steps = 0", 1, "Evaluation.max_steps = 0 must all be at least 1"),
    "no sequence in a batch": ("Replay.batch = 0", 1, "Replay.batch is 0; bind a whole number of at least 1"),
    "a replay too large": ("Replay.capacity = 10000000000", 1, "GB of memory (10,000,000,000 steps x "),
    "a replay too small": ("Run.environments = 4\nReplay.capacity = 20", 2, "leaves 5 steps to each of 4 environments"),
    "a prefill longer than the run": (
        "Trainer.steps = 29",
        1,
        "Trainer.steps = 29 end before the first update: the prefill takes 30 environment steps, and one sequence of Replay.length = 6 "
        "takes 6 in 1 environments with an action repeat of 1; bind more Trainer.steps, or a smaller Trainer.prefill and Replay.length.",
    ),
    "a sequence longer than the run": (
        "Trainer.prefill = 0\nRun.environments = 3\nTrainer.steps = 17",
        3,
        "one sequence of Replay.length = 6 takes 18 in 3 environments",
    ),
    "a sequence longer than the run, action repeats counted": (
        CONTROL + "DMControl.action_repeat = 8\nTrainer.prefill = 0\nTrainer.steps = 47",
        6,
        "takes 48 in 1 environments with an action repeat of 8",
    ),
    # Environments and observations.
    "an action held for no step": (CONTROL + "DMControl.action_repeat = 0", 4, "DMControl.action_repeat = 0 must be at least 1"),
    "a task with a typing error": (CONTROL.replace("cartpole", "cartpol"), 2, "did you mean 'cartpole_swingup'"),
    "a task that a macro names": (
        "Run.environment = @DMControl\nDMControl.task = %TASK\nTASK = 'cartpole_swngup'\nAgent.encoder = @ConvEncoder",
        2,
        "DMControl.task: the control suite has no task 'cartpole_swngup'; did you mean 'cartpole_swingup'?",
    ),
    "rollouts from no step": ("Agent.imagination_starts = 0", 1, "Agent.imagination_starts = 0 must be at least 1, or None"),
    "no step between checkpoints": ("Checkpoints.every = 0", 1, "Checkpoints.every is 0; bind a whole number of at least 1."),
    "no stochastic part": ("GaussianRSSM.stochastic = 0", 1, "GaussianRSSM.stochastic = 0 is too small to be built ("),
    "a negative stochastic part": ("GaussianRSSM.stochastic = -3", 1, "GaussianRSSM.stochastic = -3 is too small to be built ("),
    "no deterministic part": ("GaussianRSSM.deterministic = 0", 1, "GaussianRSSM.deterministic = 0 is too small to be built ("),
    "no hidden units": ("RewardHead.units = 0", 1, "RewardHead.units = 0 is too small to be built ("),
    "a negative number of layers": ("RewardHead.layers = -1", 1, "(a negative number of layers, -1); bind larger sizes."),
    "no channels": ("ConvEncoder.channels = (0,)", 1, "ConvEncoder.channels = 0 is too small to be built ("),
    "a kernel of no pixels": ("ConvEncoder.kernel = 0", 1, "ConvEncoder.kernel = 0 is too small to be built ("),
    "an embedding of no numbers": ("MLPEncoder.size = 0", 1, "MLPEncoder.size = 0 is too small to be built ("),
    "no blocks": (
        "Agent.dynamics = @BlockRSSM\nBlockRSSM.blocks = 0",
        2,
        "BlockRSSM.blocks = 0 is too small to be built (integer modulo by zero); bind larger sizes.",
    ),
    "a task that Gymnasium has not": (
        GYMNASIUM + "Gymnasium.task = 'CartPol-v1'",
        3,
        "Gymnasium has no task 'CartPol-v1'; did you mean 'CartPole-v1'?",
    ),
    "a script's own task without its module": (
        GYMNASIUM + "Gymnasium.task = 'Maze-v0'",
        3,
        "names the module that registers it, 'my_module:Maze-v0', so that workers import it too.",
    ),
    "an integer action of full range": (
        GYMNASIUM + ROOM + "Gymnasium.arguments = {'takes': 'full range'}",
        3,
        "declares 'action' as int32 of shape (2,) from -2147483648 to 2147483647: 8,589,934,592 options, and at most 65,536 fit",
    ),
    "stacked images": (
        GYMNASIUM + ROOM + "Gymnasium.arguments = {'shows': 'stack'}",
        3,
        "declares 'observation' as uint8 of shape (4, 12, 8, 3), and an image has the axes height, width and channel: show the newest",
    ),
    "a behavior without discrete actions": (
        GYMNASIUM + "Gymnasium.task = 'CartPole-v1'\nAgent.actor_critic = @CEMPlanner\nAgent.optimizers = {'model': @model/Adam}",
        4,
        "CEMPlanner takes continuous actions, and the environment has discrete ones; bind another Agent.actor_critic.",
    ),
    "a wrapped behavior without discrete actions": (
        GYMNASIUM + "Gymnasium.task = 'CartPole-v1'\nAgent.actor_critic = @ActionNoise\nActionNoise.of = @CEMPlanner",
        4,
        "ActionNoise takes continuous actions, and the environment has discrete ones",
    ),
    "an environment that refuses its settings": (
        "Run.environment = @RefusalMaze\nAgent.encoder = @MLPEncoder\nRefusalMaze.rooms = 7",
        3,
        "RefusalMaze.rooms = 7 is no maze.",
    ),
    "an observation of one's own environment that no encoder takes": (
        "Run.environment = @RefusalMaze\nMultiEncoder.encoders = {'map': @MLPEncoder}",
        2,
        "No encoder takes the observation 'compass'",
    ),
    "an observation that no encoder takes": (
        "MultiEncoder.encoders = {'count': @MLPEncoder}",
        1,
        "No encoder takes the observation 'pixels': the patterns of MultiEncoder.encoders are ['count']; add 'pixels' or '*' to them.",
    ),
    "a pattern that takes nothing": (
        "MultiEncoder.encoders = {'pixels': @ConvEncoder, 'count': @MLPEncoder, 'depth': @MLPEncoder}",
        1,
        "The patterns ['depth'] of MultiEncoder.encoders take no observation of ['count', 'pixels']",
    ),
    "a decoder of what is not shown": (
        "Agent.objectives = [@Reconstruction]\nReconstruction.decoders = {'depth': @ImageHead}",
        2,
        "Reconstruction.decoders names ['depth']; the observations are ['count', 'pixels']",
    ),
    "a vector of another task": (
        VECTORS + "MultiEncoder.encoders = {'height': @MLPEncoder}",
        6,
        "No encoder takes the observation 'position': the patterns of MultiEncoder.encoders are ['height']",
    ),
    "an encoder of vectors for an image": (
        CONTROL.replace("@ConvEncoder", "@MLPEncoder"),
        3,
        "MLPEncoder takes vectors and was given pixels",
    ),
    "an image that is too small": (
        CONTROL + "DMControl.size = 2\nConvEncoder.channels = (4, 4)",
        5,
        "ConvEncoder cannot take images of 2 x 2",
    ),
    "an image that does not divide": (
        CONTROL + "DMControl.size = 84\nAgent.encoder = @MaxPoolConvEncoder",
        5,
        "MaxPoolConvEncoder halves an image 4 times, and 84 x 84 is not divisible by 16",
    ),
    "a decoder of another size": (
        CONTROL + "DMControl.size = 84\nAgent.objectives = [@Reconstruction]\nReconstruction.decoders = {'pixels': @ImageHead}",
        6,
        "make an image of 64 x 64, and the observation has 84 x 84",
    ),
    "a color out of range": (
        DISTRACTORS + "Distractors.color = 2.0",
        4,
        "Distractors.color = 2 is out of range; bind a number from 0 to 1",
    ),
    "a folder that is not there": (DISTRACTORS + "Distractors.background = 'absent'", 4, "there is no folder 'absent'"),
    "a folder without films": (DISTRACTORS + "Distractors.background = 'empty'", 4, "the folder 'empty' holds no video or image (.avi,"),
    "a film that cannot be read": (DISTRACTORS + "Distractors.background = 'broken'", 4, "'broken/CLIP.MP4' cannot be read"),
    # Components of one's own.
    "a setting of one's own component": ("InfoNCE.negatives = @RefusalNegatives\nRefusalNegatives.steps = 6", 2, "must be at most 5"),
    "a batch that one's own component refuses": (
        "InfoNCE.negatives = @RefusalNegatives\nReplay.length = 7",
        2,
        "RefusalNegatives takes sequences of at most 6 steps",
    ),
}
ACCEPTED = {
    "nothing": "",
    "a density over latents on rows": "InfoNCE.critic = @GaussianCritic",
    "a density over latents on columns, by name": "InfoNCE.critic = @GaussianCritic\nInfoNCE.axis = 'column_as_released'",
    "a score that is no density on both axes": "InfoNCE.axis = 'symmetric'",
    "another objective by one binding": "Agent.objectives = [@BarlowTwins]",
    "the groups of all that a wrapper wraps": "Agent.actor_critic = @ActionNoise\nActionNoise.of = @Plan2Explore\n"
    "Plan2Explore.of = @DynamicsBackprop\n"
    "Agent.optimizers = {'model': @model/Adam, 'actor': @actor/Adam, 'value': @value/Adam, 'ensemble': @actor/Adam}",
    "a value that learns from all replayed steps": REINFORCE + "Agent.imagination_starts = None",
    "a value that learns from no replayed step": REINFORCE + "Agent.imagination_starts = 6\nReinforce.replay_value = 0.0",
    "negatives of the replay with draws": "InfoNCE.negatives = @ReplayNegatives\nReplay.extra_candidates = 16",
    "as many candidates as a batch has": "InfoNCE.negatives = @UniformSubset\nUniformSubset.candidates = 24",
    "more candidates than a batch has, around a queue": "InfoNCE.negatives = @UniformSubset\nUniformSubset.of = @MemoryQueue\n"
    "UniformSubset.candidates = 25",
    "one row within itself": "InfoNCE.negatives = @WithinSequence\nReplay.batch = 1",
    "one step of other rows": "InfoNCE.negatives = @CrossSequence\nReplay.length = 1",
    "other rows of one row beside a queue": "InfoNCE.negatives = @MemoryQueue\nMemoryQueue.of = @CrossSequence\nReplay.batch = 1",
    "a bound that joins anchors of a whole matrix": "InfoNCE.bound = @SMILE\nInfoNCE.chunk_above = 24",
    "a bound of single anchors in blocks": "InfoNCE.bound = @NWJ\nInfoNCE.chunk_above = 23",
    "an encoder inside one that augments": "Agent.encoder = @RandomShift\nRandomShift.encoder = @MultiEncoder\n"
    "Agent.objectives = [@Prototypes]",
    "a run of one update": "Trainer.prefill = 0\nTrainer.steps = 6",
    "vectors by patterns": VECTORS + "MultiEncoder.encoders = {'position': @MLPEncoder, 'v*': @MLPEncoder}",
    "a discrete action": GYMNASIUM + "Gymnasium.task = 'CartPole-v1'\n" + REINFORCE + "Agent.imagination_starts = None",
    "an image in a folder": DISTRACTORS + "Distractors.background = 'images'\nAgent.encoder = @ConvEncoder",
}


@pytest.fixture
def recipe(write: Write) -> Callable[[str], str]:
    """Write a recipe that adds lines to the tiny one; the first of them has the number 3."""
    write("refusal_plugin.py", PLUGIN)
    write("tiny.gin", TINY.read_text())
    write("empty/notes.txt", "")
    write("broken/CLIP.MP4", "no film")
    Image.new("RGB", (3, 2)).save(write("images/below/sky.PNG", ""))

    def write_recipe(lines: str) -> str:
        last = {line.partition(" = ")[0]: line for line in lines.splitlines()}
        kept = [line if last[line.partition(" = ")[0]] == line else "# replaced below" for line in lines.splitlines()]
        write("recipe.gin", "import refusal_plugin\ninclude 'tiny.gin'\n" + "\n".join(kept) + "\n")
        return "recipe.gin"

    return write_recipe


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses(name: str, recipe: Callable[[str], str]) -> None:
    lines, number, words = REFUSALS[name]
    problems = check(recipe(lines))
    assert [(problem.file, problem.line) for problem in problems] == [("recipe.gin", 2 + number)], "\n".join(map(str, problems))
    assert words in problems[0].message


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_accepts(name: str, recipe: Callable[[str], str]) -> None:
    assert [str(problem) for problem in check(recipe(ACCEPTED[name]))] == []


def test_independent_refusals_come_together(recipe: Callable[[str], str]) -> None:
    lines = ["Replay.batch = 0", "InfoNCE.negatives = @TopK", "TopK.count = 0"]
    assert [problem.line for problem in check(recipe("\n".join(lines)))] == [3, 5]


def test_a_binding_of_the_command_line_is_blamed_before_one_of_the_recipe(recipe: Callable[[str], str]) -> None:
    file = recipe("InfoNCE.negatives = @RefusalNegatives\nRefusalNegatives.steps = 5")
    assert [str(problem) for problem in check(file, ["RefusalNegatives.steps = 6"])] == [
        "-b 'RefusalNegatives.steps = 6': RefusalNegatives.steps = 6 must be at most 5."
    ]


DERIVED: Mapping[str, Callable[[], dict[str, Any]]] = {
    "actor_critics": lambda: behavior_sizes(LATENT),
    "bounds": lambda: {"latent": LATENT, "embedding_size": 5},
    "critics": lambda: {"latent": LATENT, "embedding_size": 5},
    "dynamics": lambda: {"embedding_size": 5, "action_size": 2},
    "encoders": lambda: {"observation": OBSERVATIONS["pixels"]},
    "heads": lambda: {"latent": LATENT},
    "negatives": dict,
    "objectives": objective_sizes,
    "optimizers": lambda: {"parameters": [torch.nn.Parameter(torch.zeros(2))]},
    "values": lambda: {"feature_size": 3},
}
HELD = {"critic": "@BilinearCritic", "negatives": "@InBatch", "value": "@NormalValue"}
IMPOSSIBLE = [
    ("actor_critics.ActionNoise", {"initial": -0.1}),
    ("actor_critics.ActionNoise", {"decay_steps": 0}),
    ("actor_critics.CEMPlanner", {"elites": 9, "candidates": 3}),
    ("actor_critics.CEMPlanner", {"horizon": 0}),
    ("actor_critics.CEMPlanner", {"action_noise": -0.1}),
    ("actor_critics.LatentSAC", {"initial_temperature": 0.0}),
    ("actor_critics.MixedGradient", {"mix": -0.1}),
    ("actor_critics.MixedGradient", {"mix": 1.5}),
    ("actor_critics.MixedGradient", {"minimum_std": 0.0}),
    ("actor_critics.MPPIPlanner", {"elites": 0}),
    ("actor_critics.MPPIPlanner", {"minimum_std": 0.0}),
    ("actor_critics.MPPIPlanner", {"minimum_std": 3.0}),
    ("actor_critics.MPPIPlanner", {"policy_plans": 9, "candidates": 3}),
    ("actor_critics.Plan2Explore", {"members": 1}),
    ("actor_critics.Reinforce", {"replay_value": -0.3}),
    ("actor_critics.Reinforce", {"minimum_std": 1.0}),
    ("bounds.Interpolated", {"alpha": 1.5}),
    ("bounds.Interpolated", {"alpha": -0.1}),
    ("bounds.MINE", {"rate": 0.0}),
    ("bounds.MINE", {"rate": 1.5}),
    ("bounds.Penalized", {"weight": -1.0}),
    ("bounds.SMILE", {"clip": 0.0}),
    ("critics.ConcatCritic", {"pairs_at_once": 0}),
    ("critics.ConcatCritic", {"layers": 0}),
    ("critics.CosineCritic", {"temperature": 0.0}),
    ("critics.CosineCritic", {"temperature": -1.0, "temperature_kind": "fixed"}),
    ("critics.CosineCritic", {"temperature": 0.009}),
    ("critics.DistanceCritic", {"temperature": 0.0}),
    ("critics.DistanceCritic", {"temperature": 0.009, "temperature_kind": "learned"}),
    ("critics.GaussianCritic", {"minimum_std": 0.0}),
    ("critics.GaussianCritic", {"initial_std": 0.1}),
    ("critics.GaussianCritic", {"initial_std": 1.0, "deviation": "fixed"}),
    ("critics.PriorCritic", {"minimum_std": -0.1}),
    ("dynamics.BlockRSSM", {"blocks": 3, "deterministic": 8}),
    ("dynamics.GaussianRSSM", {"balance": 1.5}),
    ("dynamics.MemorylessSSM", {"deviation": "prior"}),
    ("dynamics.CategoricalRSSM", {"balance": -0.1}),
    ("dynamics.TransformerSSM", {"attention_heads": 4, "deterministic": 12}),
    ("dynamics.TransformerSSM", {"window": 0}),
    ("dynamics.TransformerSSM", {"attention_heads": -1}),
    ("dynamics.TransformerSSM", {"layers": 0}),
    ("encoders.MaxPoolConvEncoder", {"kernel": 4}),
    ("encoders.ViTEncoder", {"attention_heads": 3, "size": 8}),
    ("heads.ContinuationHead", {"discount": 0.0}),
    ("negatives.ActionNegatives", {"count": 0}),
    ("negatives.Debiased", {"positive_share": 1.0}),
    ("negatives.Debiased", {"positive_share": -0.1}),
    ("negatives.HardWeighted", {"beta": -1.0}),
    ("negatives.MemoryQueue", {"slow_rate": 1.5}),
    ("negatives.MemoryQueue", {"slow_rate": 0.0}),
    ("negatives.MemoryQueue", {"size": 0}),
    ("negatives.MoCHi", {"mixed": 0, "with_anchor": 0}),
    ("negatives.MoCHi", {"hardest": 0}),
    ("negatives.Ring", {"lower": 0.9, "upper": 0.1}),
    ("negatives.Ring", {"upper": 1.5}),
    ("negatives.RollingWindow", {"rows": 0}),
    ("negatives.TopK", {"count": 0}),
    ("negatives.UniformSubset", {"candidates": 1}),
    ("negatives.WindowExcluded", {"steps": 0}),
    ("negatives.WithinCrossMixture", {"share": 1.5}),
    ("negatives.WithinCrossMixture", {"count": 0}),
    ("objectives.ActionConditionedCPC", {"steps": 0}),
    ("objectives.ActionConditionedCPC", {"discount": 0.0}),
    ("objectives.BarlowTwins", {"redundancy": -1.0}),
    ("objectives.LatentConsistency", {"discount": 1.5}),
    ("objectives.LatentConsistency", {"horizon": 0}),
    ("objectives.LatentConsistency", {"slow_rate": 0.01}),
    ("objectives.LatentConsistency", {"target": "embedding", "slow_rate": 2.0}),
    ("objectives.NextEmbedding", {"horizon": 0}),
    ("objectives.NextEmbedding", {"discount": 1.5}),
    ("objectives.NextEmbedding", {"redundancy": -1.0}),
    ("objectives.NextEmbedding", {"units": 5, "attention_heads": 2}),
    ("objectives.NextEmbedding", {"layers": 0}),
    ("objectives.Prototypes", {"temperature": 0.0}),
    ("objectives.Prototypes", {"prototypes": 1}),
    ("objectives.Prototypes", {"iterations": 0}),
    ("objectives.Prototypes", {"warm_up": -1}),
    ("objectives.Prototypes", {"epsilon": 0.0}),
    ("objectives.Prototypes", {"slow_rate": 0.0}),
    ("objectives.TemporalPredictive", {"noise": -0.1}),
    ("optimizers.Adam", {"learning_rate": 0.0}),
    ("optimizers.Adam", {"clip": 0.0}),
    ("optimizers.AdamW", {"learning_rate": 0.0}),
    ("optimizers.AdamW", {"clip": 0.0}),
    ("optimizers.AdamW", {"warmup": -1}),
    ("optimizers.LaProp", {"learning_rate": 0.0}),
    ("optimizers.LaProp", {"clip": -1.0}),
    ("optimizers.LaProp", {"momentum": 1.0}),
    ("optimizers.LaProp", {"decay": 1.0}),
    ("optimizers.LaProp", {"warmup": -1}),
    ("values.EnsembleValue", {"members": 0}),
    ("values.NormalValue", {"slow_rate": 0.0}),
    ("values.QuantileValue", {"slow_rate": 1.1}),
    ("values.QuantileValue", {"width": 0.0}),
    ("values.TwoHotValue", {"bins": 2}),
    ("values.TwoHotValue", {"slow_every": 0}),
]


def component(selector: str, settings: Mapping[str, Any], write: Write) -> ComponentFactory:
    """The factory of one component, small as the tests have it, with some settings on the command line."""
    family, name = selector.split(".")
    names = {each.name for each in registry_of(family).describe(name).settings}
    parts = HELD | {"of": {"bounds": "@InfoNCEBound", "actor_critics": "@DynamicsBackprop"}.get(family, "None")}
    lines = [f"{name}.{each} = {value!r}" for each, value in SMALL.items() if each in names]
    lines += [f"{name}.{each} = {value}" for each, value in parts.items() if each in names]
    lines += ["DynamicsBackprop.value = @NormalValue"] if family == "actor_critics" and "of" in names else []
    write("component.gin", "\n".join(lines) + "\n")
    return load("component.gin", [f"{name}.{each} = {value!r}" for each, value in settings.items()], root=selector).root


@pytest.mark.parametrize(("selector", "settings"), IMPOSSIBLE, ids=[f"{name} {settings}" for name, settings in IMPOSSIBLE])
def test_a_constructor_refuses_at_the_binding_of_the_setting(selector: str, settings: dict[str, Any], write: Write) -> None:
    family, name = selector.split(".")
    with pytest.raises(UserError) as caught:
        component(selector, settings, write)(**DERIVED[family]())
    assert caught.value.place is not None
    assert caught.value.place.file in {quoted("-b", f"{name}.{each} = {value!r}") for each, value in settings.items()}
    assert any(each in caught.value.message for each in settings)
