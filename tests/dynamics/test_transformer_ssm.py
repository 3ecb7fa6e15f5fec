"""The transformer dynamics: one pass, single steps with the past, and imagination agree."""

import pytest
import torch

from framework.contrastive.origin import Origin
from framework.contrastive.pairs import predict
from framework.dynamics.transformer_ssm import TransformerSSM
from framework.errors import UserError
from framework.testing.samples import batch, normal, seeded, specs_of
from tests.members import agent_factory, factory

ROWS, TIMES, CLASSES = 3, 9, 4


def make(**changes) -> TransformerSSM:
    sizes = {"deterministic": 8, "hidden": 8, "layers": 2, "attention_heads": 2, "window": 3, "groups": 3, "classes": CLASSES}
    return TransformerSSM(embedding_size=5, action_size=2, **(sizes | {"free_nats": 0.0} | changes))


def sequence(dynamics, *, start=None, seed=0):
    """Two rows have starts of episodes; the first step is none, so that the initial latent matters."""
    is_first = torch.zeros(ROWS, TIMES, dtype=torch.bool)
    is_first[0, 4] = is_first[1, 2] = is_first[1, 3] = True
    return {
        "embedding": normal(ROWS, TIMES, 5, seed=seed),
        "action": normal(ROWS, TIMES, 2, seed=seed + 1).tanh(),
        "is_first": is_first,
        "start": start or dynamics.initial(ROWS),
        "noise": dynamics.draw_noise(ROWS, TIMES, generator=seeded(seed + 2)),
    }


def within_an_episode(dynamics):
    """A latent after more steps than a window."""
    posterior, _ = dynamics.observe(**sequence(dynamics, seed=10))
    return posterior.map(lambda tensor: tensor[:, -1])


def same(one, other):
    tensors = [[each.deterministic, each.stochastic, *each.statistics.values(), *each.past.values()] for each in (one, other)]
    assert len(tensors[0]) == 6
    return all(torch.allclose(left, right, atol=1e-5) for left, right in zip(*tensors, strict=True))


@pytest.mark.parametrize("window", [1, 3, 30])
@pytest.mark.parametrize("within", [True, False])
def test_one_pass_equals_single_steps(window, within):
    """From the initial latent and from within an episode, over starts, with windows below and above the length."""
    dynamics = make(window=window)
    inputs = sequence(dynamics, start=within_an_episode(dynamics) if within else None)
    posterior, _ = dynamics.observe(**inputs)
    latent = inputs["start"]
    for t in range(TIMES):
        latent = dynamics.observe_step(latent, **{name: inputs[name][:, t] for name in ("embedding", "action", "is_first", "noise")})
        assert same(latent, posterior.map(lambda tensor, t=t: tensor[:, t])), t


@pytest.mark.parametrize("window", [2, 30])
def test_imagination_equals_one_pass_over_the_imagined_samples(window):
    """Against one pass over a sequence whose samples are the imagined ones, from each step of a batch."""
    dynamics, horizon = make(window=window), 5
    inputs = sequence(dynamics)
    posterior, _ = dynamics.observe(**inputs)
    rows, times = torch.arange(ROWS).repeat_interleave(TIMES), torch.arange(TIMES).repeat(ROWS)
    start = posterior.map(lambda tensor: tensor[rows, times])
    action, noise = normal(ROWS * TIMES, horizon, 2, seed=7).tanh(), dynamics.draw_noise(ROWS * TIMES, horizon, generator=seeded(8))
    latent, imagined = start, []
    for step in range(horizon):
        latent = dynamics.imagine_step(latent, action[:, step], noise[:, step])
        imagined.append(latent)
    chosen = torch.stack([each.stochastic for each in imagined], dim=1).detach()
    prepared = (torch.zeros(ROWS * TIMES, horizon, dtype=torch.bool), dynamics.input.second(action), 100 * (chosen - 1))
    passed = dynamics.filter(start, prepared, torch.zeros_like(chosen))
    assert torch.allclose(passed.stochastic, chosen, atol=1e-6)
    for step, each in enumerate(imagined):
        assert torch.allclose(each.deterministic, passed.deterministic[:, step], atol=1e-5), step
        assert all(torch.allclose(value, passed.past[name][:, step], atol=1e-5) for name, value in each.past.items())


def test_the_path_depends_on_the_window_and_the_posterior_on_its_own_observation():
    dynamics = make(layers=2, window=3)
    inputs = sequence(dynamics)
    inputs["is_first"].zero_()
    leaves = [inputs[name].requires_grad_() for name in ("embedding", "action")]
    posterior, _ = dynamics.observe(**inputs)
    logits, deterministic = posterior.statistics["logits"][:, 7], posterior.deterministic[:, 7]
    of_path = torch.autograd.grad((deterministic * normal(8)).sum(), leaves, retain_graph=True)
    (of_logits,) = torch.autograd.grad((logits * normal(12)).sum(), leaves[:1])
    reached = [(gradient.abs().sum(dim=(0, 2)) > 0).nonzero().flatten().tolist() for gradient in (*of_path, of_logits)]
    assert reached == [[2, 3, 4, 5, 6], [3, 4, 5, 6, 7], [7]]


def test_gradient_flows_from_imagination_through_the_past():
    dynamics = make(window=4)
    inputs = sequence(dynamics)
    inputs["is_first"].zero_()
    inputs["embedding"].requires_grad_()
    posterior, _ = dynamics.observe(**inputs)
    imagined = dynamics.imagine_step(posterior.map(lambda tensor: tensor[:, 5]), inputs["action"][:, 6], inputs["noise"][:, 6])
    (gradient,) = torch.autograd.grad((imagined.deterministic * normal(8)).sum(), inputs["embedding"])
    assert (gradient[:, :6].abs().sum(dim=(0, 2)) > 0).all()
    assert (gradient[:, 6:] == 0).all()
    detached = dynamics.imagine_step(posterior.detach().map(lambda tensor: tensor[:, 5]), inputs["action"][:, 6], inputs["noise"][:, 6])
    assert torch.autograd.grad(detached.deterministic.sum(), inputs["embedding"], allow_unused=True) == (None,)


def test_its_gradient_does_not_blow_up_at_the_start_of_an_episode():
    """At a zero input the gradient of each norm is 1 / sqrt(epsilon)."""
    dynamics = make(deterministic=64, hidden=64, layers=4)
    inputs = sequence(dynamics)
    inputs["is_first"][:, 0] = True
    _, prior = dynamics.observe(**inputs)
    gradients = torch.autograd.grad((prior.statistics["logits"] * normal(12)).sum(dim=-1).mean(), dynamics.parameters(), allow_unused=True)
    assert torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).max() < 1000


def test_the_prior_under_the_actions_that_were_taken_is_the_prior():
    """As `ActionNegatives` computes it: from the past of every step, and from the initial latent at a start."""
    agent = agent_factory(dynamics=factory("dynamics", "TransformerSSM", window=3))(specs=specs_of("both"))
    noise = agent.world_model.dynamics.draw_noise(*batch().reward.shape, generator=seeded(3))
    inferred = agent.world_model.observe(batch(), noise)
    action, steps = batch().action.flatten(0, 1), Origin.of(batch().episode)
    predicted, prior = predict(inferred, agent.world_model.dynamics, action, steps), inferred.prior.flatten()
    assert torch.allclose(predicted.deterministic, prior.deterministic, atol=1e-5)
    assert torch.allclose(predicted.statistics["logits"], prior.statistics["logits"], atol=1e-5)


def test_it_refuses_a_latent_without_its_past():
    dynamics = make()
    _, prior = dynamics.observe(**sequence(dynamics))
    with pytest.raises(UserError, match="cannot imagine from a latent without its past"):
        dynamics.imagine_step(prior.map(lambda tensor: tensor[:, 0]), torch.zeros(ROWS, 2), torch.zeros(ROWS, 12))
