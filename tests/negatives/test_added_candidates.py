"""Additional candidates: queues, extra steps, mixtures and other actions, by known equalities and by loops."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.contrastive.pairs import predict
from framework.data import ExtraCandidates
from framework.functional import contrastive
from framework.functional.random import fold_in, uniform
from framework.negatives.action_negatives import ActionNegatives
from framework.negatives.episode_excluded import EpisodeExcluded
from framework.negatives.memory_queue import MemoryQueue
from framework.negatives.mochi import MoCHi
from framework.negatives.replay_negatives import ReplayNegatives
from framework.negatives.uniform_subset import UniformSubset
from framework.negatives.within_sequence import WithinSequence
from framework.testing import samples
from framework.testing.samples import DYNAMICS, LATENT, ROWS, TIMES, batch, contrast, inferred, key_of, normal, origin
from tests.members import build
from tests.objectives import contrasts

EMBEDDING = 5


def critic(name: str = "BilinearCritic"):
    torch.manual_seed(0)
    return build("critics", name, latent=LATENT, embedding_size=EMBEDDING)


def example(name: str = "BilinearCritic", rows: int = 3, times: int = 4) -> Contrast:
    return contrast(torch.zeros(rows * times, rows * times), origin(rows, times), critic(name))


def queue(**settings) -> MemoryQueue:
    made = MemoryQueue(**settings)
    made.allocate(EMBEDDING)
    return made


def estimate(strategy, contrasted: Contrast) -> torch.Tensor:
    chosen = strategy(contrasted, key_of(0))
    return contrastive.infonce_estimate(chosen.scores, chosen.log_weights)


def test_a_queue_of_the_batch_has_the_estimate_of_the_batch():
    """Every candidate is there twice: as itself, and from the queue, by the same encoder."""
    whole, made = example(), queue(size=12)
    made.after_update(whole.source.embeddings, origin(3, 4))
    chosen = made(whole, key_of(0))
    assert torch.allclose(chosen.scores[:, 12:], whole.scores, atol=1e-6)
    expected = contrastive.infonce_estimate(whole.scores, whole.log_weights)
    assert torch.allclose(estimate(made, whole), expected, atol=1e-5)
    alone = queue(size=12, batch="drop")
    alone.after_update(whole.source.embeddings, origin(3, 4))
    in_place = alone(whole, key_of(0))
    among = torch.logsumexp((in_place.scores + in_place.log_weights)[:, 12:], dim=1)
    assert torch.allclose(among, torch.logsumexp(whole.scores, dim=1), atol=1e-5)
    assert torch.allclose(contrastive.log_candidates(in_place.log_weights), torch.tensor(13.0).log())


def test_a_queue_replaces_its_oldest_candidates():
    made, steps = queue(size=5), [normal(2, EMBEDDING, seed=number) for number in range(4)]
    for number, embeddings in enumerate(steps):
        made.after_update(embeddings, Origin.of(torch.tensor([[10 * number, 10 * number + 1]])))
    assert made.episodes.tolist() == [21, 30, 31, 11, 20]
    assert torch.equal(made.embeddings, torch.cat([steps[2][1:], steps[3], steps[1][1:], steps[2][:1]]))


def test_a_queue_smaller_than_a_batch_keeps_the_newest():
    made, embeddings = queue(size=5), normal(12, EMBEDDING)
    for _ in range(3):
        made.after_update(embeddings, Origin.of(torch.arange(12)[None]))
    assert sorted(made.episodes.tolist()) == [7, 8, 9, 10, 11]
    assert torch.equal(made.embeddings, embeddings[made.episodes])


def test_the_episodes_of_a_queue_can_be_left_out():
    made = EpisodeExcluded(of=partial(MemoryQueue, size=12))
    for each in made.each():
        each.allocate(EMBEDDING)
        each.after_update(normal(12, EMBEDDING), origin(3, 4))
    kept = made(example(), key_of(0)).log_weights[:, 12:] == 0
    assert torch.equal(kept, origin(3, 4).row[:, None] != origin(3, 4).row[None, :])


@pytest.mark.parametrize(("slow_rate", "offset"), [(None, 0.0), (0.01, 0.1)])
def test_the_objective_fills_the_queue_once_for_each_update(slow_rate, offset):
    """With the embeddings of the slow encoder where it has a rate, to which the sample adds a tenth."""
    made, sample = contrasts.make(negatives="MemoryQueue", settings={"size": 40, "slow_rate": slow_rate}), samples.example()
    assert made.slow_rate == slow_rate
    made.negatives.added.zero_()
    first, _ = made(sample, DYNAMICS, key_of(0))
    made.after_update(sample, DYNAMICS, key_of(0))
    second, _ = made(sample, DYNAMICS, key_of(0))
    queued = made.negatives.embeddings
    assert made.negatives.added == ROWS * TIMES
    assert torch.allclose(queued[: ROWS * TIMES], sample.embedding.reshape(-1, EMBEDDING) + offset)
    assert not queued.requires_grad
    assert torch.allclose(second["infonce"], first["infonce"] + math.log(2), atol=1e-5)


def test_a_strategy_around_a_slow_queue_needs_its_encoder():
    assert UniformSubset(candidates=3, of=partial(MemoryQueue, size=4, slow_rate=0.01)).slow_rate == 0.01


def test_extra_steps_replace_the_batch_or_join_it():
    whole = example()
    drawn = whole.source.score(whole.source.latents, whole.source.extra.embedding)
    dropped, kept = ReplayNegatives()(whole, key_of(0)), ReplayNegatives(batch="keep")(whole, key_of(0))
    for chosen in (dropped, kept):
        assert torch.equal(chosen.scores, torch.cat([whole.scores, drawn], dim=1))
        assert chosen.candidates.episode[12:].tolist() == whole.source.extra.episode.tolist()
    assert ((dropped.log_weights == 0).sum(dim=1) == 1 + 7).all()
    assert ((kept.log_weights == 0).sum(dim=1) == 12 + 7).all()
    loss = contrastive.infonce_loss(dropped.scores, dropped.log_weights)
    for i in range(12):
        total = math.exp(whole.scores[i, i].item()) + drawn[i].exp().sum().item()
        assert loss[i].item() == pytest.approx(math.log(total) - whole.scores[i, i].item(), abs=1e-5)


@pytest.mark.parametrize(("gradient", "flows"), [("flow", True), ("stop", False)])
def test_extra_steps_have_gradients_as_candidates_have(gradient, flows):
    embedding = normal(7, EMBEDDING).requires_grad_()
    sample = replace(samples.example(), extra=ExtraCandidates(embedding=embedding, episode=torch.arange(7)))
    losses, _ = contrasts.make(negatives="ReplayNegatives", embedding_gradient=gradient)(sample, DYNAMICS, key_of(0))
    (of_extra,) = torch.autograd.grad(losses["infonce"].sum(), embedding, allow_unused=True)
    assert (of_extra is not None) == flows


def test_mixtures_are_unit_vectors_between_the_hardest_by_a_loop():
    whole, seed, hardest, mixed, with_anchor = example("CosineCritic"), key_of(4), 3, 4, 2
    strategy = MoCHi(hardest=hardest, mixed=mixed, with_anchor=with_anchor)
    chosen = strategy(whole, seed)
    units = whole.source.units(whole.source.latents, whole.source.embeddings)
    assert chosen.scores.shape == (12, 12 + mixed + with_anchor)
    assert torch.equal(chosen.log_weights, torch.zeros_like(chosen.log_weights))
    draws = {purpose: uniform(fold_in(seed, purpose), 12, mixed) for purpose in (2, 3, 4)}
    draws |= {purpose: uniform(fold_in(seed, purpose), 12, with_anchor) for purpose in (5, 6)}
    for i in range(12):
        order = sorted((j for j in range(12) if j != i), key=lambda j, i=i: -whole.scores[i, j].item())[:hardest]
        for number in range(mixed + with_anchor):
            if number < mixed:
                one, other = (units.candidates[order[int(draws[purpose][i, number] * hardest)]] for purpose in (2, 3))
                share = draws[4][i, number]
            else:
                other = units.candidates[order[int(draws[5][i, number - mixed] * hardest)]]
                one, share = units.latents[i], draws[6][i, number - mixed] / 2
            vector = F.normalize(share * one + (1 - share) * other, dim=0)
            assert chosen.scores[i, 12 + number].item() == pytest.approx((units.scale * units.latents[i] @ vector).item(), abs=1e-4)


def test_mixtures_have_gradient_to_the_anchor_alone():
    whole = example("CosineCritic")
    embeddings = whole.source.embeddings.clone().requires_grad_()
    latents = whole.source.latents.map(lambda part: part.clone().requires_grad_())
    chosen = MoCHi()(replace(whole, source=replace(whole.source, latents=latents, embeddings=embeddings)), key_of(0))
    gradients = torch.autograd.grad(chosen.scores[:, 12:].sum(), [latents.stochastic, embeddings], allow_unused=True)
    assert gradients[0].abs().sum() > 0
    assert gradients[1] is None


def test_mixtures_are_made_of_the_candidates_of_the_wrapped_strategy():
    """The hardest mixed with itself is the hardest: here of the extra steps, since the batch is left out."""
    made = MoCHi(of=partial(ReplayNegatives, batch="drop"), hardest=1, with_anchor=0)
    chosen = made(example("CosineCritic"), key_of(0))
    hardest = chosen.scores[:, 12:19].amax(dim=1, keepdim=True)
    assert torch.allclose(chosen.scores[:, 19:], hardest.expand(-1, 16), atol=1e-4)
    alone = MoCHi(of=WithinSequence)(example("CosineCritic", rows=4, times=1), key_of(0))
    assert alone.log_weights[:, 4:].isneginf().all()


def test_other_actions_equal_a_loop():
    whole, seed = example(), key_of(2)
    chosen, source = ActionNegatives(count=3)(whole, seed), whole.source
    assert chosen.scores.shape == (12, 12 + 3)
    assert torch.equal(chosen.log_weights[:, :12] == 0, torch.eye(12, dtype=torch.bool))
    for number in range(3):
        drawn = (uniform(fold_in(seed, 2 + number), 12) * 11).long()
        for i in range(12):
            other = (i + 1 + int(drawn[i])) % 12
            assert other != i
            changed = source.latents.map(lambda part, i=i, other=other: part[i : i + 1] + source.action[other].sum())
            expected = source.score(changed, source.embeddings[i : i + 1]).item()
            assert chosen.scores[i, 12 + number].item() == pytest.approx(expected, abs=1e-4)


def test_the_actions_of_first_steps_are_left_out():
    whole = example()
    first = torch.zeros(12, dtype=torch.bool)
    first[[0, 4, 8]] = True
    chosen = ActionNegatives(count=30)(replace(whole, source=replace(whole.source, is_first=first)), key_of(0))
    weights = chosen.log_weights[:, 12:]
    assert weights[first].isneginf().all()
    assert 0.5 < (weights[~first] == 0).float().mean() < 0.95
    assert (contrastive.infonce_loss(chosen.scores, chosen.log_weights)[first] == 0).all()


def test_the_prior_under_the_own_action_is_the_prior_itself_at_any_steps():
    data, generator = batch("both"), torch.Generator().manual_seed(0)
    noise, embedding = DYNAMICS.draw_noise(ROWS, TIMES, generator=generator), normal(ROWS, TIMES, EMBEDDING)
    posterior, prior = DYNAMICS.observe(embedding, data.action, data.is_first, DYNAMICS.initial(ROWS), noise)
    steps = origin(ROWS, TIMES).map(lambda place: place.roll(-7)[:9])
    predicted = predict(inferred(posterior, prior, embedding, data), DYNAMICS, data.action[steps.row, steps.time], steps)
    assert torch.allclose(predicted.features, prior.features[steps.row, steps.time], atol=1e-5)


def test_other_actions_train_the_dynamics_through_the_objective():
    sample = samples.example()
    losses, metrics = contrasts.make(negatives="ActionNegatives")(sample, DYNAMICS, key_of(0))
    assert torch.allclose(losses["infonce"][sample.batch.is_first], torch.zeros(()))
    gradient = torch.autograd.grad(losses["infonce"].sum(), DYNAMICS.input.weight)[0]
    assert gradient.abs().sum() > 0
    assert metrics["contrastive/is_lower_bound"].item() == 0
