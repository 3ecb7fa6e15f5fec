"""An agent's update with only the steps of its loops compiled: a fraction of the time that one graph of everything takes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from framework.agent import Agent
from framework.data import Batch, Latent, Metrics, UpdateNoise

Step = Callable[..., Any]


@final
class CompiledSteps:
    """`Agent.update` with compiled steps. A step of filtering, one of imagination and the policy's are each compiled by themselves.

    The compiled step stands where the agent's own is only while this runs, so that acting, pictures, checkpoints and pickles know
    nothing of it, and one that fails to compile is out of the way again.
    """

    def __init__(self, agent: Agent, *, backend: str = "inductor") -> None:
        dynamics, behavior = agent.world_model.dynamics, agent.behavior
        imagined = dynamics.imagine_step if behavior.shapes_model else _held(dynamics, "imagine_step")
        steps: list[tuple[nn.Module, str, Step]] = [
            (dynamics, "recur", dynamics.recur),
            (dynamics, "imagine_step", imagined),
            (behavior, "sample", behavior.sample),
            (behavior, "sample_with_parameters", behavior.sample_with_parameters),
        ]
        self._agent = agent
        self._steps = [(owner, name, _cell(step, backend)) for owner, name, step in steps]

    def __call__(self, batch: Batch, noise: UpdateNoise) -> Metrics:
        with ExitStack() as stack:
            for owner, name, cell in self._steps:
                stack.enter_context(patched(owner, name, cell))
            return self._agent.update(batch, noise)


def _cell(step: Step, backend: str) -> Step:
    """A step compiled. Its first argument comes from the step before, and the very first would be compiled by itself but for `_reached`."""
    compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=backend)
    return lambda before, *given: compiled(_reached(before), *given)


def _reached(before: Any) -> Any:
    """As if a gradient reached it, where gradients are taken."""
    if isinstance(before, Latent):
        return before.map(_reached)
    assert isinstance(before, Tensor)
    return before.detach().requires_grad_() if torch.is_grad_enabled() and not before.requires_grad else before


def _held(module: nn.Module, method: str) -> Step:
    """A method on detached parameters: a compiled step computes every gradient that it could give, and nobody asks for those."""
    held = _Held(module, method)
    return lambda *given: functional_call(held, {name: value.detach() for name, value in held.named_parameters()}, given)


@final
class _Held(nn.Module):
    """One method of a module as a `forward`, which is what can be called on other parameters."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self._method = module, getattr(type(module), method)

    def forward(self, *given: Any) -> Any:
        return self._method(self.module, *given)


@contextmanager
def patched(owner: Any, method: str, other: Callable[..., object]) -> Iterator[None]:
    """While entered, an object has another method in place of its own."""
    vars(owner)[method] = other
    try:
        yield
    finally:
        del vars(owner)[method]
