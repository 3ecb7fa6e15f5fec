"""Pictures of a finished run, and what is said where there are none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import framework
from tests.cli.calls import TINY, Call, bound


@pytest.fixture
def home(trained: tuple[Path, Result]) -> Path:
    """The folder of the tiny run."""
    return next((trained[0] / "runs").glob("small-*-3"))


@pytest.mark.parametrize("kind", ["which", "imagine", "scores", "estimate"])
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


def test_the_seed_draws_the_batch(after: Call, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for name, seed in zip(names, (0, 0, 1), strict=True):
        result = after("picture", "latest", "--seed", seed, "--out", tmp_path / f"{name}.png")
        assert result.exit_code == 0, result.output
    first, again, other = ((tmp_path / f"{name}.png").read_bytes() for name in names)
    assert first == again
    assert first != other


def test_a_run_sent_its_pictures_to_its_trackers(home: Path) -> None:
    kinds = {path.name.rpartition("-")[0] for path in (home / "pictures").glob("contrastive-*.png")}
    assert kinds == {"contrastive-which", "contrastive-imagine", "contrastive-scores"}


def test_python_draws_the_same(home: Path, tmp_path: Path) -> None:
    path = framework.picture(str(home), "scores", checkpoint="100", out=tmp_path / "scores.png")
    assert path == tmp_path / "scores.png"
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing-like-it"], "nothing-like-it"),
        (["small", "--checkpoint", "7"], "There is no checkpoint '7'"),
        (["small", "--kind", "wich"], "'wich' is not one of 'which', 'imagine', 'scores', 'estimate'"),
        (["small", "--out", "picture.jpg"], "must end with .png"),
    ],
    ids=["run", "checkpoint", "kind", "ending"],
)
def test_what_is_not_there_is_said_in_a_sentence(after: Call, arguments: list[str], words: str) -> None:
    result = after("picture", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_checkpoint_without_its_replay_is_refused(after: Call, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / home.name
    shutil.copytree(home, copy)
    shutil.rmtree(copy / "checkpoints" / "step-00000100" / "replay")
    result = after("picture", copy / "checkpoints" / "step-00000100")
    assert result.exit_code == 2
    assert "has no replay to draw images from" in result.stderr


def test_a_run_without_a_contrast_is_refused(call: Call) -> None:
    bindings = bound("Agent.objectives=[]", "Trainer.steps=50")
    trained = call("train", TINY, *bindings)
    assert trained.exit_code == 0, trained.output
    for kind, words in (("which", "has no contrastive objective"), ("estimate", "only a run with the objective InfoNCE estimates")):
        result = call("picture", "latest", "--kind", kind)
        assert result.exit_code == 2
        assert words in result.stderr
