"""The world model around its objectives: the slow encoder, draws from the replay, augmentation, and what follows an update."""

from dataclasses import replace

import pytest
import torch

from framework.data import Batch, ExtraSteps
from framework.errors import UserError
from framework.functional.random import fold_in, new_key
from framework.registry import registry_of
from framework.world_model import AUGMENTING, AUGMENTING_AGAIN
from tests.members import agent_factory, factory
from tests.tiny import DYNAMICS, OBSERVATIONS, ROWS, TIMES, batch, observe, seed_of, seeded, specs_of, update


def make(negatives: str = "InBatch", **settings):
    objective = factory("objectives", "InfoNCE", negatives=factory("negatives", negatives, **settings))
    return agent_factory(objectives=[objective])(specs=specs_of("both"))


def with_draws(count: int = 4) -> Batch:
    return replace(batch(), draws=ExtraSteps(observation=observe(OBSERVATIONS["both"], count, seed=8), episode=torch.arange(count) + 900))


def noise(agent):
    return agent.world_model.dynamics.draw_noise(ROWS, TIMES, generator=seeded(3))


def test_there_is_a_slow_encoder_only_where_an_objective_asks_for_one():
    assert make().world_model.slow_encoder is None
    agent = make("MemoryQueue", slow_rate=0.25)
    assert not any(parameter.requires_grad for parameter in agent.world_model.slow_encoder.parameters())
    assert agent.parameter_count()["model"] == make().parameter_count()["model"]


def test_the_slow_encoder_moves_by_its_rate_after_each_update():
    agent = make("MemoryQueue", slow_rate=0.25)
    model = agent.world_model
    before = [parameter.clone() for parameter in model.slow_encoder.parameters()]
    update(agent, batch(), seeded(1))
    assert len(before) > 0
    for old, slow, fast in zip(before, model.slow_encoder.parameters(), model.encoder.parameters(), strict=True):
        assert torch.allclose(slow, old + 0.25 * (fast - old), atol=1e-6)


def test_a_queue_takes_in_what_the_slow_encoder_gave_before_it_moved():
    agent = make("MemoryQueue", slow_rate=0.25, size=ROWS * TIMES)
    expected = agent.world_model.slow_encoder(batch().observation).flatten(0, 1)
    update(agent, batch(), seeded(1))
    queue = agent.world_model.objectives[0].negatives
    assert torch.allclose(queue.embeddings, expected, atol=1e-6)
    assert queue.added.item() == ROWS * TIMES


def test_what_is_carried_over_is_in_the_checkpoint():
    agent, other = make("MemoryQueue", size=40), make("MemoryQueue", size=40)
    update(agent, batch(), seeded(1))
    other.load_state_dict(agent.state_dict())
    one, two = (each.world_model(batch(), noise(agent), DYNAMICS, seed_of(0)).losses["infonce"] for each in (agent, other))
    assert torch.equal(one, two)


def test_draws_become_candidates():
    agent = make("ReplayNegatives")
    seen = agent.world_model.observe(with_draws(), noise(agent))
    assert torch.equal(seen.drawn.embedding, agent.world_model.encoder(with_draws().extra.observation))
    metrics = agent.update(with_draws(), seeded(1))
    assert metrics["contrastive/ceiling"].exp().item() == pytest.approx(5, abs=1e-4)


def test_without_draws_a_strategy_that_needs_them_says_what_to_bind():
    with pytest.raises(UserError, match=r"ReplayNegatives needs draws.*Replay.extra"):
        make("ReplayNegatives").update(batch(), seeded(1))


def test_training_sees_augmented_images_and_acting_does_not():
    encoder = factory("encoders", "RandomShift", encoder=factory("encoders", "ConvEncoder"), pixels=2)
    agent = agent_factory(encoder=encoder)(specs=specs_of("pixels"))
    seen = agent.world_model(batch("pixels"), noise(agent), new_key(seeded(4))).seen
    assert not torch.equal(seen.batch.observation["pixels"], batch("pixels").observation["pixels"])
    plain = agent.world_model.observe(batch("pixels"), noise(agent))
    assert torch.equal(plain.batch.observation["pixels"], batch("pixels").observation["pixels"])
    assert not torch.allclose(seen.embedding, plain.embedding)


def with_two_views(encoder=None, **settings):
    shifted = factory("encoders", "RandomShift", encoder=factory("encoders", "ConvEncoder"), pixels=2)
    objective = factory("objectives", "Prototypes", **settings)
    scales = dict.fromkeys(("kl", "reward", "continuation", "swapped_prototypes", "temporal_prototypes", "projection_norm"), 1.0)
    return agent_factory(encoder=encoder or shifted, objectives=[objective], scales=scales)(specs=specs_of("pixels"))


def test_two_views_are_augmented_apart_and_the_first_is_filtered():
    agent = with_two_views()
    model, data, seed = agent.world_model, batch("pixels"), new_key(seeded(4))
    seen = model(data, noise(agent), seed).seen
    shown = [model.encoder.augment(data.observation, fold_in(seed, purpose)) for purpose in (AUGMENTING, AUGMENTING_AGAIN)]
    assert not torch.equal(shown[0]["pixels"], shown[1]["pixels"])
    for view, observation in zip((seen, seen.second), shown, strict=True):
        assert torch.equal(view.embedding, model.encoder(observation))
        assert torch.equal(view.slow_embedding, model.slow_encoder(observation))
    assert torch.equal(seen.batch.observation["pixels"], shown[0]["pixels"])


def test_there_is_no_second_view_where_no_objective_asks_for_one_nor_outside_of_training():
    agent = with_two_views()
    assert agent.world_model.observe(batch("pixels"), noise(agent)).second is None
    assert make().world_model(batch(), noise(make()), DYNAMICS, seed_of(0)).seen.second is None


def test_both_views_teach_the_encoder():
    agent = with_two_views()
    known = agent.world_model(batch("pixels"), noise(agent), DYNAMICS, seed_of(0))
    loss = known.losses["swapped_prototypes"].sum()
    for view in (known.inferred.embedding, known.inferred.second.embedding):
        (gradient,) = torch.autograd.grad(loss, [view], retain_graph=True)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("wrapped", [True, False])
def test_two_views_need_an_encoder_that_augments(wrapped):
    plain = factory("encoders", "ConvEncoder")
    encoder = factory(
        "encoders", "MultiEncoder", encoders={"pixels": factory("encoders", "RandomShift", encoder=plain) if wrapped else plain}
    )
    if wrapped:
        assert with_two_views(encoder).world_model.two_views
        return
    with pytest.raises(UserError, match=r"Prototypes compares two augmented views.*MultiEncoder augments nothing.*RandomShift"):
        with_two_views(encoder)


def test_what_two_objectives_say_under_one_name_is_told_apart():
    objectives = [factory("objectives", name) for name in ("InfoNCE", "TemporalPredictive")]
    names = ("kl", "reward", "continuation", "infonce", *registry_of("objectives").get("TemporalPredictive").losses)
    agent = agent_factory(objectives=objectives, scales=dict.fromkeys(names, 1.0))(specs=specs_of("both"))
    seen = agent.world_model.observe(batch(), noise(agent))
    (_, first), (_, second) = (objective(seen, DYNAMICS, seed_of(0)) for objective in agent.world_model.objectives)
    shared = first.keys() & second.keys()
    assert "contrastive/estimate" in shared
    metrics = agent.world_model(batch(), noise(agent), DYNAMICS, seed_of(0)).metrics
    for name in shared:
        assert torch.equal(metrics[name], first[name])
        assert torch.equal(metrics[name.replace("/", "/TemporalPredictive/")], second[name])
    assert second.keys() - shared <= metrics.keys()
    assert "contrastive/TemporalPredictive/effective_rank" in agent.diagnose(batch(), seeded(0))


def test_the_prior_under_the_actions_that_were_taken_is_the_prior():
    agent = make()
    seen = agent.world_model.observe(batch(), noise(agent))
    predicted = seen.predict(batch().action)
    assert torch.allclose(predicted.deterministic, seen.prior.deterministic.flatten(0, 1), atol=1e-5)
    assert torch.allclose(predicted.statistics["mean"], seen.prior.statistics["mean"].flatten(0, 1), atol=1e-5)
    assert torch.allclose(predicted.stochastic, seen.prior.stochastic.flatten(0, 1), atol=1e-5)
