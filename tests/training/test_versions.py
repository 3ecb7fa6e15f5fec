"""A module that is edited between two trainings of one process, and the policies of both."""

import sys
from pathlib import Path

import numpy as np
import pytest

import framework
from framework.composition import modules
from framework.tracking.policy_model import _load_pyfunc
from framework.training.result import Result

MODULE = """
import dm_env
import numpy as np
from dm_env import specs

from framework import environments, negatives
from framework.environments.base import SeededEpisodes
from framework.negatives.base import Negatives


@environments.register
class EditedWorld(SeededEpisodes):
    def observation_spec(self):
        return {{"count": specs.Array((1,), np.float32), "pixels": specs.BoundedArray((8, 8, 3), np.uint8, 0, 255)}}

    def action_spec(self):
        return specs.BoundedArray((2,), np.float32, -1, 1)

    def _restart(self, entropy):
        self.time = 0
        return dm_env.restart(None)

    def _simulate(self, action):
        self.time += 1
        return dm_env.TimeStep(dm_env.StepType.LAST if self.time == 10 else dm_env.StepType.MID, {reward}, 1.0, None)

    def _observe(self, observation):
        return {{"count": np.full(1, self.time, np.float32), "pixels": np.full((8, 8, 3), self.time, np.uint8)}}


@negatives.register
class EditedNegatives(Negatives):
    reward = {reward}

    def choose(self, contrast, key):
        return contrast
"""
RECIPE = """
import edited_between
include '{tiny}'
Run.environment = @environments.EditedWorld
Run.environments = 2
InfoNCE.negatives = @negatives.EditedNegatives
Trainer.steps = 60
"""


@pytest.fixture
def trained(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """Two trainings of one recipe, in worker processes, with an edit of its module between them."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(modules, "_loaded_texts", {})
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "recipe.gin").write_text(RECIPE.format(tiny=Path(__file__).parent / "tiny.gin"))
    results = []
    for reward in (1.0, 3.0):
        (tmp_path / "edited_between.py").write_text(MODULE.format(reward=reward))
        results.append(framework.compose(tmp_path / "recipe.gin", {"Tracking.folder": str(runs)}).train())
    return results


def test_each_training_and_each_policy_has_its_own_version(trained: list[Result]) -> None:
    assert [result.evaluated.returns[0] for result in trained if result.evaluated] == [10.0, 30.0]
    for result, reward in zip(trained, ("1.0", "3.0"), strict=True):
        assert f"reward = {reward}\n" in (result.folder / "code" / "edited_between.py").read_text()
    policies = [framework.load_policy(result.folder) for result in trained]
    strategies = [policy.agent.world_model.each_objective[0].negatives for policy in policies]
    assert [strategy.reward for strategy in strategies] == [1.0, 3.0]
    assert [type(strategy).__name__ for strategy in strategies] == ["EditedNegatives"] * 2
    assert [framework.evaluate(str(result.folder)).returns[0] for result in trained] == [10.0, 30.0]
    models = [_load_pyfunc(str(next((result.folder / "policy").iterdir()))) for result in trained]
    assert [model.policy.agent.world_model.each_objective[0].negatives.reward for model in models] == [1.0, 3.0]
    observation = {"count": np.ones((1, 1), np.float32), "pixels": np.ones((1, 8, 8, 3), np.uint8)}
    assert all(model.predict(observation).shape == (1, 2) for model in models)
