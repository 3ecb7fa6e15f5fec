"""An update that diverges is kept, and made again from its file alone."""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import framework
from framework import files
from framework.errors import UserError
from framework.training import checkpoints
from framework.training.run import Run
from tests.cli.calls import call_dream, spawn
from tests.programs import in_a_child
from tests.training.agents import saved

DIVERGING = ("model/Adam.learning_rate=1e30", "Checkpoints.every=10", "Trainer.train_ratio=12.0")


@pytest.fixture(scope="module")
def stopped(runs: Path) -> tuple[Path, str]:
    """The folder of a run that diverged, and its last words."""
    from tests.training.conftest import TINY

    run = framework.compose(TINY, [f"Tracking.folder='{runs}'", "Tracking.name='diverging'", *DIVERGING])
    with pytest.raises(UserError, match="no number") as caught:
        run.train()
    (folder,) = runs.glob("diverging-*")
    return folder, str(caught.value)


@pytest.fixture(scope="module")
def moved(stopped: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the update, where nothing of the run is."""
    return Path(shutil.copy(stopped[0] / "diverged.pt", tmp_path_factory.mktemp("elsewhere")))


def test_a_run_that_diverges_names_the_file_of_its_update_and_its_last_good_checkpoint(stopped: tuple[Path, str]) -> None:
    folder, message = stopped
    assert f"The update is in {folder / 'diverged.pt'}, and `dream replay-fault` makes it again." in message
    last = checkpoints.find(folder / "checkpoints", "latest")
    assert f"The last good checkpoint is {last}; resume from it" in message
    assert all(value.isfinite().all() for value in saved(last).values())


def test_the_file_holds_the_parameters_before_the_update_its_batch_its_noise_and_its_seeds(moved: Path) -> None:
    content = files.load(moved)
    assert all(value.isfinite().all() for value in content["agent"].values())
    assert content["batch"]["reward"].shape == (4, 6)
    assert content["noise"]["imagined_actions"].shape == (3, 8, 2)
    assert (content["noise"]["key"].dtype, content["seed"]) == (torch.int64, 0)


def test_the_update_made_again_gives_the_same_numbers(moved: Path) -> None:
    fault = framework.replay_fault(moved)
    assert fault.again
    assert fault.then.keys() == fault.here.keys() >= {"train/model_gradient_norm"}
    assert [str(value) for value in fault.then.values()] == [str(value) for value in fault.here.values()]
    assert fault.not_finite == {}


def test_one_command_shows_it_in_another_process(moved: Path) -> None:
    ran = spawn("replay-fault", moved.name, folder=moved.parent)
    assert ran.returncode == 0, ran.stderr
    assert "The update diverges here too." in ran.stdout
    assert "train/model_gradient_norm" in ran.stdout
    facts = json.loads(call_dream("replay-fault", moved, "--json").stdout)
    assert facts["then"] == facts["here"]


def test_numbers_in_the_batch_that_are_not_finite_are_counted(moved: Path, tmp_path: Path) -> None:
    content = files.load(moved)
    content["batch"]["reward"][1, 2] = torch.nan
    files.save(tmp_path / "diverged.pt", content)
    assert framework.replay_fault(tmp_path / "diverged.pt").not_finite == {"batch.reward": 1}


def test_another_file_is_refused(stopped: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no tensors")
    for file in (checkpoints.find(stopped[0] / "checkpoints", "latest") / "agent.pt", tmp_path / "text.pt", tmp_path / "none.pt"):
        with pytest.raises(UserError, match=r"give the `diverged\.pt` of a run"):
            framework.replay_fault(file)


def test_a_module_of_another_user_runs_with_trust_alone(moved: Path, tmp_path: Path) -> None:
    content = files.load(moved)
    content["recipe"]["modules"] = {"planted.py": f"open({str(tmp_path / 'ran')!r}, 'w')"}
    content["recipe"]["resolved"] = "import planted\n" + content["recipe"]["resolved"]
    files.save(tmp_path / "diverged.pt", content)
    with pytest.raises(UserError, match="trust"):
        framework.replay_fault(tmp_path / "diverged.pt")
    assert not (tmp_path / "ran").exists()
    assert framework.replay_fault(tmp_path / "diverged.pt", trust=True).again
    assert (tmp_path / "ran").exists()


def test_on_a_full_disk_a_run_that_diverges_still_says_so(tiny: Callable[..., Run], tmp_path: Path) -> None:
    run = tiny("Tracking.name='full'", *DIVERGING, "Checkpoints.every=1000")

    def train_on_a_full_disk() -> None:
        from framework.training import run_logger

        original = run_logger.save_fault

        def save_fault(*arguments: object, **settings: object) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            try:
                original(*arguments, **settings)  # type: ignore[arg-type]
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        run_logger.save_fault = save_fault
        try:
            run.train()
        except UserError as error:
            (tmp_path / "message").write_text(str(error))

    assert in_a_child(train_on_a_full_disk) == 0
    message = (tmp_path / "message").read_text()
    assert "a loss or a gradient is no number" in message
    assert "The update could not be kept (The disk that holds" in message
    assert "step-00000000; resume from it" in message
    assert "\n" not in message
