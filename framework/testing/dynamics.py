"""The contract of dynamics."""

import pytest
import torch

from framework.data import Latent
from framework.dynamics.base import Dynamics
from framework.lab.members import Member
from framework.testing.checks import assert_losses, assert_metrics, assert_reaches, assert_shape, parts_of
from framework.testing.contract import Contract
from framework.testing.samples import ROWS, TIMES, normal, requiring_gradient, seeded

EMBEDDING, ACTION = 5, 2


def same(left: Latent, right: Latent) -> bool:
    return all(torch.allclose(one, other, atol=1e-5) for one, other in zip(parts_of(left), parts_of(right), strict=True))


def at(latent: Latent, *index) -> Latent:
    return latent.map(lambda tensor: tensor[index])


class DynamicsContract(Contract):
    """The contract of dynamics."""

    family = "dynamics"

    @pytest.fixture
    def dynamics(self, member: Member) -> Dynamics:
        return member.build(embedding_size=EMBEDDING, action_size=ACTION)

    @pytest.fixture
    def sequence(self, dynamics):
        """Random arguments of `observe`; only the first step is a reset."""
        is_first = torch.zeros(ROWS, TIMES, dtype=torch.bool)
        is_first[:, 0] = True
        return {
            "embedding": normal(ROWS, TIMES, EMBEDDING),
            "action": normal(ROWS, TIMES, ACTION, seed=1).tanh(),
            "is_first": is_first,
            "start": dynamics.initial(ROWS),
            "noise": dynamics.draw_noise(ROWS, TIMES, generator=seeded(2)),
        }

    def test_it_has_the_sizes_that_it_declares(self, dynamics, sequence):
        for latent in dynamics.observe(**sequence):
            assert latent.deterministic.shape == (ROWS, TIMES, dynamics.latent.deterministic)
            assert latent.stochastic.shape == (ROWS, TIMES, dynamics.latent.stochastic)
            assert latent.features.shape == (ROWS, TIMES, dynamics.latent.feature_size)
        initial = dynamics.initial(7)
        assert initial.features.shape == (7, dynamics.latent.feature_size)
        assert all(torch.equal(each, each[:1].expand_as(each)) for each in parts_of(initial))
        assert set(initial.statistics) == set(latent.statistics)
        assert dynamics.latent.kind == dynamics.latent_kind

    def test_a_latent_that_is_nan_ends_at_the_first_step_of_an_episode(self, dynamics, sequence):
        lost = sequence["start"].map(lambda tensor: torch.full_like(tensor, torch.nan))
        expected, _ = dynamics.observe(**sequence)
        again, _ = dynamics.observe(
            **sequence | {"start": lost, "action": sequence["action"].masked_fill(sequence["is_first"][..., None], torch.nan)}
        )
        assert same(expected, again)
        embedding, is_first = sequence["embedding"].clone(), sequence["is_first"].clone()
        embedding[:, 1], is_first[:, 2] = torch.nan, True
        posterior, _ = dynamics.observe(**sequence | {"embedding": embedding, "is_first": is_first})
        whole, _ = dynamics.observe(**sequence | {"is_first": is_first})
        assert at(posterior, slice(None), 1).features.isnan().any()
        assert same(at(posterior, slice(None), slice(2, None)), at(whole, slice(None), slice(2, None)))

    def test_step_by_step_equals_the_sequence(self, dynamics, sequence):
        sequence["is_first"][1, 2] = True
        posterior, _ = dynamics.observe(**sequence)
        latent = sequence["start"]
        for t in range(TIMES):
            arguments = {name: sequence[name][:, t] for name in ("embedding", "action", "is_first", "noise")}
            latent = dynamics.observe_step(latent, **arguments)
            assert same(latent, at(posterior, slice(None), t)), t
            assert all(torch.allclose(latent.past[name], value[:, t], atol=1e-5) for name, value in posterior.past.items())
        assert set(latent.past) == set(sequence["start"].past)

    def test_a_reset_erases_history(self, dynamics, sequence):
        sequence["is_first"][:, 2] = True
        before = dynamics.observe(**sequence)
        changed = {name: sequence[name].clone() for name in ("embedding", "action", "noise")}
        for tensor in changed.values():
            tensor[:, :2] += 1.0
        changed["action"][:, 2] = 0.7
        start = sequence["start"].map(lambda tensor: tensor + 1.0)
        after = dynamics.observe(**(sequence | changed | {"start": start}))
        for one, other in zip(before, after, strict=True):
            assert same(at(one, slice(None), slice(2, None)), at(other, slice(None), slice(2, None)))
            assert not same(one, other)

    def test_without_a_reset_history_matters(self, dynamics, sequence):
        """A change may leave a discrete sample as it was, so that several are tried."""
        before, _ = dynamics.observe(**sequence)
        for name in ("embedding", "action", "noise"):
            unchanged = []
            for seed in range(8, 11):
                changed = sequence[name].clone()
                changed[:, 1] += (1.0 if name == "action" else 20.0) * normal(*changed[:, 1].shape, seed=seed)
                after, _ = dynamics.observe(**(sequence | {name: changed}))
                unchanged.append(same(at(before, slice(None), -1), at(after, slice(None), -1)))
            assert not all(unchanged), name

    def test_the_first_latent_does_not_depend_on_the_action(self, dynamics, sequence):
        before = dynamics.observe(**sequence)
        sequence["action"][:, 0] += 0.5
        after = dynamics.observe(**sequence)
        assert all(torch.equal(one, other) for one, other in zip(parts_of(before), parts_of(after), strict=True))

    def test_the_future_does_not_reach_the_past(self, dynamics, sequence):
        before = dynamics.observe(**sequence)
        for name in ("embedding", "action", "noise"):
            sequence[name][:, 3:] += 1.0
        for one, other in zip(before, dynamics.observe(**sequence), strict=True):
            assert same(at(one, slice(None), slice(3)), at(other, slice(None), slice(3)))

    def test_each_row_is_independent_of_the_others(self, dynamics, sequence):
        before = dynamics.observe(**sequence)
        for name in ("embedding", "action"):
            sequence[name][0] += 1.0
        sequence["noise"][0] += 3 * normal(*sequence["noise"][0].shape, seed=8)
        after = dynamics.observe(**sequence)
        for one, other in zip(before, after, strict=True):
            assert same(at(one, slice(1, None)), at(other, slice(1, None)))
            assert not same(at(one, 0), at(other, 0))

    def test_the_prior_is_what_imagination_predicts_from_any_step(self, dynamics, sequence):
        posterior, prior = dynamics.observe(**sequence)
        rows, times = torch.arange(ROWS).repeat_interleave(TIMES - 1), torch.arange(TIMES - 1).repeat(ROWS)
        action, noise, expected = sequence["action"][rows, times + 1], sequence["noise"][rows, times + 1], at(prior, rows, times + 1)
        imagined = dynamics.imagine_step(at(posterior, rows, times), action, noise)
        assert torch.allclose(imagined.deterministic, expected.deterministic, atol=1e-5)
        for name, statistic in imagined.statistics.items():
            assert torch.allclose(statistic, expected.statistics[name], atol=1e-5)
        assert same(imagined, dynamics.imagine_step(at(posterior.flatten(), rows * TIMES + times), action, noise))

    def test_imagination_depends_on_the_action_and_the_noise(self, dynamics):
        start, action = dynamics.initial(2), normal(2, ACTION).tanh()
        noise, other = (dynamics.draw_noise(2, generator=seeded(seed)) for seed in (1, 2))
        imagined = dynamics.imagine_step(start, action, noise)
        torch.manual_seed(99)
        assert same(imagined, dynamics.imagine_step(start, action, noise)), "a step is a function of its arguments"
        assert not same(imagined, dynamics.imagine_step(start, -action, noise))
        assert not torch.allclose(imagined.stochastic, dynamics.imagine_step(start, action, other).stochastic)

    def test_the_kl_of_equals_is_zero_and_that_of_others_positive(self, dynamics, sequence):
        posterior, prior = dynamics.observe(**sequence)
        equal, _ = dynamics.kl_loss(posterior, posterior)
        losses, metrics = dynamics.kl_loss(posterior, prior)
        assert_losses(dynamics, losses, ("kl",), (ROWS, TIMES))
        for name, loss in losses.items():
            assert_shape(f"the loss '{name}' of {ROWS} sequences of {TIMES} steps", loss, ROWS, TIMES)
            assert (loss > 0).all()
            assert torch.allclose(equal[name], torch.zeros(ROWS, TIMES), atol=1e-6)
        assert_metrics(dynamics, metrics)

    def test_every_parameter_has_a_gradient(self, dynamics, sequence):
        posterior, prior = dynamics.observe(**sequence)
        total = dynamics.kl_loss(posterior, prior)[0]["kl"].sum() + posterior.features.square().sum()
        assert_reaches(total, dynamics)

    def test_the_gradient_reaches_every_embedding_and_action(self, dynamics, sequence):
        leaves = [sequence[name].requires_grad_() for name in ("embedding", "action")]
        posterior, _ = dynamics.observe(**sequence)
        start = requiring_gradient(at(posterior, slice(None), -1))
        imagined = dynamics.imagine_step(start, sequence["action"][:, 0], sequence["noise"][:, 0])
        of_embedding, of_action = torch.autograd.grad((posterior.features[:, -1] * normal(dynamics.latent.feature_size)).sum(), leaves)
        assert (of_embedding.abs().sum(dim=-1) > 0).all()
        assert (of_action[:, 1:].abs().sum(dim=-1) > 0).all()
        assert (of_action[:, 0] == 0).all()
        leaves = [start.stochastic, *(start.past.values() or [start.deterministic])]
        of_sample, *of_past = torch.autograd.grad(imagined.features.square().sum(), leaves, allow_unused=True)
        assert of_sample.any()
        assert any(gradient is not None and gradient.any() for gradient in of_past)
