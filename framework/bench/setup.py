"""What every benchmark needs: the specs of a recipe without its simulator, random steps, and the setting of a measurement."""

from typing import Any, Final

import numpy as np
from dm_env.specs import BoundedArray

from framework.bench import machine
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.specs import Specs
from framework.training.run import Run
from framework.vector_environments.base import random_steps

SEED: Final = 0
ACTIONS: Final = 6
"""The size of an action of walker and cheetah, on which the cost of an update hardly depends."""


def specs_of(run: Run, actions: int | None = None) -> Specs:
    """For images of the control suite from the recipe's settings alone, with `actions` numbers; any other environment is built."""
    node = run.composed.root.node.child("environment")
    value = {name: setting.value for name, setting in node.settings.items()}
    if node.name == "DMControl" and value["observe"] == "pixels":
        size = value["size"]
        height, width = (size, size) if isinstance(size, int) else size
        pixels = BoundedArray((height, width, 3), np.uint8, 0, 255, name="pixels")
        action = BoundedArray((actions or ACTIONS,), np.float32, -1.0, 1.0, name="action")
        return Specs(observation={"pixels": pixels}, action=action)
    if actions is not None:
        raise UserError(f"--actions {actions}: {node.name} is built here, and says itself what it takes; leave the option out.")
    return run.specs()


def filled_replay(run: Run, specs: Specs, *, steps: int, streams: int = 1, **settings: Any) -> Replay:
    """The run's replay, of `steps` random steps."""
    replay: Replay = run.replay(capacity=steps, specs=specs, streams=streams, device=run.runtime.device, seed=SEED, **settings)
    random = np.random.default_rng(SEED)
    for number in range(steps // streams):
        replay.add(random_steps(specs, streams, number, random))
    return replay


def setting(run: Run, specs: Specs | None = None) -> dict[str, Any]:
    """The recipe, its environment, its runtime and the machine, on which every number depends."""
    environment, runtime = run.composed.root.node.child("environment"), run.runtime
    arrays = {} if specs is None else {name: list(spec.shape) for name, spec in specs.observation.items()}
    return {
        "recipe": run.composed.recipe.stem,
        "bindings": list(run.composed.overrides),
        "environments": run.environments,
        "environment": {f"{environment.key}.{name}": each.text for name, each in environment.settings.items()},
        **({} if specs is None else {"observation": arrays, "action": list(specs.model_action.sizes)}),
        "precision": runtime.precision,
        "compile": runtime.compile,
        "capture": runtime.capture,
        **machine.facts(runtime.device),
    }


def environments_named(count: int) -> str:
    return f"{count} environment{'s' if count > 1 else ''}"
