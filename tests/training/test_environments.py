"""Whole runs in other environments than the counting one: choices instead of numbers, and an evaluation elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dm_env import specs

import framework
from framework.errors import UserError
from framework.specs import ActionSpec, Specs
from framework.tracking.jsonl import read
from framework.training.evaluation import Player
from framework.training.policy import PolicyRecipe
from framework.training.result import Result
from framework.training.run import Run
from framework.training.runtime import Runtime, derive
from framework.training.tolerance import Tolerance
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.training.agents import differing, saved

VECTORS = ["MultiEncoder.encoders={'*': @encoders.MLPEncoder}", "Agent.actor_critic=@actor_critics.Reinforce"]
VECTORS += ["Reinforce.value=@values.NormalValue", "Reinforce.layers=1", "Reinforce.units=8", "Reinforce.replay_value=0.0"]
CARTPOLE = ["Run.environment=@environments.Gymnasium", "Gymnasium.task='CartPole-v1'", *VECTORS]
ROOM = ["Run.environment=@environments.Gymnasium", "Gymnasium.task='tests.environments.gymnasium_tasks:Room-v0'", *VECTORS]
ROOM += ["Gymnasium.arguments={'shows': 'vector', 'takes': 'several'}"]
PLACES = np.array([[1.0], [-0.5]], np.float32)


def test_a_run_with_choices_resumes_exactly_and_its_policy_gives_one_hot_groups(tiny: Callable[..., Run]) -> None:
    bindings = [*ROOM, "Trainer.steps=80", "Evaluation.every=80"]
    whole = tiny(*bindings).train()
    part = tiny(*bindings, "Trainer.steps=56").train()
    resumed = framework.resume(str(part.folder), ["Trainer.steps=80"])
    assert resumed.progress.updates == whole.progress.updates > 4
    assert resumed.progress.episodes == whole.progress.episodes > 1
    assert differing(saved(whole.latest), saved(resumed.latest)) == []
    policy = framework.load_policy(whole.folder, checkpoint="latest")
    assert policy.agent.specs.model_action == ActionSpec(kind="multi_discrete", sizes=(2, 3))
    action = policy.act({"observation": PLACES})
    assert set(np.unique(action)) == {0.0, 1.0}
    assert [part.sum(axis=1).tolist() for part in np.split(action, [2], axis=1)] == [[1, 1], [1, 1]]


def test_what_an_environment_gives_is_tried_before_a_run_begins(tiny: Callable[..., Run], runs: Path) -> None:
    folders = set(runs.iterdir())
    task = "tests.environments.gymnasium_tasks:Mismatch-v0"
    bindings = ["Run.environment=@environments.Gymnasium", f"Gymnasium.task='{task}'", "Gymnasium.size=8"]
    bindings += ["MultiEncoder.encoders={'image': @encoders.ConvEncoder, 'door': @encoders.MLPEncoder}"]
    with pytest.raises(UserError, match="'reward' as one number, and gives None"):
        tiny(*bindings, "Gymnasium.arguments={'outcome': (None, False, False, {})}").train()
    assert set(runs.iterdir()) == folders


@pytest.mark.parametrize(
    "action",
    [
        specs.DiscreteArray(4),
        specs.BoundedArray((3,), np.int64, 0, [1, 2, 3]),
        specs.BoundedArray((), np.int64, 0, 4),
        specs.BoundedArray((2,), np.float32, -1.0, 1.0),
    ],
)
def test_a_checkpoint_gives_the_action_back(action: specs.BoundedArray, tiny: Callable[..., Run], tmp_path: Path) -> None:
    shown = Specs(observation={"place": specs.Array((2,), np.float32)}, action=action)
    stored = vars(PolicyRecipe.of(tiny().composed, shown, 0))
    torch.save(stored["action"], tmp_path / "action.pt")
    again = PolicyRecipe(**stored | {"action": torch.load(tmp_path / "action.pt", weights_only=True)}).specs().action
    assert (again.shape, again.dtype) == (action.shape, action.dtype)
    np.testing.assert_array_equal(again.minimum, action.minimum)
    np.testing.assert_array_equal(again.maximum, action.maximum)
    assert ActionSpec.of(again).sizes == ActionSpec.of(action).sizes
    assert isinstance(again, specs.DiscreteArray) == (action.shape == ())


@pytest.mark.parametrize("shows", ["gray", "five channels"])
def test_images_of_any_number_of_channels_are_filmed_and_drawn(tiny: Callable[..., Run], shows: str) -> None:
    room = [each.replace("'vector'", repr(shows)) for each in ROOM] + ["MultiEncoder.encoders={'*': @encoders.ConvEncoder}"]
    decoder = ["Agent.objectives=[@objectives.Reconstruction]", "Reconstruction.decoders={'*': @heads.ImageHead}"]
    decoder += ["ImageHead.channels=(4,)", "ImageHead.kernels=(6, 6)", "ImageHead.base=16"]
    result = tiny(*room, *decoder, "Gymnasium.size=None", "Trainer.steps=60", "Evaluation.every=60").train()
    kinds = [record["kind"] for record in read(result.folder)]
    assert (kinds.count("video"), kinds.count("picture")) == (1, 1)
    evaluated = framework.evaluate(str(result.folder), episodes=1)
    assert evaluated.frames is not None
    assert evaluated.frames.shape == (evaluated.lengths[0] + 1, 16, 16, 3)


def test_an_evaluation_may_be_in_another_environment(tiny: Callable[..., Run], whole: Result) -> None:
    """There an episode has 4 steps, and pays 1 + 2 + 3 + 4; the run's own has 10."""
    elsewhere = ["Evaluation.environment=@elsewhere/environments.Counting", "elsewhere/Counting.length=4"]
    assert framework.evaluate(str(whole.folder), elsewhere, episodes=2).returns == [10.0, 10.0]
    with pytest.raises(UserError, match=r"Evaluation.environment shows .* \(16, 16, 3\).* learned from .* \(8, 8, 3\)"):
        framework.evaluate(str(whole.folder), [*elsewhere, "elsewhere/Counting.size=16"], episodes=1)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_each_environment_of_an_evaluation_runs_its_share_of_the_episodes_however_short_they_are(
    count: int, tiny: Callable[..., Run]
) -> None:
    """Of 10 episodes of 2 or 40 steps, the first to end would be short ones."""
    run = framework.compose(Path(__file__).parent / "uneven.gin", ["Uneven.lengths=(2, 40)", "Uneven.pause=0.0"])
    with WorkerEnvironments(environment=run.environment, count=count, seed=derive(5, 900), mode="serial") as vector:
        agent, runtime = run.agent(vector.specs), Runtime(device="cpu")
        player = Player(agent=agent, runtime=runtime, vector=vector, seed=5, tolerance=Tolerance(), max_steps=100)
        evaluated = player.play(episodes=10)
        assert evaluated is not None
        lengths = evaluated.lengths
    expected = []
    for index in range(count):
        alone = run.environment(seed=int(np.random.SeedSequence([derive(5, 900), index]).generate_state(1)[0]))
        for _ in range(len(range(index, 10, count))):
            alone.reset()
            expected.append(alone.length)
    assert lengths == expected
    assert 9 < np.mean(lengths) < 33


def test_a_run_trains_in_a_batched_simulator_and_evaluates_in_the_single_environment(tiny: Callable[..., Run]) -> None:
    batched = [*CARTPOLE, "Run.vector=@vector_environments.BatchedGymnasium", "BatchedGymnasium.task='CartPole-v1'", "Run.environments=3"]
    result = tiny(*batched, "Trainer.steps=120").train()
    assert result.progress.step == 120
    assert result.progress.episodes >= 3
    assert result.progress.updates > 4
    assert result.evaluated is not None
    assert min(result.evaluated.lengths) > 5
    with pytest.warns(UserWarning, match="starts a new episode"):
        resumed = framework.resume(str(result.folder), ["Trainer.steps=150"])
    assert resumed.progress.step == 150
    assert framework.load_policy(result.folder, checkpoint="latest").act({"observation": np.zeros(4, np.float32)}).shape == (2,)
