"""Pictures of a finished run, and what is said where there are none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import framework
from tests.cli.calls import TINY, Call, bound, without_store


@pytest.fixture
def home(trained: tuple[Path, Result]) -> Path:
    """The folder of the tiny run."""
    return next((trained[0] / "runs").glob("small-*-3"))


@pytest.mark.parametrize("kind", ["imagine", "estimate", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("which", "scores"))])
def test_it_prints_the_file_of_the_picture_that_it_drew(after: Call, home: Path, kind: str) -> None:
    result = after("picture", "small", "--kind", kind, "--checkpoint", "100")
    assert result.exit_code == 0, result.output
    path = Path(result.stdout.strip())
    assert path.name == f"{kind}-{120 if kind == 'estimate' and _resumed(home) else 100}.png"
    assert path.parent.resolve() == (home / "pictures").resolve()
    image = np.asarray(Image.open(path))
    assert image.shape[0] > 300
    assert image.shape[1] >= 900
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 8


def _resumed(home: Path) -> bool:
    """Another test may have made the run longer."""
    return (home / "checkpoints" / "step-00000120").exists()


def test_the_seed_draws_the_batch_from_python_too(after: Call, tmp_path: Path) -> None:
    first, again, other = (tmp_path / f"{name}.png" for name in ("first", "again", "other"))
    for path, seed in ((first, 0), (other, 1)):
        result = after("picture", "latest", "--kind", "scores", "--seed", seed, "--out", path)
        assert result.exit_code == 0, result.output
    assert framework.picture("latest", "scores", out=again) == again
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_a_run_sent_its_pictures_to_its_trackers(home: Path) -> None:
    kinds = {path.name.rpartition("-")[0] for path in (home / "pictures").glob("contrastive-*.png")}
    assert kinds == {"contrastive-which", "contrastive-imagine", "contrastive-scores"}


def test_a_checkpoint_without_its_replay_is_refused(after: Call, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / home.name
    shutil.copytree(home, copy)
    shutil.rmtree(copy / "checkpoints" / "step-00000100" / "replay")
    result = after("picture", copy / "checkpoints" / "step-00000100")
    assert result.exit_code == 2
    assert "has no replay to draw images from" in result.stderr


def test_a_run_without_a_contrast_is_refused(call: Call) -> None:
    without_store(Path.cwd())
    trained = call("train", TINY, *bound("Agent.objectives=[]", "Trainer.steps=50"))
    assert trained.exit_code == 0, trained.output
    for kind, words in (("which", "has no contrastive objective"), ("estimate", "only a run with the objective InfoNCE estimates")):
        result = call("picture", "latest", "--kind", kind)
        assert result.exit_code == 2
        assert words in result.stderr
