"""A run folder holds all that is needed: it resumes, is evaluated and acts in other processes, with the project gone."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from framework.tracking.runs import open_run
from framework.tracking.store import local_uri
from tests.members import ROOT

NEGATIVES = """
from framework import negatives
from framework.negatives.base import Negatives

@negatives.register
class Gone(Negatives):
    \"\"\"The whole batch, kept as it is.\"\"\"

    def __init__(self, *, strength: float = 1.0) -> None:
        super().__init__()
        import yaml
        from .later import read

        self.strength = read(yaml, strength)

    def choose(self, contrast, key):
        return contrast
"""
TASK = """
import gymnasium
from gymnasium import spaces

class Line(gymnasium.Env):
    observation_space, action_space = spaces.Box(-9, 9, (2,)), spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.observation_space.sample() * 0, {}

    def step(self, action):
        self.count += 1
        return self.observation_space.sample() * 0 + self.count, float(self.count), self.count == 4, False, {}

gymnasium.register("Line-v0", Line)
"""
PROJECT = {
    "mypkg/__init__.py": "",
    "mypkg/negs.py": NEGATIVES,
    "mypkg/later.py": "def read(yaml, value):\n    return yaml.safe_load(str(value))\n",
    "mypkg/task.py": TASK,
    "mine.gin": """
import mypkg.negs
import mypkg.task
include 'tiny.gin'
Run.environment = @Gymnasium
Run.agent = @mine/Agent
Gymnasium.task = 'Line-v0'
MultiEncoder.encoders = {'*': @encoders.MLPEncoder}
mine/Agent.objectives = [@InfoNCE]
InfoNCE.negatives = @Gone
mine/Gone.strength = 2.0
Tracking.folder = '../runs'
Trainer.steps = 60
""",
}
ACT = """
import sys
from pathlib import Path
import numpy as np
import framework

observation = {"observation": np.ones((3, 2), np.float32)}
policy = framework.load_policy(sys.argv[1])
assert policy.agent.world_model.objectives[0].negatives.strength == 2.0
action = policy.act(observation)
assert action.shape == (3, 1)
print(*{name.partition(".")[0] for name in sys.modules})

import mlflow

model = mlflow.pyfunc.load_model(sys.argv[2])
assert all(np.array_equal(model.predict(observation), action) for _ in range(2)), "each row is the first of an episode"
assert not {"dm_control", "mujoco", "gymnasium"} & sys.modules.keys()
"""


def ask(*arguments: str, folder: Path) -> str:
    """What another Python printed, started in a folder."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    ran = subprocess.run([sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def closed(names: set[str]) -> set[str]:
    """Distributions, and all that they require in turn."""
    waiting, reached = {canonicalize_name(name) for name in names}, set[str]()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        wanted = [Requirement(each) for each in requires(name) or []]
        waiting |= {canonicalize_name(each.name) for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})} - reached
    return reached


@pytest.fixture(scope="module")
def gone(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose project was deleted after its training."""
    folder = tmp_path_factory.mktemp("gone")
    for name, text in PROJECT.items():
        (folder / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / name).write_text(text)
    shutil.copy(ROOT / "tests" / "training" / "tiny.gin", folder / "project")
    (folder / "runs").mkdir()
    shutil.copy(tables, folder / "runs" / "mlflow.db")
    ask("-m", "framework", "train", "mine.gin", folder=folder / "project")
    shutil.rmtree(folder / "project")
    return open_run("latest", folder / "runs").folder


def test_it_acts_from_its_folder_and_from_mlflow_without_a_simulator_and_with_every_distribution_listed(gone: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    uri = local_uri(gone.parent)
    client = MlflowClient(uri, registry_uri=uri)
    path = Path(download_artifacts(client.get_model_version_by_alias(gone.name, "best").source, tracking_uri=uri))
    listed = [Requirement(line) for line in (path / "requirements.txt").read_text().splitlines()]
    assert all(version(each.name) in each.specifier for each in listed)
    names = {each.name for each in listed}
    assert "PyYAML" in names
    assert not {"dm-control", "dm_control", "mujoco", "gymnasium"} & names

    tops = ask("-c", ACT, str(gone), str(path), folder=tmp_path).split()
    installed = packages_distributions()
    imported = {canonicalize_name(name) for top in tops for name in installed.get(top, ())} - {"dream-framework", "tqdm"}
    assert "pyyaml" in imported
    assert imported <= closed(names - {"dream-framework", "mlflow"}), "torch takes tqdm where it is installed, and needs it nowhere"


def test_it_resumes_and_is_evaluated_with_the_project_gone(gone: Path, tmp_path: Path) -> None:
    program = "import sys, framework; print(framework.resume(sys.argv[1], ['Trainer.steps=80']).progress.step, *"
    program += "framework.evaluate(sys.argv[1]).returns)"
    assert ask("-c", program, str(gone), folder=tmp_path).splitlines()[-1] == "80 10.0 10.0"
