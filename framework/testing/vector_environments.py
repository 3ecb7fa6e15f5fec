"""The contract of vector environments: aligned rows, two halves of a step, and a snapshot to continue from."""

from functools import partial

import numpy as np
import pytest

from framework.environments.gymnasium import Gymnasium
from framework.errors import UserError
from framework.testing.checks import assert_same_vector_steps
from framework.testing.contract import Contract
from framework.vector_environments.base import VectorEnvironment, VectorStep

CARTPOLE = partial(Gymnasium, task="CartPole-v1")


def played(vector: VectorEnvironment, count: int) -> list[VectorStep]:
    """A first step, and as many after random actions."""
    random = np.random.default_rng(0)
    return [vector.reset(), *(vector.step(vector.random_actions(random)) for _ in range(count))]


class VectorEnvironmentContract(Contract):
    """The contract of vector environments: aligned rows, two halves of a step, and a snapshot to continue from."""

    family = "vector_environments"

    @pytest.fixture
    def made(self, member, request):
        """Constructs it around CartPole, in this process."""
        pytest.importorskip("gymnasium")
        settings = {each.name for each in member.component.settings}
        opened = []

        def make(seed: int = 3, count: int = 2) -> VectorEnvironment:
            mode = {"mode": "serial"} if "mode" in settings else {}
            opened.append(member.build(environment=CARTPOLE, count=count, seed=seed, **mode))
            return opened[-1]

        request.addfinalizer(lambda: [vector.close() for vector in (*opened, *opened)])  # a second time does nothing
        return make

    def test_its_rows_are_aligned(self, made):
        vector = made()
        random, steps = np.random.default_rng(0), [vector.reset()]
        assert steps[0].is_first.all()
        for _ in range(80):
            actions = vector.random_actions(random)
            steps.append(vector.step(actions))
            before, step = steps[-2:]
            np.testing.assert_array_equal(step.is_first, before.is_last)
            np.testing.assert_array_equal(step.action, np.where(step.is_first[:, None], 0, actions))
            np.testing.assert_array_equal(step.episode, before.episode + step.is_first)
        assert steps[-1].episode.min() >= 2
        for step in steps:
            assert (step.reward == ~step.is_first).all()
            assert not (step.is_last & step.is_first).any()
            assert (step.is_last == step.is_terminal).all()

    def test_it_shows_and_takes_what_its_specs_say_in_memory_of_its_own(self, made):
        vector = made(count=3)
        actions = vector.random_actions(np.random.default_rng(0))
        first, second = ({**vars(step), **step.observation} for step in (vector.reset(), vector.step(actions)))
        expected = {"observation": np.float32, "action": np.float32, "reward": np.float32, "episode": np.int64}
        expected |= dict.fromkeys(("is_first", "is_last", "is_terminal"), bool)
        shapes = {"observation": (3, 4), "action": (3, vector.specs.action_size)}
        for step in (first, second):
            assert {name: array.dtype for name, array in step.items()} == expected
            assert {name: array.shape for name, array in step.items()} == dict.fromkeys(expected, (3,)) | shapes
        assert not np.shares_memory(actions, second["action"])
        assert not np.shares_memory(first["is_last"], second["is_first"])
        for name in expected:
            assert not np.shares_memory(first[name], second[name])

    def test_the_seed_determines_all_that_it_shows(self, made):
        for step, again in zip(played(made(), 40), played(made(), 40), strict=True):
            assert_same_vector_steps(step, again)
        rows = np.concatenate([made(seed=seed).reset().observation["observation"] for seed in (3, 4)])
        assert not any(np.array_equal(rows[0], other) for other in rows[1:]), "environments and seeds differ from one another"

    def test_send_and_receive_alternate(self, made):
        vector = made()
        vector.reset()
        actions = np.eye(2, dtype=np.float32)
        with pytest.raises(RuntimeError, match="`send` before"):
            vector.receive()
        for wrong in (np.zeros(2), np.zeros((3, 2)), np.zeros((2, 1))):
            with pytest.raises(ValueError, match=r"must have shape \(2, 2\)"):
                vector.send(wrong)
        assert not vector.in_flight
        vector.send(actions)
        assert vector.in_flight
        for call in (lambda: vector.send(actions), vector.reset):
            with pytest.raises(RuntimeError, match="in flight"):
                call()
        np.testing.assert_array_equal(vector.receive().action, actions)

    @pytest.mark.filterwarnings("ignore:an environment without `seek`")
    def test_a_snapshot_continues_its_episodes_or_begins_the_next(self, made):
        vector, restored = made(), made()
        steps = played(vector, 60)[-1]
        vector.send(vector.random_actions(np.random.default_rng(1)))
        again = restored.restore(vector.snapshot())
        assert restored.in_flight == restored.seekable
        if restored.seekable:
            assert_same_vector_steps(again, steps)
            assert_same_vector_steps(restored.receive(), vector.receive())
        else:
            assert again.is_first.all()
            np.testing.assert_array_equal(again.episode, steps.episode + 1)
        with pytest.raises(UserError, match="keep the count"):
            restored.restore(vector.snapshot()[:1])
