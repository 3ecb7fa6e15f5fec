"""A component of one's own, in a module beside the recipe: what it raises is a sentence, and it sees the steps of its candidates."""

from pathlib import Path

import pytest

from tests.cli.calls import ROOT, TINY, Call

STRATEGY = '''
from typing import ClassVar, final

from framework import negatives


@final
@negatives.register
class {name}(negatives.Negatives):
    """Keeps the candidates whose reward differs from the anchor's. Where the reward tells the positive, it is no lower bound."""

    needs_source: ClassVar[bool] = {needs_source}
    is_lower_bound: ClassVar[bool] = False

    def choose(self, contrast, key):
        reward = {source}.reward
        return contrast.keep((reward - reward[: len(contrast.scores), None]).abs() > 1e-3)
'''


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A recipe with a strategy of its own, each with a module of another name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, **parts: object) -> Path:
        module = tmp_path / f"own_{name.lower()}.py"
        module.write_text(STRATEGY.format(name=name, **parts))
        path = tmp_path / f"{name}.gin"
        path.write_text(f"import {module.stem}\ninclude '{TINY}'\nInfoNCE.negatives = @negatives.{name}\n")
        return path

    return write


def test_what_own_code_raises_is_said_with_its_line(recipe, call: Call) -> None:
    path = recipe("Blind", needs_source=True, source="contrast.candidates")
    result = call("check", str(path), "--deep")
    assert result.exit_code == 2
    assert "own_blind.py:16: Blind.choose raises AttributeError: 'Origin' object has no attribute 'reward'" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_strategy_that_reads_the_rewards_of_candidates_trains(recipe, call: Call) -> None:
    path = recipe("RewardHard", needs_source=True, source="self.source_of(contrast)")
    assert call("check", str(path)).exit_code == 0
    assert call("check", str(path), "--deep").exit_code == 0
    column = call("check", str(path), "-b", "InfoNCE.axis='column'")
    assert "RewardHard reads the pairs themselves, which only the row axis has" in column.stdout
    row = call("lab", "negatives", "--only", "RewardHard", "--import", "own_rewardhard", "--batches", "2")
    assert row.exit_code == 0, row.output


def test_a_strategy_that_does_not_say_that_it_reads_them_is_told_to(recipe, call: Call) -> None:
    path = recipe("Unsaid", needs_source=False, source="self.source_of(contrast)")
    assert "its class must declare needs_source = True" in call("check", str(path)).stdout


ENVIRONMENT = '''
import dm_env
import numpy as np
from dm_env import specs

from framework import environments


@environments.register
class Stuck(environments.Environment):
    """Its first step fails."""

    derived = ("seed",)

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def reset(self):
        return dm_env.restart({"count": np.zeros(1, np.float32)})

    def step(self, action):
        raise ValueError("it cannot move")

    def observation_spec(self):
        return {"count": specs.Array((1,), np.float32)}

    def action_spec(self):
        return specs.BoundedArray((2,), np.float32, -1.0, 1.0)
'''


def test_a_deep_check_takes_the_first_step_of_an_environment_of_ones_own(tmp_path: Path, monkeypatch, call: Call) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_stuck.py").write_text(ENVIRONMENT)
    recipe = tmp_path / "stuck.gin"
    base = ROOT / "recipes" / "quickstart.gin"
    settings = "Run.environment = @environments.Stuck\nAgent.encoder = @encoders.MLPEncoder\n"
    recipe.write_text(f"import own_stuck\ninclude '{base}'\n{settings}")
    assert call("check", str(recipe)).exit_code == 0
    deep = call("check", str(recipe), "--deep")
    assert deep.exit_code == 2
    assert "own_stuck.py:22: Stuck.step raises ValueError: it cannot move" in deep.stdout
