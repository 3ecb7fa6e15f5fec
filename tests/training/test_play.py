"""A policy plays whole episodes, in environments of its run, of dm_control and of Gymnasium, with actions as each declares them."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from dm_control import suite
from dm_env import specs
from gymnasium import spaces

import framework
from framework.errors import UserError
from framework.training.policy import Policy
from framework.training.result import Result
from framework.training.run import Run

SMALL = {
    "MLPEncoder.units": 8,
    "MLPEncoder.size": 8,
    "GaussianRSSM.hidden": 8,
    "GaussianRSSM.deterministic": 8,
    "InfoNCE.critic": "@critics.BilinearCritic",
    "DynamicsBackprop.units": 8,
    "Runtime.device": "cpu",
}
GYMNASIUM = {
    "Run.environment": "@environments.Gymnasium",
    "Agent.actor_critic": "@actor_critics.Reinforce",
    "Reinforce.value": "@values.NormalValue",
    "Reinforce.replay_value": 0.0,
}


def policy_of(run: Run) -> Policy:
    """The policy of an untrained agent."""
    return Policy(agent=run.agent(), runtime=run.runtime, seed=0)


@pytest.fixture
def cartpole() -> Run:
    bindings = SMALL | {"task": "cartpole_swingup", "DMControl.action_repeat": 1}
    return framework.compose("dreamer_v1_infonce_proprio", bindings)


def test_it_plays_the_episodes_of_a_run_from_the_factory_of_its_environment(whole: Result) -> None:
    run = framework.compose(whole.folder / "resolved.gin")
    played = framework.play(framework.load_policy(whole.folder), run.environment, episodes=3)
    assert (played.returns, played.lengths) == ([55.0] * 3, [10] * 3)
    assert played.frames is not None
    assert played.frames.shape == (11, 8, 8, 3)


def test_it_cuts_an_episode_at_the_most_steps_and_says_so(whole: Result, caplog: pytest.LogCaptureFixture) -> None:
    run = framework.compose(whole.folder / "resolved.gin")
    played = framework.play(framework.load_policy(whole.folder), run.environment, episodes=2, max_steps=4)
    assert (played.returns, played.lengths) == ([1.0 + 2 + 3 + 4] * 2, [4, 4])
    assert "2 of 2 episodes did not end within max_steps = 4" in caplog.text


def test_it_plays_a_made_environment_from_its_first_episode_again_and_leaves_it_open(cartpole: Run) -> None:
    policy, made = policy_of(cartpole), cartpole.environment(seed=3)
    first, second = (framework.play(policy, made, 2, max_steps=20) for _ in range(2))
    assert first.returns == second.returns == framework.play(policy, cartpole.environment, 2, seed=3, max_steps=20).returns
    assert first.returns[0] != first.returns[1]
    made.close()


def test_it_plays_an_environment_of_dm_control_itself(cartpole: Run) -> None:
    raw = suite.load("cartpole", "swingup", task_kwargs={"random": 0})
    played = framework.play(policy_of(cartpole), raw, max_steps=30)
    assert played.lengths == [30]
    assert played.mean > 0
    assert played.frames is None


@pytest.mark.parametrize(("task", "is_discrete"), [("CartPole-v1", True), ("Pendulum-v1", False)])
def test_it_plays_an_environment_of_gymnasium_with_seeds(task: str, is_discrete: bool) -> None:
    kind = GYMNASIUM if is_discrete else {"Run.environment": "@environments.Gymnasium"}
    run = framework.compose("dreamer_v1_infonce_proprio", SMALL | kind | {"Gymnasium.task": task})
    policy, environment = policy_of(run), gymnasium.make(task)
    one, other, again = (framework.play(policy, environment, 2, seed=seed, max_steps=200) for seed in (0, 7, 0))
    assert one.returns == again.returns
    assert one.returns != other.returns
    assert all(0 < length <= 200 for length in one.lengths)


@pytest.mark.parametrize("wrong", [3, "cartpole", lambda seed: "none"], ids=["number", "text", "factory of text"])
def test_it_refuses_what_is_no_environment(whole: Result, wrong: Any) -> None:
    with pytest.raises(UserError, match="`play` takes an environment of dm_env or Gymnasium, or a factory of one, not"):
        framework.play(framework.load_policy(whole.folder), wrong)


def test_it_refuses_an_environment_that_the_policy_did_not_learn_from_and_a_number_of_episodes_below_one(
    whole: Result, cartpole: Run
) -> None:
    policy = framework.load_policy(whole.folder)
    with pytest.raises(UserError, match=r"The environment shows .*'position': \(3,\).* and the agent learned from .*'pixels'"):
        framework.play(policy, cartpole.environment)
    with pytest.raises(UserError, match="`play` has episodes = 0"):
        framework.play(policy, cartpole.environment, 0)


DECLARED: list[tuple[Any, Callable[[Any], bool]]] = [
    (specs.BoundedArray((2,), np.float64, [-2, 0], [2, 10]), lambda action: action.dtype == np.float64),
    (spaces.Discrete(2, start=5), lambda action: type(action) is int),
    (spaces.Box(0, 3, (2,), np.float32), lambda action: action.dtype == np.float32),
]


@pytest.mark.parametrize(("spec", "fits"), DECLARED, ids=[str(spec) for spec, _ in DECLARED])
def test_an_action_is_as_the_environment_declares_it(whole: Result, spec: Any, fits: Callable[[Any], bool]) -> None:
    policy = framework.load_policy(whole.folder)
    observation = {"count": np.ones(1), "pixels": np.ones((8, 8, 3), np.uint8)}
    action, declared = policy.act(observation), policy.act(observation, spec)
    assert (action.shape, action.dtype) == ((2,), np.float32)
    assert fits(declared)
    if isinstance(spec, specs.Array):
        spec.validate(np.asarray(declared, spec.dtype))
    else:
        assert spec.contains(declared)
    policy.reset()
    several = {name: np.stack([value] * 3) for name, value in observation.items()}
    assert np.shape(policy.act(several, spec)) == (3, *np.shape(declared))
