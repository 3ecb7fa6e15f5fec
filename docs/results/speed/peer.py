"""An update of ours against one of r2dreamer (NM512/r2dreamer) with its InfoNCE loss: same sizes, batch and precision, in turns.

    python docs/results/speed/peer.py PATH_TO_ITS_CHECKOUT OUT.json --size 12M --rounds 5

Its sampling is free here, a batch of random numbers that exists already; ours samples. It needs omegaconf and tensorboard besides our
own requirements; nothing of it is in this project. On a CPU it runs uncompiled, in float32 or in bfloat16; elsewhere compiled and in
float16, which are its defaults.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

import framework
from framework.bench import machine, setup
from framework.bench.update import SampledUpdate

BATCH, LENGTH, ACTIONS = 16, 64, 6


class PeerUpdate:
    """The update of r2dreamer's agent, on a batch in place of its replay."""

    def __init__(self, checkout: Path, size: str, device: torch.device, precision: torch.dtype) -> None:
        sys.path.insert(0, str(checkout))
        import dreamer  # of the checkout

        if device.type == "cpu":
            autocast = torch.autocast("cpu", dtype=precision) if precision != torch.float32 else contextlib.nullcontext()
            dreamer.autocast = lambda **arguments: autocast
        spaces = SimpleNamespace(spaces={"image": SimpleNamespace(shape=(64, 64, 3))})
        self.agent = dreamer.Dreamer(_config(checkout, size, device), spaces, gymnasium.spaces.Box(-1, 1, (ACTIONS,), np.float32)).to(
            device
        )
        self.data = _batch(device)
        with torch.no_grad():
            self.initial = self.agent.rssm.initial(BATCH)

    def __call__(self) -> object:
        return self.agent.update(self)

    def sample(self) -> tuple[TensorDict, None, Any]:
        return self.data.clone(recurse=False), None, self.initial

    def update(self, *latents: object) -> None:
        """A replay would store the latents."""


def _config(checkout: Path, size: str, device: torch.device) -> Any:
    base, sized, env = (
        OmegaConf.load(checkout / "configs" / name) for name in ("model/_base_.yaml", f"model/size{size}.yaml", "env/dmc_vision.yaml")
    )
    del sized["defaults"]
    ours = {"rep_loss": "infonce", "compile": device.type != "cpu"}
    whole = OmegaConf.create({"device": str(device), "seed": 0, "env": env, "model": OmegaConf.merge(base, sized, ours)})
    OmegaConf.resolve(whole)
    return whole.model


def _batch(device: torch.device) -> TensorDict:
    draw = torch.Generator().manual_seed(0)
    false = torch.zeros(BATCH, LENGTH, 1, dtype=torch.bool)
    first = false.clone()
    first[:, 0] = True
    data = {
        "image": torch.randint(256, (BATCH, LENGTH, 64, 64, 3), dtype=torch.uint8, generator=draw),
        "action": 2 * torch.rand(BATCH, LENGTH, ACTIONS, generator=draw) - 1,
        "reward": torch.randn(BATCH, LENGTH, 1, generator=draw),
        "is_first": first,
        "is_last": false,
        "is_terminal": false,
    }
    return TensorDict(data, batch_size=(BATCH, LENGTH)).to(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkout", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("--size", default="12M")
    options.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--binding", action="append", default=[])
    arguments = options.parse_args()
    bindings = [
        f"size='{arguments.size}'",
        f"Runtime.precision='{arguments.precision}'",
        f"Runtime.device='{arguments.device}'",
        *arguments.binding,
    ]
    ours = SampledUpdate(framework.compose("dreamer_v3_infonce", bindings), ACTIONS)
    runtime = ours.run.runtime
    device, dtype = runtime.device, getattr(torch, runtime.precision)
    peer = PeerUpdate(arguments.checkout, arguments.size, device, dtype)
    before = machine.limits(device, dtype)
    begun = time.perf_counter()
    first = {"ours": seconds(ours, device), "theirs": seconds(peer, device)}
    for _ in range(2 if device.type == "cuda" else 1):
        ours(), peer()
    times = [(seconds(ours, device), seconds(peer, device)) for _ in range(arguments.rounds)]
    after = machine.limits(device, dtype)
    mine, others = zip(*times, strict=True)
    report = {
        "first_seconds": first,
        "ours_seconds": mine,
        "theirs_seconds": others,
        "median": {"ours": statistics.median(mine), "theirs": statistics.median(others)},
        "median_ratio": statistics.median(other / own for own, other in times),
        "product_flops": [before.flops, after.flops],
        "parameters": {
            "ours": sum(each.numel() for each in ours.agent.parameters() if each.requires_grad),
            "theirs": sum(each.numel() for each in peer.agent._named_params.values()),
        },
        "wall_seconds": time.perf_counter() - begun,
        "setting": setup.setting(ours.run, ours.specs) | {"batch": BATCH, "length": LENGTH},
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["median"]), report["median_ratio"])


if __name__ == "__main__":
    main()
