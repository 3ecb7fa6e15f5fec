"""Bad input: one clear sentence, exit status 2, no traceback, and nothing created."""

from pathlib import Path

import pytest

from framework import composition
from framework.environments import opengl
from tests.cli.calls import PIXELS, ROOT, TINY, Call, bound, spawn

STATIC = {
    "component": ("InfoNCE.negatives=@negatives.InBach", "did you mean 'InBatch'"),
    "family": ("InfoNCE.negatives=@negatves.InBatch", "did you mean 'negatives'"),
    "wrong family": ("InfoNCE.negatives=@critics.BilinearCritic", "is a component of `critics`"),
    "parameter": ("InfoNCE.axs='row'", "did you mean 'axis'"),
    "macro": ("Replay.batch=%BATCH", "there is no macro %BATCH"),
    "precision": ("Runtime.precision='float16'", "takes one of 'float32', 'bfloat16'"),
    "text without quotes": ("Runtime.device=cpu", "write text in quotes ('cpu')"),
    "whole number beyond 64 bits": ("Trainer.steps=99999999999999999999", "write a whole number up to 9223372036854775807"),
    "no effect beside a scope": (
        "Adam.learning_rate=1e-4",
        "Adam.learning_rate has no effect, since a binding with a scope goes before one without: bind model/Adam.learning_rate (",
    ),
    "no form": ("Agent.objectives-=@InfoNCE", "write Component.parameter=value, Component.list+=value to add to a list, or"),
    "signs in the wrong order": ("Agent.objectives=+@objectives.BarlowTwins", "Component.list+=value to add to a list"),
    "addition to a number": ("Agent.horizon+=3", "Agent.horizon: += adds to a list, and the value is 3; bind a value with =."),
    "addition to a dictionary": ("Agent.heads+=@heads.RewardHead", "set one key, as in Agent.heads['name']=value."),
    "addition of an unknown component": ("Agent.objectives+=@BarlowTwns", "did you mean 'BarlowTwins'"),
    "addition of another family": ("Agent.objectives+=@critics.BilinearCritic", "is a component of `critics`"),
    "addition to a macro": ("WIDTHS+=3", "a macro is changed as a whole, and this is no parameter"),
    "key of a list": ("Agent.objectives['x']=@InfoNCE", "['x'] is a key of a dictionary, and the value is ["),
    "key without quotes": ("Agent.heads[reward]=@heads.RewardHead", "write \"Agent.heads['reward']=value\""),
    "key with a point": ("Agent.heads.reward=@heads.RewardHead", "for one key of a dictionary write Agent.heads['reward']"),
    "key of a key": ("Agent.heads['reward']['x']=1", "this is no binding: write Component.parameter=value"),
}
BUILT = {
    "device": (["Runtime.device='gpu'"], "is no device: bind one of auto, cpu"),
    "device that is not here": (["Runtime.device='xpu'"], "is not on this machine"),
    "no steps": (["Trainer.steps=0"], "Trainer.steps = 0"),
    "no updates": (["Trainer.updates=0"], "Trainer.updates = 0 must be at least 1"),
    "fewer updates than the pretraining": (["Trainer.pretrain=9", "Trainer.updates=8"], "at least Trainer.pretrain = 9"),
    "task": ([*PIXELS, "DMControl.task='cartpol_swingup'"], "did you mean 'cartpole_swingup'"),
    "camera": ([*PIXELS, "DMControl.camera='front'"], "Valid are: 0 (fixed)"),
    "layers": (["DynamicsBackprop.layers=2147483648"], "an agent has at most 5000 tensors of parameters"),
    "units": (["GaussianRSSM.hidden=2147483648"], "a tensor of an agent has at most 68719476736 numbers"),
    "product of sizes": (["GaussianRSSM.hidden=9223372036854775807"], "is too large to be built"),
    "batch": (["Replay.batch=2147483648"], "must both be at most 1048576 steps"),
    "horizon": (["Agent.horizon=2147483648"], "Agent.horizon = 2147483648 must be between 1 and 10000"),
    "environments": (["Run.environments=2000"], "must be at most 1024: each is a process"),
    "threads": (["Runtime.threads=2147483648"], "must be between 1 and 1024"),
    "observation": (["Counting.size=60000"], "Counting.size = 60000 must be between 1 and 4096"),
    "rendered image": ([*PIXELS, "DMControl.size=2147483648"], "bind a size between 1 and 16384"),
    "supersampling": ([*PIXELS, "DMControl.supersampling=2000"], "between 1, which is none, and 1024"),
    "planner": (
        [
            "Agent.actor_critic=@actor_critics.CEMPlanner",
            "Agent.optimizers={'model': @model/optimizers.Adam}",
            "CEMPlanner.horizon=2147483648",
        ],
        "CEMPlanner.horizon = 2147483648 must be between 1 and 1000",
    ),
}


@pytest.mark.parametrize("kind", STATIC)
def test_a_mistake_in_a_binding_is_found_before_anything_is_built(call: Call, kind: str) -> None:
    binding, words = STATIC[kind]
    result = call("train", TINY, *bound(binding))
    assert result.exit_code == 2
    assert words.lower() in result.stderr.lower()
    assert "Traceback" not in result.output
    assert not Path("runs").exists()


@pytest.mark.parametrize("kind", BUILT)
def test_what_cannot_be_built_leaves_nothing_behind(call: Call, kind: str) -> None:
    bindings, words = BUILT[kind]
    result = call("train", TINY, *bound(*bindings))
    assert result.exit_code == 2, result.output
    assert words.lower() in result.stderr.lower()
    assert "Traceback" not in result.output
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("binding", "quoted"),
    [
        ("InfoNCE.axis='both'", "-b \"InfoNCE.axis='both'\": "),
        ('InfoNCE.axis="both"', "-b 'InfoNCE.axis=\"both\"': "),
        ("Agent.horizon=2.5", "-b 'Agent.horizon=2.5': "),
    ],
)
def test_a_binding_is_quoted_as_it_can_be_typed(call: Call, binding: str, quoted: str) -> None:
    assert call("check", TINY, "-b", binding).stdout.startswith(quoted + binding.partition("=")[0])


def test_what_follows_from_a_failed_import_is_not_listed(call: Call) -> None:
    bindings = bound("InfoNCE.negatives=@negatives.FarInTime", "FarInTime.steps=8", "Agent.horizon='x'")
    lines = call("check", TINY, "--import", "absent_module", *bindings).stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["--import absent_module", "-b \"Agent.horizon='x'\""]


def test_a_part_of_a_recipe_is_said_to_be_one(call: Call) -> None:
    parts = sorted((ROOT / "gin").rglob("*.gin"))
    assert len(parts) > 80
    for part in parts:
        (problem,) = composition.check(part)
        assert problem.message.startswith("this is no recipe but a part of one, which sets "), problem
    result = call("train", ROOT / "gin" / "critics" / "gaussian_critic.gin", "-b", "Run.seed=1")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "which sets InfoNCE, GaussianCritic: include '" in result.stderr


def test_without_opengl_it_says_what_to_install(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(opengl.VARIABLE, raising=False)
    monkeypatch.setattr(opengl, "_candidates", lambda: ("none_such",))
    result = call("train", TINY, *bound(*PIXELS))
    assert result.exit_code == 2
    assert "Error: no OpenGL renders without a screen here (none_such: " in result.stderr
    assert "apt-get install -y" in result.stderr or opengl.VARIABLE in result.stderr
    assert not Path("runs").exists()


def test_every_mistake_of_a_recipe_comes_at_once(call: Call) -> None:
    result = call("check", TINY, *bound("Trainer.stps=3", "Replay.batch=2.5", "InfoNCE.axis='rows'"))
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 3
    assert result.stdout.startswith("-b 'Trainer.stps=3': ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian", "x"], "There is no command 'trian'; did you mean 'train'?"),
        (["check", "--dep", "x"], "'--deep'"),
        (["train"], "Missing argument 'RECIPE'"),
        (["train", "tiny", "--seed", "one"], "'one' is not a valid integer"),
        (["train", "tiny", "--name", "a/b"], "give one word without '/'"),
        (["train", "dreamr_v1"], "did you mean 'dreamer_v1'?"),
        (["show", "no/such.gin"], "There is no recipe 'no/such.gin'"),
        (["diff", "dreamer_v1", "dreamer"], "There is no recipe 'dreamer'"),
        (["list", "critic"], "did you mean 'critics'?"),
        (["list", "--import", "no_such_module"], "there is no module 'no_such_module'"),
        (["describe", "Infonce"], "did you mean 'InfoNCE'?"),
        (["describe", "critics.InfoNCE"], "in `critics`"),
        (["describe", "Contrst"], "There is no component 'Contrst'; did you mean 'Contrast'? If it is your own, import its module"),
        (["test", "negative"], "There is no component 'negative'; if it is your own, import its module: `import your_module`"),
        (["test", "mine.py"], "'mine.py' is a file: name the class in it, with --import mine."),
        (
            ["list", "--import", "../mine"],
            "'../mine' is not the name of a module: write one such as far_away, whose file is in the working directory.",
        ),
        (["list", "--import", "mine.py"], "a module is imported by its name: write mine in place of mine.py."),
        (["train", "quickstart", "Trainer.updates=50"], "'Trainer.updates=50' is a binding: write -b before it."),
        (["sweep", "quickstart", "Trainer.updates=50"], "is no recipe but a binding: write -b 'Trainer.updates=50'."),
        (
            ["lab", "negatives", "--only", "FarAway"],
            "if it is your own, import its module: `import your_module` in the recipe, or `--import ",
        ),
        (
            ["lab", "critics", "--only", "FarAway"],
            "if it is your own, import its module: `import your_module` in the recipe, or `--import ",
        ),
        (["ui", "--port", "0"], "0 is not in the range"),
    ],
)
def test_what_is_mistyped_gets_the_nearest_name(call: Call, arguments: list[str], words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) <= 24


def test_the_nearest_file_of_ones_own_is_named(call: Call) -> None:
    Path("far_away.gin").write_text("include 'recipes/quickstart.gin'\n")
    Path("far_away.py").write_text("")
    assert call("check", "far_awya.gin").stdout.startswith("far_awya.gin: There is no recipe 'far_awya.gin'; did you mean 'far_away.gin'?")
    module = call("list", "--import", "far_awya").stderr
    assert "there is no module 'far_awya' in the working directory or installed; did you mean 'far_away'?" in module


def test_a_class_that_is_not_registered_is_said_to_be_none(call: Call) -> None:
    Path("unregistered_one.py").write_text(
        "from framework import negatives\n\n\nclass NotEntered(negatives.Negatives):\n"
        '    """All."""\n\n    def choose(self, contrast, key):\n        return contrast\n'
    )
    words = "class NotEntered (unregistered_one.py:4) is not registered: write @negatives.register above it."
    assert words in call("test", "NotEntered", "--import", "unregistered_one").stderr
    assert words in call("check", TINY, "--import", "unregistered_one", *bound("InfoNCE.negatives=@negatives.NotEntered")).stdout


def test_the_process_itself_exits_with_2_and_shows_no_traceback(tmp_path: Path) -> None:
    run = spawn("train", TINY, "-b", "Trainer.steps=1e6", folder=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == "Error: -b 'Trainer.steps=1e6': Trainer.steps takes a whole number, not 1000000.0; write 1000000.\n"


def test_an_opengl_that_does_not_exist_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    run = spawn("train", TINY, *bound(*PIXELS), folder=tmp_path, MUJOCO_GL="nonsense")
    assert run.returncode == 2
    assert "-b 'Run.environment=@environments.DMControl': MuJoCo fails with MUJOCO_GL=nonsense" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_ours_keeps_its_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("framework.training.checks.check", broken)
    assert isinstance(call("check", TINY).exception, ZeroDivisionError)
