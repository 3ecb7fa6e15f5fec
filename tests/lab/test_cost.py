import pytest
import torch
from torch import Tensor

from framework.critics import Critic
from framework.data import Latent, LatentSpec
from framework.errors import UserError
from framework.lab.cost import Setting, measure
from framework.lab.memory import peak_bytes
from framework.lab.plots_cost import plot
from framework.lab.report import Row
from framework.registry import registry_of
from tests.tiny import normal

CPU = torch.device("cpu")
SMALL = {"candidates": 16, "features": 16, "embedding": 8, "device": "cpu"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time each update once."""
    monkeypatch.setattr("framework.lab.cost.REPEATS", 1)
    monkeypatch.setattr("framework.lab.cost.SECONDS", 0.0)


def rows_of(**given: object) -> list[Row]:
    return [*measure(Setting(**(SMALL | given))).rows]


def test_the_peak_of_a_product_is_its_size() -> None:
    first, second = normal(256, 32), normal(32, 128)
    assert peak_bytes(lambda: first @ second, CPU) == 256 * 128 * 4


def test_the_peak_counts_what_lives_at_once_and_not_what_is_released() -> None:
    size = 256 * 256 * 4
    values = normal(256, 256)

    def one_after_another() -> None:
        for _ in range(5):
            values.exp()

    assert peak_bytes(one_after_another, CPU) == size
    assert peak_bytes(lambda: [values.exp() for _ in range(5)], CPU) == 5 * size


def test_the_peak_counts_gradients_and_what_waits_for_them() -> None:
    values = normal(256, 256).requires_grad_()
    size = 256 * 256 * 4
    forward = peak_bytes(lambda: values.exp().sum(), CPU)
    backward = peak_bytes(lambda: torch.autograd.grad(values.exp().sum(), values), CPU)
    assert size <= forward < 1.1 * size
    assert 2 * size <= backward < 2.1 * size


def test_every_critic_and_every_strategy_has_a_row_in_the_cross() -> None:
    rows = rows_of()
    critics, strategies = registry_of("critics").list(), registry_of("negatives").list()
    assert [row.name for row in rows[: len(critics)]] == critics
    assert len(rows) == len(critics) + len(strategies) - 1
    assert {str(row.under["strategy"]) for row in rows} == set(strategies)
    for row in rows:
        assert bool(row.also) != row.note.startswith("cannot go")


def test_a_shipped_component_goes_with_some_other() -> None:
    registries = {"critics": registry_of("critics"), "negatives": registry_of("negatives")}
    for row in rows_of():
        if registries["critics"].describe(row.name).builtin and registries["negatives"].describe(str(row.under["strategy"])).builtin:
            assert row.also, row.note


def test_a_row_has_time_ratio_memory_and_the_critics_own_words() -> None:
    (row,) = rows_of(critics=("BilinearCritic",), strategies=("InBatch",))
    assert row.also["milliseconds"] > 0
    assert row.also["ratio"] > 0
    assert row.also["MiB"] > 2 * 16 * 16 * 4 / 2**20
    assert row.also["cost"] == registry_of("critics").get("BilinearCritic").cost


def test_a_pair_that_cannot_go_has_the_reason_in_place_of_numbers() -> None:
    (row,) = rows_of(critics=("BilinearCritic",), strategies=("MoCHi",))
    assert not row.also
    assert "unit vectors" in row.note


class Unnumbered(Critic):
    """Scores that are no numbers."""

    cost = "nothing"

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents: Latent, embeddings: Tensor) -> Tensor:
        return torch.full((len(latents.features), len(embeddings)), torch.nan)


def test_a_critic_whose_scores_are_no_numbers_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry_of("critics")._classes, "Unnumbered", Unnumbered)
    (row,) = rows_of(critics=("Unnumbered",), strategies=("InBatch",))
    assert not row.also
    assert "cannot go: Unnumbered.score gives 16 of 16 scores that are nan" in row.note


def test_a_strategy_that_needs_another_critic_is_measured_with_that() -> None:
    (row,) = rows_of(strategies=("MoCHi",))
    assert issubclass(registry_of("critics").get(row.name), Critic)
    assert row.also


def test_names_given_on_both_sides_are_all_paired() -> None:
    rows = rows_of(critics=("BilinearCritic", "SeparableCritic"), strategies=("InBatch", "SameTimestep", "Decoupled"))
    assert len(rows) == 6


def test_defaults_that_a_small_batch_cannot_serve_are_scaled_and_named() -> None:
    (row,) = rows_of(strategies=("UniformSubset",))
    assert row.note == "candidates = 16"


def test_the_plots_are_dots_for_a_cross_and_a_grid_for_a_product() -> None:
    names = {"critics": ("BilinearCritic", "SeparableCritic"), "strategies": ("InBatch", "SameTimestep")}
    dots, grid = plot(measure(Setting(**SMALL, critics=names["critics"]))), plot(measure(Setting(**SMALL, **names)))
    assert [each.get_text() for each in dots.axes[0].get_yticklabels()] == ["BilinearCritic x InBatch", "SeparableCritic"]
    assert all(len(panel.images) == 1 and len(panel.texts) == 4 for panel in grid.axes)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"candidates": 13}, "--candidates 13"),
        ({"candidates": 0}, "--candidates 0"),
        ({"features": 20}, "--features 20"),
        ({"embedding": 0}, "--embedding 0"),
        ({"critics": ("BilinerCritic",)}, "--critic BilinerCritic.* did you mean 'BilinearCritic'"),
        ({"strategies": ("InBtch",)}, "--strategy InBtch.* did you mean 'InBatch'"),
    ],
)
def test_what_is_impossible_is_refused_by_name(given: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        rows_of(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="--device cuda"):
        rows_of(device="cuda")
