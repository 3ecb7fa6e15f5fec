"""Tasks of Gymnasium to be made by `tests.environments.gymnasium_tasks:Room-v0`: importing this registers them."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

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
    "channels first": spaces.Box(0, 255, (3, 12, 12), np.uint8),
    "vector": spaces.Box(-1, 1, (1,), np.float32),
    "graph": spaces.Graph(spaces.Box(-1, 1, (2,)), None),
    "text": spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "order": spaces.Text(5)}),
    "several": spaces.MultiDiscrete([2, 3], start=[4, 0]),
    "switches": spaces.MultiBinary(3),
    "from two": spaces.Discrete(3, start=2),
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


gymnasium.register("Room-v0", Room, max_episode_steps=8)
