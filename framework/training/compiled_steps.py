"""An agent's update with the steps of its loops compiled: a fraction of the time that compiling all of it takes."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from framework.agent import Agent
from framework.data import Batch, Latent, Metrics, UpdateNoise
from framework.errors import UserError

log = logging.getLogger(__name__)
Step = Callable[..., Any]
CACHE: Final = "TORCHINDUCTOR_CACHE_DIR"
CACHE_FOLDER: Final = os.path.expanduser("~/.cache/dream-framework/compiled")
"""Holds compiled code, unless the user names another folder or has no home: torch's own default is among temporary files."""


@final
class CompiledSteps:
    """`Agent.update` with one step of filtering, one of imagination and the policy compiled, each by itself.

    The compiled steps replace the agent's own only during an update, so that acting, pictures, checkpoints and pickles use the plain ones.
    The first update compiles, and announces that on standard error. If compilation fails, `falls_back` goes on with the plain update
    after one warning; else a `UserError` is raised. The first update may run twice: the agent changes only after every step has run.
    """

    def __init__(self, agent: Agent, *, falls_back: bool, backend: str = "inductor") -> None:
        from torch._inductor.runtime.cache_dir_utils import default_cache_dir  # imports torch's whole compiler

        is_default = os.environ.get(CACHE) in (None, default_cache_dir())  # torch sets its own default when it is imported
        if is_default and os.path.isabs(CACHE_FOLDER):
            os.environ[CACHE] = CACHE_FOLDER
        self._agent, self._falls_back = agent, falls_back
        self._update: Callable[[Batch, UpdateNoise], Metrics] = self._first_update
        dynamics, behavior = agent.world_model.dynamics, agent.behavior
        imagined = dynamics.imagine_step if behavior.shapes_model else _detached(dynamics, "imagine_step")
        steps: list[tuple[nn.Module, str, Step]] = [
            (dynamics, "recur", dynamics.recur),
            (dynamics, "imagine_step", imagined),
            (behavior, "sample", behavior.sample),
            (behavior, "sample_with_parameters", behavior.sample_with_parameters),
        ]
        self._steps = [(owner, name, _compiled(step, backend)) for owner, name, step in steps]

    def __call__(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        return self._update(batch, noise)

    def _compiled_update(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        with ExitStack() as stack:
            for owner, name, step in self._steps:
                stack.enter_context(patched(owner, name, step))
            return self._agent.update(batch, noise)

    def _first_update(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        started = time.monotonic()
        text = f"Compiling the update: minutes the first time, seconds if an earlier run left it in {os.environ[CACHE]} .."
        print(text, file=sys.stderr, flush=True)
        try:
            metrics = self._compiled_update(batch, noise)
        except Exception as error:  # a compiler fails in many ways, and few of its exceptions are public
            metrics = self._agent.update(batch, noise)  # an error of the update itself is raised here as it is
            failure = f"torch.compile fails on the update ({_reason(error)})"
            if not self._falls_back:
                raise UserError(f"{failure}; bind Runtime.compile = 'auto' to go on without it where that happens, or 'off'.") from error
            log.warning("%s: it runs uncompiled, as with Runtime.compile = 'off'.", failure)
            self._update = self._agent.update
        else:
            print(f"Compiled the update in {time.monotonic() - started:.0f} s.", file=sys.stderr, flush=True)
            self._update = self._compiled_update
        return metrics


def _compiled(step: Step, backend: str) -> Step:
    """A compiled step. Its first argument comes from the step before; the first one of all requires a gradient, to be compiled alike."""
    compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=backend)
    return lambda before, *arguments: compiled(_requiring_grad(before), *arguments)


def _requiring_grad(before: Any) -> Any:
    """The same values with a gradient required, where gradients are taken: else the first step would be compiled a second time."""
    if isinstance(before, Latent):
        return before.map(_requiring_grad)
    assert isinstance(before, Tensor)
    return before.detach().requires_grad_() if torch.is_grad_enabled() and not before.requires_grad else before


def _detached(module: nn.Module, method: str) -> Step:
    """A method on detached parameters, since a compiled step computes all gradients that it could give, needed or not."""
    forward = _Method(module, method)
    return lambda *arguments: functional_call(forward, {name: value.detach() for name, value in forward.named_parameters()}, arguments)


@final
class _Method(nn.Module):
    """One method of a module as a `forward`, which `functional_call` can give other parameters."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self._method = module, getattr(type(module), method)

    def forward(self, *arguments: Any) -> Any:
        return self._method(self.module, *arguments)


@contextmanager
def patched(owner: Any, method: str, replacement: Callable[..., object]) -> Iterator[None]:
    """Replace a method of one object while entered."""
    vars(owner)[method] = replacement
    try:
        yield
    finally:
        del vars(owner)[method]


def _reason(error: Exception) -> str:
    """The first line of the error inside, without the compiler's frames."""
    inner: Any = vars(error).get("inner_exception") or error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"{type(inner).__name__}: {lines[0][:200]}" if lines else type(inner).__name__
