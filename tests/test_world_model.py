"""The world model around its objectives: slow encoder, extra steps, augmentation, second views, and the state after an update."""

from dataclasses import replace

import pytest
import torch

from framework.data import Batch, ExtraSteps
from framework.errors import UserError
from framework.functional.random import fold_in, new_key
from framework.testing.samples import OBSERVATIONS, ROWS, TIMES, batch, key_of, observe, seeded, specs_of, update
from framework.world_model import FIRST_VIEW, SECOND_VIEW
from tests.members import agent_factory, factory


def make(negatives: str = "InBatch", **settings):
    objective = factory("objectives", "InfoNCE", negatives=factory("negatives", negatives, **settings))
    return agent_factory(objectives=[objective])(specs=specs_of("both"))


def with_extra(count: int = 4) -> Batch:
    return replace(batch(), extra=ExtraSteps(observation=observe(OBSERVATIONS["both"], count, seed=8), episode=torch.arange(count) + 900))


def noise(agent):
    return agent.world_model.dynamics.draw_noise(ROWS, TIMES, generator=seeded(3))


def test_there_is_a_slow_encoder_only_where_an_objective_needs_one():
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


def test_a_queue_holds_the_embeddings_of_the_slow_encoder_before_it_moved():
    agent = make("MemoryQueue", slow_rate=0.25, size=ROWS * TIMES)
    expected = agent.world_model.slow_encoder(batch().observation).flatten(0, 1)
    update(agent, batch(), seeded(1))
    queue = agent.world_model.objectives[0].negatives
    assert torch.allclose(queue.embeddings, expected, atol=1e-6)
    assert queue.added.item() == ROWS * TIMES


def test_the_state_of_a_queue_is_in_the_checkpoint():
    agent, other = make("MemoryQueue", size=40), make("MemoryQueue", size=40)
    update(agent, batch(), seeded(1))
    other.load_state_dict(agent.state_dict())
    one, two = (each.world_model(batch(), noise(agent), key_of(0)).losses["infonce"] for each in (agent, other))
    assert torch.equal(one, two)


def test_extra_steps_become_candidates():
    agent = make("ReplayNegatives")
    inferred = agent.world_model.observe(with_extra(), noise(agent))
    assert torch.equal(inferred.extra.embedding, agent.world_model.encoder(with_extra().extra.observation))
    metrics = update(agent, with_extra(), seeded(1))
    assert metrics["contrastive/ceiling"].exp().item() == pytest.approx(5, abs=1e-4)


def test_an_update_refuses_a_batch_that_an_objective_cannot_use():
    with pytest.raises(UserError, match=r"ReplayNegatives needs steps of their own.*Replay.extra_candidates"):
        update(make("ReplayNegatives"), batch(), seeded(1))
    agent = agent_factory(objectives=[factory("objectives", "LatentConsistency", horizon=TIMES)])(specs=specs_of("both"))
    with pytest.raises(UserError, match=rf"LatentConsistency.horizon = {TIMES}, and sequences are {TIMES} steps long"):
        update(agent, batch(), seeded(1))


def test_images_are_augmented_in_training_and_not_in_acting():
    encoder = factory("encoders", "RandomShift", encoder=factory("encoders", "ConvEncoder"), pixels=2)
    agent = agent_factory(encoder=encoder)(specs=specs_of("pixels"))
    inferred = agent.world_model(batch("pixels"), noise(agent), new_key(seeded(4))).inferred
    assert not torch.equal(inferred.batch.observation["pixels"], batch("pixels").observation["pixels"])
    plain = agent.world_model.observe(batch("pixels"), noise(agent))
    assert torch.equal(plain.batch.observation["pixels"], batch("pixels").observation["pixels"])
    assert not torch.allclose(inferred.embedding, plain.embedding)


def with_two_views(encoder=None, **settings):
    shifted = factory("encoders", "RandomShift", encoder=factory("encoders", "ConvEncoder"), pixels=2)
    objective = factory("objectives", "Prototypes", **settings)
    return agent_factory(encoder=encoder or shifted, objectives=[objective])(specs=specs_of("pixels"))


def test_two_views_are_augmented_differently_and_latents_are_of_the_first():
    agent = with_two_views()
    model, data, seed = agent.world_model, batch("pixels"), new_key(seeded(4))
    inferred = model(data, noise(agent), seed).inferred
    observations = [model.encoder.augment(data.observation, fold_in(seed, purpose)) for purpose in (FIRST_VIEW, SECOND_VIEW)]
    assert not torch.equal(observations[0]["pixels"], observations[1]["pixels"])
    for view, observation in zip((inferred, inferred.second), observations, strict=True):
        assert torch.equal(view.embedding, model.encoder(observation))
        assert torch.equal(view.slow_embedding, model.slow_encoder(observation))
    assert torch.equal(inferred.batch.observation["pixels"], observations[0]["pixels"])
    assert model.observe(data, noise(agent)).second is None


def test_both_views_have_gradients_to_the_encoder():
    agent = with_two_views()
    output = agent.world_model(batch("pixels"), noise(agent), key_of(0))
    loss = output.losses["swapped_prototypes"].sum()
    for view in (output.inferred.embedding, output.inferred.second.embedding):
        (gradient,) = torch.autograd.grad(loss, [view], retain_graph=True)
        assert gradient.abs().sum() > 0


def test_two_views_need_an_encoder_that_augments():
    plain = factory("encoders", "ConvEncoder")
    shifted = factory("encoders", "RandomShift", encoder=plain)
    assert with_two_views(factory("encoders", "MultiEncoder", encoders={"pixels": shifted})).world_model.has_second_view
    with pytest.raises(UserError, match=r"Prototypes compares two augmented views.*MultiEncoder augments nothing.*RandomShift"):
        with_two_views(factory("encoders", "MultiEncoder", encoders={"pixels": plain}))


def test_metrics_of_two_objectives_under_one_name_get_the_class_in_it():
    objectives = [factory("objectives", name) for name in ("InfoNCE", "TemporalPredictive")]
    agent = agent_factory(objectives=objectives)(specs=specs_of("both"))
    inferred = agent.world_model.observe(batch(), noise(agent))
    (_, first), (_, second) = (objective(inferred, agent.world_model.dynamics, key_of(0)) for objective in agent.world_model.objectives)
    shared = first.keys() & second.keys()
    assert "contrastive/estimate" in shared
    metrics = agent.world_model(batch(), noise(agent), key_of(0)).metrics
    for name in shared:
        assert torch.equal(metrics[name], first[name])
        assert torch.equal(metrics[name.replace("/", "/TemporalPredictive/")], second[name])
    assert second.keys() - shared <= metrics.keys()
    diagnosed = agent.diagnose(batch(), seeded(0))
    assert diagnosed["contrastive/TemporalPredictive/own_sequence_mass"] != diagnosed["contrastive/own_sequence_mass"]
    assert 1 <= diagnosed["model/effective_rank"] <= inferred.embedding.shape[-1]
