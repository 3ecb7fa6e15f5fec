"""The recipe of a run imports the code beside it only if a training of this user wrote it."""

import os
import py_compile
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from framework.composition import trust
from framework.errors import Place, UserError
from tests.composition.agents import ROOT, Write, plan
from tests.composition.conftest import AGENT


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a user without trainings."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "dream-framework" / "trusted-code"


def planted(write: Write, module: str) -> Path:
    """The recipe of a run that someone else made, whose code defines `EXECUTED`."""
    write(f"run/code/{module}.py", "EXECUTED = True\n")
    return write("run/resolved.gin", f"import {module}\n{AGENT}")


def refusal(recipe: Path) -> str:
    """The sentence with which a recipe is refused."""
    with pytest.raises(UserError) as refused:
        plan(recipe)
    return str(refused.value)


def test_foreign_code_is_listed_and_not_imported(write: Write, store: Path) -> None:
    recipe = planted(write, "trust_foreign")
    write("run/code/trust_more/deep.py", "")
    message = refusal(recipe)
    assert message.startswith("run/resolved.gin:1: this run or policy has code that none of your trainings wrote")
    assert "would run: run/code/trust_foreign.py, run/code/trust_more/deep.py; " in message
    assert "--trust" in message
    assert "DREAM_TRUST=1" in message
    assert "trust_foreign" not in sys.modules


def test_trust_and_the_environment_let_it_run(write: Write, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.composition import plan as read

    assert read(planted(write, "trust_given"), root=ROOT, trust=True).problems == ()
    monkeypatch.setenv("DREAM_TRUST", "1")
    assert plan(planted(write, "trust_in_environment")).problems == ()
    assert {"trust_given", "trust_in_environment"} <= sys.modules.keys()


def test_a_recipe_that_is_not_of_a_run_is_a_program_of_the_user(write: Write, store: Path) -> None:
    write("trust_own.py", "")
    assert plan(write("mine.gin", f"import trust_own\n{AGENT}")).problems == ()


def test_a_recipe_of_the_user_that_includes_a_run_does_not_trust_it(write: Write, store: Path) -> None:
    planted(write, "trust_included")
    assert refusal(write("mine.gin", "include 'run/resolved.gin'\n")).startswith("run/resolved.gin:1: ")
    assert "trust_included" not in sys.modules


def test_code_that_this_user_wrote_is_recognized_wherever_it_lies_and_however_lines_end(write: Write, store: Path) -> None:
    recipe = planted(write, "trust_moved")
    write("mine.py", "")
    trust.record([write("trust_moved.py", "EXECUTED = True\r\n"), write("mine.py", "")])
    assert plan(recipe).problems == ()
    assert store.stat().st_mode & 0o777 == 0o600
    assert len(store.read_text().splitlines()) == 2
    trust.record([write("mine.py", "")])
    assert len(store.read_text().splitlines()) == 2


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_not_believed(write: Write, store: Path, mode: int) -> None:
    recipe = planted(write, f"trust_believed_{mode}")
    trust.record((recipe.parent / "code").glob("*.py"))
    store.chmod(mode)
    assert "none of your trainings wrote" in refusal(recipe)


PLANTED: dict[str, Callable[[Path], object]] = {
    "a changed module": lambda code: (code / "trust_whole.py").write_text("EXECUTED = 'other'\n"),
    "the name of a library": lambda code: (code / "numpy.py").write_text("raise SystemExit\n"),
    "an extension": lambda code: (code / "yaml.so").write_bytes(b"\x7fELF"),
    "compiled code": lambda code: (code / "yaml.pyc").write_bytes(b""),
    "a linked package": lambda code: (
        (code.parent / "far").mkdir(),
        (code.parent / "far" / "x.py").touch(),
        (code / "pkg").symlink_to("../far"),
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_python_could_import_beside_recognized_code_is_refused(write: Write, store: Path, kind: str) -> None:
    recipe = planted(write, "trust_whole")
    trust.record((recipe.parent / "code").glob("*.py"))
    PLANTED[kind](recipe.parent / "code")
    assert "none of your trainings wrote" in refusal(recipe)
    assert "trust_whole" not in sys.modules


def test_a_cached_file_that_differs_from_its_source_does_not_run(write: Write, store: Path) -> None:
    recipe = planted(write, "trust_cached")
    source = recipe.parent / "code" / "trust_cached.py"
    own, times = source.read_bytes(), source.stat()
    trust.record([source])
    source.write_bytes(own.replace(b"True", b"3333"))
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    py_compile.compile(str(source))
    source.write_bytes(own)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert plan(recipe).problems == ()
    assert sys.modules["trust_cached"].EXECUTED is True


def test_several_ranks_may_drop_the_cached_files_of_one_run_at_once(write: Write, store: Path) -> None:
    code = planted(write, "trust_ranks").parent / "code"
    trust.record(code.glob("*.py"))
    for number in range(100):
        write(f"run/code/package_{number}/__pycache__/cached.bin", "")
    with ThreadPoolExecutor(4) as ranks:
        assert list(ranks.map(lambda place: trust.require_own(code, place), [Place("x", 1)] * 4)) == [None] * 4
    assert not list(code.rglob("__pycache__"))


def test_a_training_on_a_full_or_foreign_home_goes_on_with_a_warning(write: Write, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    write("data", "no folder")
    trust.record([write("mine.py", "")])
    assert "will need --trust" in caplog.text
    with pytest.raises(UserError, match=r"would run: mine\.py"):
        trust.require_own(Path.cwd(), Place("x", 1))
