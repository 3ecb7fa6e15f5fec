"""Faults of the process, of its environments and of its files, each a function of one try."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import torch
from fault_lab import MODES, Lab, Try, compared, kill
from fault_lab import points as mirrored

import framework
from framework.errors import UserError
from framework.tracking import jsonl
from framework.training import checkpoints
from framework.training.checkpoints import Checkpoints
from tests.training.conftest import TINY
from tests.training.test_killed import killed_at_file

SECONDS_TO_EXIT = 10.0
"""Of a machine that is not busy; otherwise in proportion to the processes that wait for a processor."""
FAULTY = TINY.with_name("faulty.gin")
ERRORS = {
    "raise": (),
    "exit": ("Run.environments=2",),
    "hang": ("Run.environment_timeout=2.0",),
    "nan": (),
    "nan reward": (),
    "shape": (),
}


def killed(lab: Lab, mode: str, kills: int = 1) -> Try:
    """Killed with SIGKILL at a random moment after its first checkpoint, and so are the resumes before the last one."""
    whole, seconds = lab.whole(mode)
    name, orphans = lab.new(), 0
    for _ in range(kills):
        folder = lab.find(name)
        run = lab.start(partial(framework.resume, str(folder)) if folder else lab.compose(mode, name).train)
        lab.wait_for_checkpoint(name, run)
        time.sleep(lab.random.uniform(0, seconds))
        orphans += kill(run)
    return _resumed(lab, name, whole, orphans)


def killed_in_a_checkpoint(lab: Lab) -> Try:
    """Killed before a random one of the changes that a run makes to its files, most of which are of checkpoints."""
    whole, _ = lab.whole("serial")
    name = lab.new()
    killed_at_file(lab.random.randrange(10, 90), lambda: lab.compose("serial", name).train())
    return _resumed(lab, name, whole, 0)


def _resumed(lab: Lab, name: str, whole: Path, orphans: int) -> Try:
    """What the last resume of a run ends with, against a whole run."""
    folder = lab.find(name)
    if folder is None:
        return Try(remark="before its first checkpoint", wrong=f"{orphans} orphans" if orphans else "")
    status = lab.call(lambda: framework.resume(str(folder)))
    if status or orphans:
        return Try(wrong=f"the resume ended with {status}, {orphans} orphans")
    return compared(folder, whole)


def signaled(lab: Lab, number: signal.Signals) -> Try:
    """`dream train` in workers, signaled at a random moment (alone, or with its whole process group); then `dream resume`."""
    name = lab.new()
    bindings = [f"Tracking.folder='{lab.runs}'", "Trainer.steps=1000000", "Evaluation.every=60", *MODES["workers"]]
    command = [sys.executable, "-m", "framework", "train", str(TINY), "--name", name, *(each for b in bindings for each in ("-b", b))]
    with lab.log.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as run:
        while lab.find(name) is None and run.poll() is None:
            time.sleep(0.05)
        time.sleep(lab.random.uniform(0, 5))
        process = psutil.Process(run.pid)
        family, started, before = process.children(recursive=True), time.monotonic(), sum(process.cpu_times()[:2])
        load = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        if lab.random.random() < 0.5:
            run.send_signal(number)
        else:
            for each in (process, *family):
                each.send_signal(number)
        while run.poll() is None and time.monotonic() - started < 120:
            with suppress(psutil.Error):
                worked = sum(process.cpu_times()[:2]) - before
            time.sleep(0.05)
        status = run.poll()
        run.kill()
    seconds = time.monotonic() - started
    _, orphans = psutil.wait_procs(family, timeout=5)
    folder = lab.find(name)
    assert folder is not None
    *_, last = jsonl.read(folder)
    step, _ = Checkpoints(every=40, folder=folder / "checkpoints").load()
    logged = max((point[0] for point in mirrored(folder)), default=0)
    wrong = [f"exit status {status}"] * (status != 130) + [f"{seconds:.0f} s to exit"] * (seconds > SECONDS_TO_EXIT * load)
    wrong += [f"{len(orphans)} orphans"] * bool(orphans) + [f"it ends with {last}"] * (last.get("status") != "KILLED")
    again = lab.call(lambda: framework.resume(str(folder), [f"Trainer.steps={step + 20}"]))
    wrong += [f"the resume ended with {again}"] * bool(again)
    return Try(
        steps=max(0, logged - step),
        wrong="; ".join(wrong),
        remark=f"{seconds:.1f} s, {worked:.1f} of them of a processor (load {load:.1f})",
    )


def flipped(lab: Lab, kind: str) -> Try:
    """One bit of a file of the last checkpoint flips: it is named, and the checkpoint before is loaded."""
    whole, _ = lab.whole("serial")
    last = checkpoints.find(whole / "checkpoints", "latest")
    files = [path for path in sorted(last.rglob("*.pt")) if (path.parent.name == "replay") == (kind == "replay")]
    file = lab.random.choice([path for path in files if path.stat().st_nlink == 1])
    intact = file.read_bytes()
    place = lab.random.randrange(len(intact))
    file.write_bytes(intact[:place] + bytes([intact[place] ^ 1 << lab.random.randrange(8)]) + intact[place + 1 :])
    try:
        Checkpoints(every=40, folder=whole / "checkpoints").load(last)
    except UserError as error:
        named = file.name in str(error)
    else:
        return Try(wrong=f"unnoticed in {file.name}")
    finally:
        step, _ = Checkpoints(every=40, folder=whole / "checkpoints").load()
        file.write_bytes(intact)
    return Try(wrong="" if named and step < int(last.name.split("-")[1]) else f"{file.name} is not named, or step {step} was loaded")


def failed(lab: Lab, how: str, mode: str) -> Try:
    """An environment fails in one step of a random episode: training goes on, and what is not finite is never stored."""
    name, bindings = lab.new(), (*MODES[mode], *ERRORS[how], f"Faulty.how='{how}'", f"Faulty.episodes=({lab.random.randrange(1, 4)},)")
    place = [f"Tracking.folder='{lab.runs}'", f"Tracking.name='{name}'", "Evaluation.every=1000000"]
    status = lab.call(lambda: framework.compose(FAULTY, [*place, *bindings]).train())
    folder = lab.find(name)
    if status or folder is None:
        return Try(wrong=f"it ended with {status}")
    path = checkpoints.find(folder / "checkpoints", "latest")
    step, contents = checkpoints.read(path)
    errors, environments = contents["progress"]["environment_errors"], 2 if "Run.environments=2" in bindings else 1
    stored = [torch.load(each, weights_only=True) for each in (path / "replay").glob("steps-*.pt")]
    finite = all(values.isfinite().all() for chunk in stored for values in chunk.values())
    wrong = [f"{errors} errors were counted, not {environments}"] * (errors != environments) + ["a nan was stored"] * (not finite)
    return Try(steps=max(0, 100 - step), wrong="; ".join(wrong))


def resumed_twice(lab: Lab) -> Try:
    """Two resumes at once: one trains, and the other is refused, or comes after it; no point twice."""
    name = lab.new()
    lab.call(lambda: lab.compose("serial", name).train())
    folder = lab.find(name)
    assert folder is not None

    def resume() -> None:
        try:
            framework.resume(str(folder), ["Trainer.steps=200"])
        except UserError as error:
            raise SystemExit(3 if "is being trained by process" in str(error) else 4) from None

    first = lab.start(resume)
    time.sleep(lab.random.uniform(0, 0.5))
    second = lab.start(resume)
    for process in (first, second):
        process.join()
    ends = sorted(process.exitcode or 0 for process in (first, second))
    rows = mirrored(folder)
    twice = len(rows) - len({row[:2] for row in rows})
    step, _ = checkpoints.read(checkpoints.find(folder / "checkpoints", "latest"))
    wrong = [f"they ended with {ends}"] * (ends not in ([0, 3], [0, 0])) + [f"{twice} points twice"] * bool(twice)
    return Try(steps=200 - step, wrong="; ".join(wrong), remark="refused" if ends == [0, 3] else "one after the other")
