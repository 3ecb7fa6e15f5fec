"""Small agents of every component whose results depend on the other rows of a batch, and what three updates make of them."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as distributed
from torch import Tensor

from framework.agent import Agent
from framework.data import Batch, ExtraSteps, Factory, Metrics, UpdateNoise
from framework.functional import ranks
from framework.registry import registry_of
from framework.testing.samples import OBSERVATIONS, batch, observe, seeded, specs_of
from framework.training.compiled_steps import patched
from tests.members import agent_factory, behaviors, factory, members

SIZE, ROWS, TIMES, EXTRA = 2, 2, 5, 3
"""Ranks, and the sequences and the extra steps of each."""
UPDATES = 3
LOCAL: Mapping[str, Mapping[str, Any]] = {"InfoNCE": {}, "TemporalPredictive": {"noise": 0.0}}
"""Objectives whose losses on local candidates are compared with those of one process with the rows of a rank."""
Kind = str


@dataclass(frozen=True)
class Case:
    """An agent's factory, and what it observes."""

    agent: Factory[Agent]
    kind: Kind = "vectors"


def infonce(**settings: Any) -> Case:
    """An agent with InfoNCE alone."""
    parts = {"critic": factory("critics", "CosineCritic"), "chunk_above": 16_384}
    return of_objective(partial(factory("objectives", "InfoNCE"), **(parts | settings)))


def of_objective(objective: Factory[Any], **changes: Any) -> Case:
    return Case(_agent(objectives=[objective], **changes))


def _agent(**changes: Any) -> Factory[Agent]:
    settings = {"encoder": factory("encoders", "MLPEncoder"), "objectives": [], "horizon": 3} | changes
    made = agent_factory(**settings)
    # An epsilon far above the rounding of gradients: a step of Adam magnifies that of one near 0 to the size of the others.
    groups = {name: partial(each, epsilon=1e-2) for name, each in made.keywords["optimizers"].items()}
    return partial(made, **({"optimizers": groups} | {key: value for key, value in changes.items() if key == "optimizers"}))


def _negatives(name: str) -> Case:
    anchor = registry_of("negatives").get(name).anchor or "posterior"
    return infonce(negatives=factory("negatives", name), anchor=anchor)


def _objective(name: str) -> Case:
    if not registry_of("objectives").get(name).needs_second_view and name != "ActionConditionedCPC":
        decoders = {"decoders": {"*": factory("heads", "VectorHead")}} if name == "Reconstruction" else {}
        return of_objective(partial(factory("objectives", name), **decoders))
    case = of_objective(factory("objectives", name), encoder=factory("encoders", "RandomShift"))
    return replace(case, kind="pixels")


def _critic(name: str) -> Case:
    critic = registry_of("critics").get(name)
    axis = "column" if critic.normalized_over == "observation" else "row"
    objective = partial(factory("objectives", "InfoNCE"), critic=factory("critics", name), anchor=critic.anchor or "posterior", axis=axis)
    kind = "GaussianRSSM" if "gaussian" in critic.takes_latent else "CategoricalRSSM"
    return of_objective(objective, dynamics=factory("dynamics", kind))


def _behavior(name: str) -> Case:
    scaled = {"return_scale": "percentiles"} if name == "DynamicsBackprop" else {}
    return Case(_agent(actor_critic=partial(factory("actor_critics", name), **scaled)))


def _optimizer(name: str) -> Case:
    return Case(_agent(optimizers={group: factory("optimizers", name, epsilon=1e-2) for group in ("model", "actor", "value")}))


def _cases() -> dict[str, Case]:
    trained = [name for name in members("bounds") if registry_of("bounds").get(name).side != "upper"]
    families: Mapping[str, tuple[list[str], Callable[[str], Case]]] = {
        "objectives": (members("objectives"), _objective),
        "negatives": (members("negatives"), _negatives),
        "bounds": (trained, lambda name: infonce(bound=factory("bounds", name))),
        "critics": (members("critics"), _critic),
        "actor_critics": (sorted({name for name, _ in behaviors()}), _behavior),
        "dynamics": (members("dynamics"), lambda name: Case(_agent(dynamics=factory("dynamics", name)))),
        "optimizers": (members("optimizers"), _optimizer),
    }
    drawing = {"critic": factory("critics", "CosineCritic"), "negatives": factory("negatives", "MoCHi")}
    settings: dict[str, Case] = {
        "column": infonce(axis="column_as_released"),
        "symmetric": infonce(axis="symmetric"),
        "offsets": infonce(axis="symmetric", offsets=(1, 2)),
        "blocks": infonce(axis="symmetric", chunk_above=12),
        "blocks that draw": infonce(**drawing, chunk_above=12),
        "detached candidates": infonce(embedding_gradient="stop"),
        "free nats of the mean": Case(_agent(dynamics=factory("dynamics", "GaussianRSSM", free_nats=2.0, free_nats_on="mean"))),
        "gathered queue of a slow encoder": infonce(negatives=factory("negatives", "MemoryQueue", size=30, slow_rate=0.1)),
        "cosine": of_objective(factory("objectives", "NextEmbedding", distance="cosine")),
        "diagnostics": infonce(diagnostics=[factory("bounds", name) for name in ("DonskerVaradhan", "LeaveOneOut", "SMILE")]),
    }
    return {f"{family}.{name}": make(name) for family, (names, make) in families.items() for name in names} | settings


CASES = _cases()


@dataclass(frozen=True)
class Trained:
    """Metrics and gradients of each update, the diagnostics, and the agent after the last update."""

    metrics: list[dict[str, float]]
    gradients: list[Tensor]
    state: dict[str, Tensor]


def train(case: Case) -> Trained:
    """Three updates, on the rows of this rank of the batches that all ranks have together."""
    torch.manual_seed(1)
    agent = case.agent(specs=specs_of(case.kind))
    generator, metrics, gradients = seeded(2), list[dict[str, Tensor]](), list[Tensor]()
    with ExitStack() as stack:
        for optimizer in agent.optimizers.values():
            stack.enter_context(patched(optimizer, "step", partial(_recorded, optimizer.step, gradients)))
        for number in range(UPDATES):
            data = whole_batch(case.kind, number)
            noise = agent.draw_noise(data, generator)
            data, noise = (data, noise) if ranks.size() == 1 else (rows_of(data), noise_of(noise))
            metrics.append(agent.update(data, noise))
    metrics.append(agent.world_model.diagnose(data, noise.posterior, noise.key))
    return Trained([{name: float(value) for name, value in each.items()} for each in metrics], gradients, agent.state_dict())


def _recorded(step: Callable[[list[Tensor]], Metrics], record: list[Tensor], gradients: list[Tensor]) -> Metrics:
    record += [gradient.clone() for gradient in gradients]
    return step(gradients)


def local_losses(name: str, *, gather: bool, rank: int | None = None) -> dict[str, Tensor]:
    """The losses `[B, T]` of an objective on the rows of this rank, or of one whose number is given."""
    torch.manual_seed(1)
    agent = _agent(objectives=[factory("objectives", name, gather=gather, **LOCAL[name])])(specs=specs_of("vectors"))
    whole = whole_batch("vectors", 0)
    noise = agent.draw_noise(whole, seeded(2))
    model = agent.world_model(rows_of(whole, rank), noise_of(noise, rank).posterior, noise.key)
    return {key: value.detach() for key, value in model.losses.items() if key in agent.world_model.objectives[0].losses}


def reductions() -> tuple[list[int], list[int]]:
    """The sizes of what one update reduces, and the number of parameters of each group."""
    torch.manual_seed(1)
    agent, data, sizes, reduce = (
        _agent()(specs=specs_of("vectors")),
        rows_of(whole_batch("vectors", 0)),
        list[int](),
        distributed.all_reduce,
    )

    def recorded(tensor: Tensor, *arguments: Any) -> None:
        sizes.append(tensor.numel())
        reduce(tensor, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "all_reduce", recorded)
        agent.update(data, agent.draw_noise(data, seeded(2)))
    return sizes, [*agent.parameter_count().values()]


def whole_batch(kind: Kind, seed: int) -> Batch:
    """The batch of all ranks."""
    extra = ExtraSteps(observation=observe(OBSERVATIONS[kind], SIZE * EXTRA, seed=seed + 20), episode=torch.arange(SIZE * EXTRA) + 100)
    return replace(batch(kind, rows=SIZE * ROWS, times=TIMES, seed=seed), extra=extra)


def rows_of(whole: Batch, rank: int | None = None) -> Batch:
    """This rank's part of it."""
    assert whole.extra is not None
    own, some, extra = part(ROWS, rank), part(EXTRA, rank), whole.extra.observation
    steps = ExtraSteps({name: value[some] for name, value in extra.items()}, whole.extra.episode[some])
    return replace(replace(whole, extra=None).map(lambda tensor: tensor[own]), extra=steps)


def noise_of(whole: UpdateNoise, rank: int | None = None) -> UpdateNoise:
    """The noise of this rank's rows."""
    rows, starts = part(ROWS, rank), part(ROWS * TIMES, rank)
    return replace(
        whole,
        posterior=whole.posterior[rows],
        imagined_latents=whole.imagined_latents[:, starts],
        imagined_actions=whole.imagined_actions[:, starts],
        replayed_actions=whole.replayed_actions[rows],
    )


def part(size: int, rank: int | None) -> slice:
    first = size * (ranks.rank() if rank is None else rank)
    return slice(first, first + size)
