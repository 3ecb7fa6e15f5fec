"""A run and a model that another user made run none of their code, and write nothing outside of their folders."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import framework
from framework import files
from framework.errors import UserError
from framework.tracking import jsonl
from framework.training.lock import LOCK, OWNER
from framework.training.manifest import Manifest
from framework.training.policy import read_policy
from framework.training.result import Result
from framework.training.runtime import Runtime
from tests.cli.calls import ROOT, call_dream
from tests.training.conftest import TINY

NEGATIVES = """
from framework import negatives
from framework.negatives.base import Negatives

@negatives.register
class Whole(Negatives):
    \"\"\"The whole batch, kept as it is.\"\"\"

    def choose(self, contrast, key):
        return contrast
"""
LOAD = """
import os, sys, mlflow
from framework.errors import UserError

model, exported = sys.argv[1:]
mlflow.pyfunc.save_model(model, loader_module="framework.tracking.policy_model", data_path=exported)
try:
    mlflow.pyfunc.load_model(model)
except UserError as error:
    print("trust_negatives" in sys.modules, error)
os.environ["DREAM_TRUST"] = "1"
mlflow.pyfunc.load_model(model)
print("trust_negatives" in sys.modules)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a component of its own, made by this user."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "runs" / "mlflow.db").mkdir(parents=True)
    (folder / "trust_negatives.py").write_text(NEGATIVES)
    recipe = folder / "mine.gin"
    recipe.write_text(f"import trust_negatives\ninclude '{TINY}'\nInfoNCE.negatives = @Whole\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return framework.compose(recipe, [f"Tracking.folder='{folder / 'runs'}'", "Trainer.steps=60"]).train().folder


@pytest.fixture
def as_another(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run as another user receives it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "runs" / "mlflow.db").mkdir(parents=True)
    return Path(shutil.copytree(own, tmp_path / "runs" / own.name))


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, without the lock of a process that looked at a run."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (LOCK, OWNER)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_policy_of_another_acts_if_it_is_trusted(as_another: Path) -> None:
    with pytest.raises(UserError, match=r"none of your trainings wrote, which would run: \S*trust_negatives\.py; .*trust=True"):
        framework.load_policy(str(as_another), device="cpu")
    assert framework.load_policy(str(as_another), device="cpu", trust=True).agent.specs.action_size == 2


@pytest.mark.parametrize("command", ["evaluate", "resume", "picture", "train", "check", "show", "diff"])
def test_every_command_takes_trust_and_does_nothing_without(as_another: Path, command: str) -> None:
    recipe, before = command in ("train", "check", "show"), contents(as_another.parent)
    arguments = [command, as_another / "resolved.gin" if recipe else as_another, *([TINY] if command == "diff" else [])]
    bindings = ["-b", f"Tracking.folder='{as_another.parent}'"] if command == "train" else []
    refused = call_dream(*arguments, *bindings)
    assert refused.exit_code == 2
    assert "trust_negatives.py" in refused.output
    assert contents(as_another.parent) == before
    trusted = call_dream(*arguments, *bindings, "--trust")
    assert trusted.exit_code == 0, trusted.output


def test_a_run_of_ones_own_needs_no_trust_wherever_it_is_moved(own: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(own, tmp_path / "moved"))
    assert framework.evaluate(str(home), episodes=1).returns == [55.0]
    assert framework.load_policy(str(home), device="cpu").agent.specs.action_size == 2


def test_a_run_without_code_of_its_own_needs_no_trust(whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert framework.load_policy(str(whole.folder), device="cpu").agent.specs.action_size == 2


def test_mlflow_loads_a_model_of_another_only_with_the_environment_variable(as_another: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOAD, str(tmp_path / "model"), str(next((as_another / "policy").iterdir()))]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    ran = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    refused, trusted = ran.stdout.splitlines()
    assert refused.startswith("False ")
    assert "for mlflow.pyfunc.load_model the environment variable DREAM_TRUST=1" in refused
    assert trusted == "True"


@pytest.mark.parametrize(
    "name", ["/{outside}/x.py", "../x.py", "../../../../x.py", "a/../../x.py", "resolved.gin", "a\\x.py", "x.py\n", "x.pth"]
)
def test_a_policy_writes_no_file_outside_of_its_folder(whole: Result, tmp_path: Path, name: str) -> None:
    checkpoint = Path(shutil.copytree(next((whole.folder / "policy").iterdir()), tmp_path / "policy"))
    policy = files.load(checkpoint / "policy.pt")
    policy["modules"] = {name.format(outside=tmp_path): "EXECUTED = True\n"}
    files.save(checkpoint / "policy.pt", policy)
    manifest = Manifest.read(checkpoint)
    digest = hashlib.sha256((checkpoint / "policy.pt").read_bytes()).hexdigest()
    replace(manifest, sha256={**manifest.sha256, "policy.pt": digest}).write(checkpoint)
    before = contents(tmp_path)
    for trust in (False, True):
        with pytest.raises(UserError, match="is no name of a module"):
            read_policy(checkpoint, Runtime(device="cpu"), trust=trust)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["picture", "video", "file"])
def test_a_mirror_sends_no_file_from_outside_of_its_run(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "run" / "link").symlink_to(secret)
    for path in ("../secret", str(secret), "link", "../run/../secret"):
        record = {"kind": kind, "time": 0.0, "step": 1, "name": "x", "path": path, "folder": ""}
        with pytest.raises(ValueError, match="is outside the run folder"):
            jsonl.read_event(record, tmp_path / "run")
