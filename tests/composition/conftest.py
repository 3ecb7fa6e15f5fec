"""A small agent in one file, which the tests of composition change."""

from pathlib import Path

import pytest

from tests.composition.agents import Write

AGENT = """\
# A small agent.
Agent.encoder = @encoders.ConvEncoder
Agent.dynamics = @dynamics.GaussianRSSM
Agent.heads = {'reward': @heads.RewardHead}
Agent.objectives = [@objectives.InfoNCE]
Agent.actor_critic = @actor_critics.DynamicsBackprop
Agent.optimizers = {'model': @model/optimizers.Adam, 'actor': @actor/optimizers.Adam, 'value': @value/optimizers.Adam}
DynamicsBackprop.value = @values.NormalValue
InfoNCE.critic = @critics.GaussianCritic
InfoNCE.bound = @bounds.InfoNCEBound
InfoNCE.negatives = @negatives.RollingWindow
RollingWindow.rows = 10
model/Adam.learning_rate = 6e-4
actor/Adam.learning_rate = %RATE
value/Adam.learning_rate = %RATE
Adam.epsilon = 1e-5
RATE = 8e-5
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into the working directory, which is a new folder; messages then name it by itself."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write_file("agent.gin", AGENT)
    return write_file
