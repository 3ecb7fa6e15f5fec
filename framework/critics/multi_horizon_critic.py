"""One critic for each step into the future."""

from collections.abc import Mapping
from typing import ClassVar, cast, final

from jaxtyping import Float
from torch import Tensor, nn

from framework import critics
from framework.critics.base import Critic
from framework.data import Factory, Latent, LatentSpec, Metrics
from framework.errors import UserError


@final
@critics.register
class MultiHorizonCritic(Critic):
    """`f_k(s_t, o_{t+k})` for each offset k, with a critic of its own: contrastive predictive coding (van den Oord et al., 2018).

    An objective takes the mean over the offsets of the bounds on `I(s_t; o_{t+k})`; a step whose episode ends before `t + k` counts
    for nothing there. Its own score is that of the smallest offset. What `critic` says of its axis holds for every offset.
    """

    cost: ClassVar[str] = "that of `critic` for each offset"

    def __init__(self, *, latent: LatentSpec, embedding_size: int, critic: Factory[Critic], offsets: tuple[int, ...] = (1, 2, 3)) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        if not offsets or min(offsets) < 0 or len({*offsets}) < len(offsets):
            raise UserError(f"MultiHorizonCritic.offsets = {offsets} must be different steps of 0 or more, at least one, as in (1, 2, 3).")
        self.offsets = tuple(sorted(offsets))
        self.critics = nn.ModuleDict({str(offset): critic(latent=latent, embedding_size=embedding_size) for offset in self.offsets})
        for each in self.each_offset().values():
            _check_of_one_offset(each)

    def score(self, latents: Latent, embeddings: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.each_offset()[self.offsets[0]](latents, embeddings)

    def each_offset(self) -> Mapping[int, Critic]:
        return {offset: cast(Critic, self.critics[str(offset)]) for offset in self.offsets}

    def diagnose(self, embeddings: Float[Tensor, "M E"]) -> Metrics:
        return self.each_offset()[self.offsets[0]].diagnose(embeddings)


def _check_of_one_offset(critic: Critic) -> None:
    if critic.each_offset().keys() != {0} or critic.candidate != "embedding":
        raise UserError(
            f"MultiHorizonCritic.critic = @critics.{type(critic).__name__} does not score a latent against the embedding of a later "
            "observation; bind one that does, such as @critics.BilinearCritic."
        )
