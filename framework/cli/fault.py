"""`replay-fault`."""

from pathlib import Path

import click

import framework
from framework.cli import options, output


@click.command("replay-fault")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="Where the update is made, such as cpu or cuda:1.")
@options.as_json
@click.pass_context
def replay_fault_command(ctx: click.Context, file: Path, device: str, as_json: bool) -> None:
    """Make the update again in which a run diverged.

    FILE is the `diverged.pt` of a run; it holds all that is needed, on another machine too. The status is 1 where every number is finite
    here.

    \b
    dream replay-fault runs/quickstart-20260101-120000-0/diverged.pt
    """
    fault = framework.replay_fault(file, device=device)
    if as_json:
        facts = {"step": fault.step, "update": fault.update, "then": fault.then, "here": fault.here, "not_finite": fault.not_finite}
        output.as_json(
            {name: _texts(value) if isinstance(value, dict) else value for name, value in facts.items()} | {"again": fault.again}
        )
    else:
        click.echo(f"Update {fault.update}, at step {fault.step:,}\n")
        output.table(
            ["metric", "then", "here"], [[name, str(fault.then.get(name, "finite")), str(value)] for name, value in fault.here.items()]
        )
        for name, count in fault.not_finite.items():
            click.echo(f"\n{name} holds {count:,} numbers that are not finite before the update.")
        click.echo("\nThe update diverges here too." if fault.again else "\nEvery number is finite here.")
    ctx.exit(0 if fault.again else 1)


def _texts(values: dict[str, float]) -> dict[str, str]:
    """Numbers as texts, since JSON has no nan."""
    return {name: str(value) for name, value in values.items()}
