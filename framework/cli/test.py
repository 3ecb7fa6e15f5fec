"""`test`: the contract of a family, run on one component."""

import inspect
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import click

from framework.cli import options, output
from framework.cli.components import find_component, import_modules
from framework.errors import UserError
from framework.text import PACKAGE, display

if TYPE_CHECKING:
    from framework.lab.members import Member

RAISED: Final = re.compile(r"^(AssertionError|framework\.errors\.UserError): ")
OPTIONS: Final = ("-p", "no:cacheprovider", "-c", "/dev/null", "--noconftest", "--tb=short", "-o", "python_classes=*Contract")
"""Neither the settings of the folder's own tests nor theirs of this package; every contract is a class."""


@click.command("test")
@click.argument("component")
@options.imports
@options.bindings
@options.as_json
@click.pass_context
def test_command(ctx: click.Context, component: str, imports: tuple[str, ...], bindings: tuple[str, ...], as_json: bool) -> None:
    """Run the contract of its family on a component of your own.

    COMPONENT is a name as recipes write it. Settings have their defaults, or are bound with -b. The exit status is 1 if a test fails.

    \b
    dream test FarAway --import far_away -b FarAway.steps=3
    """
    if find_spec("pytest") is None:
        raise UserError("The contracts run under pytest, which is not installed: run `pip install 'dream-framework[test]'`.")
    _check_shapes_of(imports)
    import_modules(imports)
    described = find_component(component)
    if described.family == "parts":
        raise UserError(f"{described.name} is a fixed part, and its family has no contract; name a component of another family.")
    from framework.lab.members import member_of

    run, began = _Run(member_of(described.family, described.name, bindings)), time.monotonic()
    run.start(PACKAGE / "testing" / f"{described.family}.py")
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        counts = {"passed": run.passed, "skipped": run.skipped, "failed": len(run.failures), "seconds": seconds}
        output.as_json({"component": described.selector, "place": described.place, **counts, "failures": run.failures})
    else:
        run.show(seconds)
    if run.failures:
        ctx.exit(1)


def _check_shapes_of(modules: Sequence[str]) -> None:
    """Check the shapes that a user's own annotations state, where beartype is installed to do so."""
    if modules and find_spec("beartype") is not None:
        from jaxtyping import install_import_hook

        install_import_hook([*modules], "beartype.beartype")


@final
class _Run:
    """A plugin of pytest that gives the component to the contract, and keeps what fails."""

    def __init__(self, member: "Member") -> None:
        self.member, self.passed, self.skipped = member, 0, 0
        self.failures: list[dict[str, str]] = []

    def start(self, file: Path) -> None:
        import pytest

        log = StringIO()
        with redirect_stdout(log):
            status = pytest.main([str(file), *OPTIONS, f"--rootdir={file.parent}"], plugins=[self])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not self.passed + len(self.failures):
            raise UserError(f"pytest could not run the contract of {self.member.name}:\n{log.getvalue()}")

    def show(self, seconds: float) -> None:
        """One sentence for each reason, and the assertion below it; tests that fail for a reason that was shown are counted."""
        name, family = self.member.name, self.member.component.family
        alike, shown = Counter(failure["reason"] for failure in self.failures), dict[str, dict[str, str]]()
        for failure in self.failures:
            shown.setdefault(failure["reason"], failure)
        for failure in shown.values():
            output.sentence(f"{failure['place']}: {name} violates '{failure['promise']}': {failure['reason']}")
            click.echo(f"    {(failure['assertion'].splitlines() or [''])[0]}\n" if failure["assertion"] else "", nl=False)
            if alike[failure["reason"]] > 1:
                click.echo(f"    {alike[failure['reason']]} tests fail for this reason.")
        tests = self.passed + len(self.failures)
        skipped = f", and {self.skipped} {'does' if self.skipped == 1 else 'do'} not apply to it" if self.skipped else ""
        if self.failures:
            click.echo(f"\n{len(self.failures)} of {tests} tests of the contract of `{family}` fail{skipped} ({seconds} s).")
        else:
            click.echo(f"{name} keeps the contract of `{family}`: {tests} tests pass{skipped} ({seconds} s).")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "member" in metafunc.fixturenames:
            metafunc.parametrize("member", [self.member], ids=[self.member.name])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._fail(report.location[2].rpartition(".")[2].partition("[")[0], report.longrepr)
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1

    def _fail(self, test: str, details: Any) -> None:
        reason, *assertion = RAISED.sub("", details.reprcrash.message).splitlines()
        if reason.startswith("assert "):
            reason, assertion = "what its assertion says does not hold", [reason, *assertion]
        self.failures.append(
            {
                "test": test,
                "promise": test.removeprefix("test_").replace("_", " "),
                "place": next(self._places(details), self.member.component.place),
                "reason": reason,
                "assertion": "\n".join(assertion),
            }
        )

    def _places(self, details: Any) -> Iterator[str]:
        """The lines of the component's own file in the traceback, the last call first."""
        file = Path(inspect.getsourcefile(self.member.cls) or "")
        for entry in reversed(details.reprtraceback.reprentries):
            location = getattr(entry, "reprfileloc", None)
            if location is not None and Path(location.path).resolve() == file.resolve():
                yield f"{display(file)}:{location.lineno}"
