"""The replay: a ring of steps for each environment, and a uniform sampler of sequences."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from framework.data import Batch, ExtraSteps
from framework.errors import UserError
from framework.functional import ranks
from framework.registry import parts
from framework.replay.chunks import Chunks
from framework.replay.storage import OBSERVATION, Ring, allocate, require_memory, step_of
from framework.specs import Specs

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_BATCH: Final = 2**20
"""Steps that a batch, or what is drawn beside it, may have."""
SEAM: Final = 2**62
"""Added to the number of an episode whose oldest step follows its newest in a sequence."""


@runtime_checkable
class StoredSteps(Protocol):
    """One step of every environment, such as a `VectorStep`: arrays with the leading axis of the environments."""

    @property
    def observation(self) -> Mapping[str, Array]: ...
    @property
    def action(self) -> Array: ...
    @property
    def reward(self) -> Array: ...
    @property
    def is_first(self) -> Array: ...
    @property
    def is_terminal(self) -> Array: ...
    @property
    def episode(self) -> Array: ...


@final
@parts.register
class Replay:
    """Stores the newest `capacity` steps (over all streams, rounded down to whole rows) and draws sequences of them uniformly.

    A stream holds the steps of one environment, episode after episode. Sequences cross episode boundaries: `is_first` resets the model.
    Each stream is a circle: a sequence that runs past the newest step continues at the oldest, which is always a reset (`is_first`, no
    action). Every step is an equally likely start, so that **every stored step is drawn exactly as often as any other**, the last of an
    episode, the newest and the oldest too. All streams have the same length. Where both ends are of one episode, the steps after the
    newest have another episode number, so that no number spans a jump in time.

    `extra_candidates` single steps, drawn uniformly and independently of the sequences, come with each batch as further candidates.
    The time of a draw does not depend on the capacity. One seed draws the same sequences from every storage: indices are drawn on the
    host, and steps on a device are gathered there without a synchronization.
    """

    derived: ClassVar[tuple[str, ...]] = ("specs", "streams", "device", "seed", "folder")

    def __init__(
        self,
        *,
        capacity: int,
        batch: int,
        length: int,
        extra_candidates: int = 0,
        storage: Literal["memory", "memmap", "device"] = "memory",
        specs: Specs,
        streams: int,
        device: torch.device,
        seed: int,
        folder: Path | None = None,
    ) -> None:
        _check_sizes(capacity=capacity, batch=batch, length=length, extra_candidates=extra_candidates, streams=streams)
        self.batch, self.length, self.streams, self.extra_candidates = batch, length, streams, extra_candidates
        self._rows, self._device = capacity // streams, device
        step = step_of(specs)
        if storage == "memory":
            require_memory(step, streams * self._rows)
        if device.type != "meta":  # the check of a recipe stores nothing
            self._ring = allocate(step, streams=streams, rows=self._rows, storage=storage, device=device, folder=folder)
            self._flat = {name: entry.flatten(0, 1) for name, entry in self._ring.items()}
        self._added = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._chunks = Chunks()

    def __len__(self) -> int:
        """The number of stored steps, over all streams."""
        return self.streams * self._filled

    @property
    def steps(self) -> int:
        """The number of steps ever added, over all streams."""
        return self.streams * self._added

    @property
    def _filled(self) -> int:
        return min(self._added, self._rows)

    def add(self, steps: StoredSteps) -> None:
        """Store one step of every environment in the place of the oldest."""
        row = self._added % self._rows
        for name, values in _entries_of(steps).items():
            value, place = torch.from_numpy(np.ascontiguousarray(values)), self._ring[name][:, row]
            if value.shape != place.shape or not torch.can_cast(value.dtype, place.dtype):
                stored = f"{place.dtype} {list(place.shape)}"
                raise ValueError(f"{name} of the added steps is {value.dtype} {list(value.shape)}, not {stored}")
            place.copy_(value)
        self._added += 1

    def sample(self) -> Batch:
        """Draw `batch` sequences. Raises `UserError` while fewer steps than one sequence are stored."""
        if self._filled < self.length:
            raise UserError(
                f"Replay.length is {self.length}, but each of the {self.streams} environments has stored {self._filled} steps: "
                f"prefill at least {self.length * self.streams} steps (action repeats not counted), or bind a smaller Replay.length."
            )
        batch = self.windows(torch.randint(len(self), (self.batch,), generator=self._generator))
        return replace(batch, extra=self._draw_extra()) if self.extra_candidates else batch

    def windows(self, starts: Int[Tensor, " B"]) -> Batch:
        """The sequences from the given stored steps on, which are numbered stream by stream, from the oldest to the newest."""
        stream, place = starts // self._filled, starts[:, None] % self._filled + torch.arange(self.length)
        rows = self._gather(stream[:, None], place % self._filled)
        if self._device.type == "cuda" and not rows["reward"].is_cuda:
            rows = {name: entry.pin_memory() for name, entry in rows.items()}
        is_first = rows["is_first"] | self._placed(place % self._filled == 0)
        newest = self._ring["episode"][:, (self._added - 1) % self._rows][self._placed(stream)]
        jumped = self._placed(place >= self._filled) & (rows["episode"] == newest[:, None])
        batch = Batch(
            observation=_observation(rows),
            action=rows["action"].masked_fill(is_first[..., None], 0.0),
            reward=rows["reward"],
            is_first=is_first,
            is_terminal=rows["is_terminal"],
            episode=rows["episode"] + SEAM * jumped,
        )
        return batch.to(self._device)

    def reseed(self, seed: int) -> None:
        """Draw from this seed from now on."""
        self._generator.manual_seed(seed)

    def _draw_extra(self) -> ExtraSteps:
        steps = torch.randint(len(self), (self.extra_candidates,), generator=self._generator)
        rows = self._gather(steps // self._filled, steps % self._filled)
        rows = {name: entry.to(self._device, non_blocking=True) for name, entry in rows.items()}
        return ExtraSteps(observation=_observation(rows), episode=rows["episode"])

    def _gather(self, stream: Tensor, age: Tensor) -> Ring:
        """The stored steps of these streams and ages, from 0 for the oldest."""
        slot = (self._added - self._filled + age) % self._rows
        index = self._placed((stream * self._rows + slot).flatten())
        return {name: entry.index_select(0, index).unflatten(0, age.shape) for name, entry in self._flat.items()}

    def _placed(self, index: Tensor) -> Tensor:
        """A tensor of the host where the steps are, copied without a synchronization."""
        return index.to(self._ring["reward"].device, non_blocking=True)

    def snapshot(self, folder: Path) -> Callable[[], None]:
        """Copy the steps since the last save, and return a function that writes them and the sampler into a folder, in any thread.

        The folder may hold earlier saves of this replay. The function raises `UserError` when the disk is full; an interrupted one leaves
        the previous save intact.
        """
        return self._chunks.snapshot(folder, ring=self._ring, added=self._added, sampler=self._generator.get_state())

    def load(self, folder: Path) -> None:
        """Return to a save: the next sequences are, to the bit, those that the saved replay would have drawn."""
        self._added, sampler = self._chunks.load(folder, ring=self._ring)
        self._generator.set_state(sampler)


def _observation(rows: Ring) -> dict[str, Tensor]:
    return {name.removeprefix(OBSERVATION): entry for name, entry in rows.items() if name.startswith(OBSERVATION)}


def _entries_of(steps: StoredSteps) -> dict[str, Array]:
    """The entries of the ring. The numbers of episodes, which each environment counts by itself, become unique over all ranks' streams."""
    streams = len(steps.episode)
    own = ranks.rank() * streams + np.arange(streams)
    return {
        **{f"{OBSERVATION}{name}": value for name, value in steps.observation.items()},
        "action": steps.action,
        "reward": steps.reward,
        "is_first": steps.is_first,
        "is_terminal": steps.is_terminal,
        "episode": steps.episode * streams * ranks.size() + own,
    }


def _check_sizes(*, capacity: int, batch: int, length: int, extra_candidates: int, streams: int) -> None:
    for name, value, least in (("batch", batch, 1), ("length", length, 1), ("extra_candidates", extra_candidates, 0)):
        if value < least:
            raise UserError(f"Replay.{name} is {value}; bind a whole number of at least {least}.")
    if max(batch * length, extra_candidates) > LARGEST_BATCH:
        raise UserError(
            f"Replay.batch = {batch} sequences of Replay.length = {length} steps, and Replay.extra_candidates = {extra_candidates}, "
            f"must both be at most {LARGEST_BATCH} steps: a batch is in memory at once."
        )
    if capacity // streams < length:
        raise UserError(
            f"Replay.capacity is {capacity}, which leaves {capacity // streams} steps to each of {streams} environments, fewer than "
            f"Replay.length = {length}; bind a capacity of at least {length * streams} or a shorter length."
        )
