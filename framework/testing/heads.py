"""The contract of heads."""

import pytest
import torch

from framework.heads.base import Head
from framework.lab.members import Member
from framework.testing.checks import assert_losses, assert_reaches
from framework.testing.contract import Contract, accepted
from framework.testing.samples import LATENT, PIXELS, POSITION, ROWS, TIMES, VECTORS, batch, normal

FEATURES = LATENT.feature_size
TARGETS = {"nothing": None, "pixels": {"pixels": PIXELS}, "position": {"position": POSITION}, "vectors": VECTORS}


def learn_once(head, features, data):
    """A last layer may be zero at first, and hides the layers before it."""
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    head.loss(features, data).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


class HeadContract(Contract):
    """The contract of heads."""

    family = "heads"

    @pytest.fixture
    def built(self, member: Member) -> list[Head]:
        """The head for each target that it takes."""
        heads = [each for target in TARGETS.values() if (each := accepted(member, latent=LATENT, target=target))]
        assert heads, "it takes no target at all: neither None nor an observation"
        return heads

    def test_its_loss_is_a_density_of_each_step(self, built):
        for head in built:
            loss = head.loss(normal(ROWS, TIMES, FEATURES), batch("both"))
            assert_losses(head, {"own": loss}, ("own",), (ROWS, TIMES))

    @pytest.mark.parametrize("leading", [(3,), (2, 1, 3)])
    def test_it_takes_any_leading_axes(self, built, leading):
        for head in built:
            prediction = head(normal(*leading, FEATURES))
            assert prediction.mean.shape[: len(leading)] == leading
            assert prediction.log_density(prediction.mean).shape == leading

    def test_each_row_is_independent_of_the_others(self, built):
        features, data = normal(ROWS, TIMES, FEATURES), batch("both")
        for head in built:
            learn_once(head, features, data)
            whole = head.loss(features, data)
            changed = features.clone()
            changed[0] += 1.0
            after = head.loss(changed, data)
            assert torch.allclose(after[1:], whole[1:], atol=1e-5)
            assert (after[0] != whole[0]).all()

    def test_its_loss_reaches_the_features_and_every_parameter(self, built):
        for head in built:
            learn_once(head, normal(ROWS, TIMES, FEATURES), batch("both"))
            features = normal(ROWS, TIMES, FEATURES).requires_grad_()
            loss = head.loss(features, batch("both")).sum()
            assert_reaches(loss, head)
            (gradient,) = torch.autograd.grad(loss, features)
            assert (gradient.abs().sum(dim=-1) > 0).all()

    def test_it_learns_its_target(self, built):
        features, data = normal(ROWS, TIMES, FEATURES), batch("both")
        for head in built[:1]:
            optimizer, losses = torch.optim.Adam(head.parameters(), lr=2e-2), []
            for _ in range(20):
                loss = head.loss(features, data).mean()
                losses.append(loss.item())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            assert losses[-1] < losses[0] - 0.02

    def test_its_density_is_float32_under_bfloat16(self, built):
        for head in built:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert head.loss(normal(ROWS, TIMES, FEATURES), batch("both")).dtype == torch.float32
