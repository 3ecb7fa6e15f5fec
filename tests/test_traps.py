"""Mistakes in other implementations, and the test that excludes each.

| mistake | where | excluded by |
|---|---|---|
| lambda-return off by one | several ports | functional/test_returns.py::test_it_has_the_value_of_a_literal_example |
| the value cut short before the bootstrap is read | a port of V1 and V2 | reference/test_dreamers.py::test_an_update_of_dreamer_v1_has_the_losses_and_the_gradients_of_the_reference |
| the last value bootstrapped twice, its reward counted | a port of V1 | reference/test_dreamers.py::test_an_update_of_dreamer_v2_has_the_losses_of_the_reference |
| no weights of the discount | two ports of V1 | reference/test_dreamers.py::test_dreamer_v1_weighs_each_step_by_the_probability_of_reaching_it |
| o_t paired with the action after it | a port in JAX | test_alignment.py::test_each_action_led_to_its_observation |
| learned on the action before, acted on the one after | a port in JAX | test_alignment.py::test_the_actor_filters_the_posterior_that_the_model_observes |
| the reward of the step before | a library | test_alignment.py::test_each_reward_belongs_to_its_observation |
| a rollout that does not move on | a library | test_imagination.py::test_each_action_was_taken_at_its_features_and_led_to_the_next |
| the first observation never embedded | a teaching port | test_traps.py::test_every_observation_reaches_its_posterior_the_first_too |
| an overlapping view written | a method's own code | replay/test_replay.py::test_a_batch_shares_memory_with_no_other_row_and_not_with_the_replay |
| the last step of an episode never sampled | the first code of V1 | replay/test_replay.py::test_every_stored_step_lies_in_exactly_as_many_windows_as_any_other |
| a terminal step sampled less | the first code of V1 | replay/test_replay.py::test_every_stored_step_lies_in_exactly_as_many_windows_as_any_other |
| no reset inside a sequence | several ports | framework/testing/dynamics.py::test_a_reset_erases_history |
| an action remembered over a reset | a library | framework/testing/dynamics.py::test_the_first_latent_does_not_depend_on_the_action |
| a time limit taken for a termination | several ports | test_alignment.py::test_only_terminations_are_terminal |
| no bootstrap at a time limit | several ports | functional/test_returns.py::test_a_time_limit_bootstraps |
| ... among replayed steps | several ports | reference/test_dreamers.py::test_two_updates_of_dreamer_v3_have_the_losses_of_the_reference |
| ... in a value of actions | several ports | test_traps.py::test_a_value_of_actions_bootstraps_at_a_time_limit_and_not_at_an_end |
| the continuation of the start forgotten | a library | framework/testing/actor_critics.py::test_a_rollout_from_a_terminal_latent_has_no_loss_of_the_actor_but_in_dreamer_v2 |
| the wrong sign of the continuation loss | a library's V1 | reference/test_dreamers.py::test_the_losses_of_the_world_model_equal_the_reference |
| ... of any head | a library's V1 | framework/testing/heads.py::test_it_learns_its_target |
| squared errors without their half | a library | reference/test_dreamers.py::test_the_losses_of_the_world_model_equal_the_reference |
| losses summed over time | a library | test_traps.py::test_a_loss_does_not_grow_with_the_batch |
| KL without unimix | a method's own code | test_traps.py::test_a_kl_is_one_of_mixed_distributions |
| unimix of the policy left out | a library | actor_critics/test_reinforce.py::test_a_discrete_policy_keeps_one_percent_of_the_uniform_distribution |
| KL clipped per step, on the mean or after subtraction | several ports | dynamics/test_recurrent.py::test_its_kl_is_that_of_its_distributions_with_its_convention_of_free_nats |
| straight through a Gumbel-softmax | a method's own code | functional/test_categorical.py::test_the_gradient_is_that_of_the_probabilities |
| a discrete actor without gradient under the dynamics | several ports | actor_critics/test_mixed_gradient.py::test_the_gradient_of_the_dynamics_reaches_choices_straight_through |
| ... which a flag hides | several ports | framework/testing/actor_critics.py::test_the_gradient_of_the_dynamics_changes_its_actors_gradient_exactly_where_it_declares_so |
| the normalized advantage computed and not used | a port of V3 | reference/test_dreamers.py::test_two_updates_of_dreamer_v3_have_the_losses_of_the_reference |
| the actor's gradient in its features | a teaching port | actor_critics/test_dynamics_backprop.py::test_the_features_of_the_actor_are_detached |
| the model taught by the actor | a teaching port | contracts/test_agent.py::test_each_group_receives_the_gradient_of_its_own_loss_alone |
| no exploration | a teaching port | actor_critics/test_dynamics_backprop.py::test_exploring_adds_noise_to_the_action |
| evaluation by samples | a teaching port | actor_critics/test_dynamics_backprop.py::test_its_best_action_is_the_likeliest_of_a_hundred |
| block-linear weights that begin too large | a library | dynamics/test_recurrent.py::test_the_blocks_of_dreamer_v3_have_the_fan_in_of_their_whole_input |
| images left in 0 to 255 | a port in JAX | encoders/test_encoders.py::test_pixels_are_scaled_to_half_units_around_zero |
| dead compile: wrapped, and another method called | a port of V3 | test_traps.py::test_a_learner_updates_by_what_was_compiled |
| ... compiled, and something else computed | a port of V3 | compile/test_update.py::test_it_agrees_with_the_plain_update_and_leaves_the_same_checkpoint |
| a metric that waits for the device | a port of V3 | bench/test_guard.py::test_an_update_dispatches_few_operators_and_never_waits_for_the_device |
| a configuration key that nothing reads | a port of V3 | composition/test_reading.py::test_it_finds |
| weights written at the end alone | a method's own code | training/test_killed.py::test_a_run_that_is_killed_at_any_change_of_its_files_ends_as_one_that_was_not |
| negatives of other ranks without gradient | a library | ranks/test_two_ranks.py::test_gathered_rows_have_the_gradients_of_their_copies_on_all_ranks |
| ... with a gradient off by the number of ranks | a library | ranks/test_two_ranks.py::test_two_ranks_train_as_one_process_with_all_rows |
| ... wrong where memory is not in the order of rows | a framework | ranks/test_two_ranks.py::test_gathered_rows_have_the_gradients_of_their_copies_on_all_ranks |
| positives mislabeled by the order of ranks | a library | ranks/test_two_ranks.py::test_rows_are_numbered_over_all_ranks |
| batch statistics of ranks summed without gradient | a library | ranks/test_two_ranks.py::test_sums_and_means_have_the_gradients_of_their_copies_on_all_ranks |
"""  # noqa: E501

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import framework
from framework.actor_critics.policy_and_value import joined
from framework.agent import Agent
from framework.data import Batch, UpdateNoise
from framework.registry import registry_of
from framework.testing.samples import LATENT, ROWS, TIMES, batch, behavior_sizes, normal, replayed, seeded, specs_of
from framework.training.runtime import Runtime
from tests.members import ROOT, agent_factory, build, factory, members

TESTS = Path(__file__).parent
TABLE = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\S+)::(\w+) \|$", __doc__ or "", flags=re.MULTILINE)
UNIMIXED = [name for name in members("dynamics") if "unimix" in {each.name for each in registry_of("dynamics").describe(name).settings}]


def test_every_trap_has_its_test():
    assert len(TABLE) == (__doc__ or "").count("::") > 40
    names = {path: functions((ROOT if path.startswith("framework") else TESTS) / path) for _, _, path, _ in TABLE}
    assert [f"{path}::{name}" for _, _, path, name in TABLE if name not in names[path]] == []


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", members("dynamics"))
def test_every_observation_reaches_its_posterior_the_first_too(name):
    agent, data = (
        agent_factory(encoder=factory("encoders", "MLPEncoder"), dynamics=factory("dynamics", name))(specs=specs_of("vectors")),
        batch(),
    )
    vectors = {key: data.observation[key].clone().requires_grad_() for key in ("position", "speed")}
    noise = agent.world_model.dynamics.draw_noise(ROWS, TIMES, generator=seeded(1))
    posterior = agent.world_model.observe(replace(data, observation=vectors), noise).posterior
    for time in range(TIMES):
        statistics = torch.cat([value[:, time] for value in posterior.statistics.values()], dim=-1)
        (reached,) = torch.autograd.grad((statistics * normal(*statistics.shape)).sum(), [vectors["position"]], retain_graph=True)
        assert (reached[:, time].abs().sum(dim=-1) > 0).all(), time


def test_a_value_of_actions_bootstraps_at_a_time_limit_and_not_at_an_end():
    """In both rows an episode ends at the third step: in the first by time."""
    behavior, inferred, next_value = (
        build("actor_critics", "LatentSAC", **behavior_sizes(LATENT)),
        replayed(rows=2),
        normal(2, TIMES, seed=3),
    )
    inferred.batch.is_first[:] = torch.tensor([[True, False, False, True, False]])
    inferred.batch.is_terminal[:] = False
    inferred.batch.is_terminal[1, 2] = True
    loss = behavior.value_loss(inferred, next_value)
    value = behavior.value(joined(inferred.features[:, :-1], inferred.batch.action[:, 1:]))
    target = inferred.batch.reward[:, 1:] + 0.99 * next_value[:, 1:]
    target[1, 1] = inferred.batch.reward[1, 2]
    expected = 0.5 * (value - target).square() + 0.5 * math.log(2 * math.pi)
    expected[:, 2] = 0.0
    assert torch.allclose(loss * 6 / 8, expected, atol=1e-5), "a mean over all eight is one over the six that count"


@pytest.mark.parametrize("objective", ["Reconstruction", "LatentConsistency"])
def test_a_loss_does_not_grow_with_the_batch(objective):
    """A batch and the same batch twice give the same losses and gradients."""
    agents: list[Agent] = [agent_factory(objectives=[factory("objectives", objective)])(specs=specs_of("both")) for _ in range(2)]
    agents[1].load_state_dict(agents[0].state_dict())
    data = batch()
    noise = agents[0].draw_noise(data, seeded(2))
    one, two = agents[0].update(data, noise), agents[1].update(twice(data), noise_twice(noise))
    for name in ("model", "actor", "value"):
        for metric in (f"train/{name}_loss", f"train/{name}_gradient_norm"):
            assert torch.allclose(one[metric], two[metric], rtol=1e-3), metric


def twice(data: Batch) -> Batch:
    doubled = {name: torch.cat([value, value]) for name, value in vars(data).items() if isinstance(value, Tensor)}
    return replace(data, observation={name: torch.cat([value, value]) for name, value in data.observation.items()}, **doubled)


def noise_twice(noise: UpdateNoise) -> UpdateNoise:
    axes = {"posterior": 0, "replayed_actions": 0, "imagined_latents": 1, "imagined_actions": 1}
    return replace(noise, **{name: torch.cat([getattr(noise, name)] * 2, dim=axis) for name, axis in axes.items()})


@pytest.mark.parametrize("name", UNIMIXED)
def test_a_kl_is_one_of_mixed_distributions(name):
    """No class has probability zero, and so the KL is bounded by the uniform share."""
    nats = {}
    for share in (0.0, 0.05):
        dynamics = build_dynamics(name, share)
        noise, data = dynamics.draw_noise(ROWS, TIMES, generator=seeded(1)), batch()
        arguments = (30 * normal(ROWS, TIMES, 5), data.action, data.is_first, dynamics.initial(ROWS), noise)
        nats[share] = dynamics.kl_loss(*dynamics.observe(*arguments))[0]["kl"].detach()
    groups, classes = dynamics.latent.stochastic // dynamics.latent.classes, dynamics.latent.classes
    assert nats[0.0].max() > nats[0.05].max() > 0.1
    assert nats[0.05].max() <= groups * math.log(classes / 0.05)
    assert nats[0.0].max() > groups * math.log(classes / 0.05)


def build_dynamics(name: str, unimix: float):
    """With large weights, and so nearly deterministic distributions."""
    torch.manual_seed(0)
    dynamics = factory("dynamics", name, unimix=unimix, balance=None)(embedding_size=5, action_size=2)
    with torch.no_grad():
        for parameter in dynamics.parameters():
            parameter.mul_(30)
    return dynamics


def test_a_learner_updates_by_what_was_compiled(monkeypatch):
    """`tests/compile` compiles; here a counter replaces the compiled update."""
    calls: list[Batch] = []

    def counting(self: Runtime, agent: Agent):
        return lambda data, noise: calls.append(data) or agent.update(data, noise)

    monkeypatch.setattr(Runtime, "update", counting)
    run = framework.compose(TESTS / "training" / "tiny.gin", ["Runtime.compile='steps'"])
    with run.vector(1, mode="serial") as vector:
        learner = run.learner(vector, None)
        learner.begin()
        for _ in range(learner.replay.length):
            learner.collect(randomly=True)
        for updates in (1, 2):
            learner.update()
            assert len(calls) == updates
            assert calls[-1] is learner.batch
