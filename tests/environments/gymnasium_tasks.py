"""Tasks of Gymnasium to be made by `tests.environments.gymnasium_tasks:Room-v0`: importing this registers them."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

SPACES: dict[str, spaces.Space] = {
    "entries": spaces.Dict(
        {
            "place": spaces.Box(-1, 1, (2, 2), np.float64),
            "camera": spaces.Box(0, 255, (12, 8, 3), np.uint8),
            "depth": spaces.Box(0, 255, (12, 8), np.uint8),
            "door": spaces.Discrete(3),
            "keys": spaces.MultiBinary(2),
        }
    ),
    "own pixels": spaces.Dict({"pixels": spaces.Box(0, 255, (12, 8, 3), np.uint8)}),
    "gray": spaces.Box(0, 255, (16, 16), np.uint8),
    "five channels": spaces.Box(0, 255, (16, 16, 5), np.uint8),
    "channels first": spaces.Box(0, 255, (3, 12, 12), np.uint8),
    "vector": spaces.Box(-1, 1, (1,), np.float32),
    "graph": spaces.Graph(spaces.Box(-1, 1, (2,)), None),
    "text": spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "order": spaces.Text(5)}),
    "several": spaces.MultiDiscrete([2, 3], start=[4, 0]),
    "switches": spaces.MultiBinary(3),
    "from two": spaces.Discrete(3, start=2),
    "lone": spaces.Box(-2, 2, (), np.float32),
    "lone integer": spaces.Box(4, 6, (), np.int16),
    "boolean": spaces.Box(0, 1, (2,), np.bool_),
    "double": spaces.Box(-1, 3, (1,), np.float64),
    "full range": spaces.Box(-(2**31), 2**31 - 1, (2,), np.int32),
    "stack": spaces.Box(0, 255, (4, 12, 8, 3), np.uint8),
    "many": spaces.Discrete(2**20),
    "both kinds": spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (1,)))),
}


class Room(gymnasium.Env):
    """Shows a sample of a space, takes what another space holds, and renders its number of steps; ends by itself after `ending` steps."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}

    def __init__(
        self, *, shows: str = "entries", takes: str = "several", ending: int = 5, renders: bool = True, render_mode: str | None = None
    ):
        self.observation_space, self.action_space = SPACES[shows], SPACES[takes]
        self.render_mode, self.ending, self.renders = render_mode, ending, renders
        self.count, self.taken = 0, None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        assert action in self.action_space, (action, self.action_space)
        self.count, self.taken = self.count + 1, action
        return self.observation_space.sample(), float(self.count), self.count == self.ending, False, {}

    def render(self) -> np.ndarray | str:
        return np.full((24, 32, 3), self.count, np.uint8) if self.renders else "a room"


class Mismatch(gymnasium.Env):
    """Declares a 4 x 4 image and a choice of three, and gives what it is told to."""

    observation_space = spaces.Dict({"image": spaces.Box(0, 255, (4, 4, 3), np.uint8), "door": spaces.Discrete(3, start=1)})
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, *, shows: dict[str, Any] | None = None, first: Any = None, outcome: tuple[Any, ...] = (1.0, False, False, {})):
        self.observation = {"image": np.full((4, 4, 3), 7), "door": 3} if shows is None else shows
        self.first, self.outcome = first, outcome

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        return self.first or (self.observation, {})

    def step(self, action: np.ndarray) -> Any:
        return (self.observation, *self.outcome)


class Clock(gymnasium.Env):
    """The spaces of one clock; it is never stepped."""

    observation_space = spaces.Dict(
        {"time": spaces.Box(0, 99, (), np.float64), "face": spaces.Box(0, 255, (8, 8), np.uint8), "hand": spaces.Discrete(4)}
    )
    action_space = spaces.Box(-1, 1, (2,), np.float32)


class Clocks(VectorEnv):
    """Clocks that show their times. Clock `i` ends at time `3 + i`: a termination where i is even, else a time limit.

    Its step number `breaks` raises.
    """

    def __init__(
        self, *, num_envs: int, mode: str = "NextStep", shows: dict[str, Any] | None = None, pays: Any = None, breaks: int | None = None
    ):
        self.shows, self.pays, self.breaks, self.steps = shows or {}, pays, breaks, 0
        self.num_envs, self.metadata = num_envs, {"autoreset_mode": AutoresetMode(mode)}
        self.single_observation_space, self.single_action_space = Clock.observation_space, Clock.action_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.time, self.ended = np.zeros(num_envs, int), np.zeros(num_envs, bool)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        self.time[options["reset_mask"] if options else slice(None)] = 0
        return self._observe(), {}

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict]:
        assert self.action_space.contains(actions), actions
        self.steps += 1
        if self.steps == self.breaks:
            raise RuntimeError("the simulator is unstable")
        self.time += 1
        if self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP:
            self.time[self.ended] = 0
        index = np.arange(self.num_envs)
        self.ended = self.time == 3 + index
        even = index % 2 == 0
        return self._observe(), self.time.astype(float) if self.pays is None else self.pays, self.ended & even, self.ended & ~even, {}

    def _observe(self) -> dict[str, np.ndarray]:
        face = np.broadcast_to(self.time[:, None, None], (self.num_envs, 8, 8)).astype(np.uint8)
        return {"time": self.time.astype(float), "face": face, "hand": self.time % 4} | self.shows


gymnasium.register("Room-v0", Room, max_episode_steps=8)
gymnasium.register("Mismatch-v0", Mismatch)
gymnasium.register("Clocks-v0", Clock, vector_entry_point=Clocks)
