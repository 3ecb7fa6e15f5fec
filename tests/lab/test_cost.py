import pytest
import torch
from torch import Tensor

from framework.critics import Critic
from framework.data import Latent, LatentSpec
from framework.errors import UserError
from framework.lab.cost import measure
from framework.lab.plots.cost import plot
from framework.lab.settings import CostSettings
from framework.measurement.report import Row
from framework.registry import registry_of

SMALL = {"candidates": 16, "features": 16, "embedding": 8, "device": "cpu"}


@pytest.fixture(autouse=True)
def time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.lab.cost.REPEATS", 1)
    monkeypatch.setattr("framework.lab.cost.SECONDS", 0.0)


def rows_of(**settings: object) -> list[Row]:
    return [*measure(CostSettings(**(SMALL | settings))).rows]


def test_every_critic_and_every_strategy_is_measured_in_the_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shipped component can go with some other."""
    monkeypatch.setattr("framework.lab.cost.peak_bytes", lambda call, device: call() or 1)
    rows = rows_of()
    critics, strategies = registry_of("critics"), registry_of("negatives")
    assert [row.name for row in rows[: len(critics.list())]] == critics.list()
    assert len(rows) == len(critics.list()) + len(strategies.list()) - 1
    assert {row["strategy"] for row in rows} == set(strategies.list())
    for row in rows:
        shipped = critics.describe(row.name).builtin and strategies.describe(str(row["strategy"])).builtin
        assert row["ratio"] is not None or (not shipped and row.note.startswith("cannot go")), row.note


def test_a_row_has_time_ratio_memory_and_the_cost_of_its_critic() -> None:
    (row,) = rows_of(critics=("BilinearCritic",), strategies=("InBatch",))
    assert row["milliseconds"] > 0
    assert row["ratio"] > 0
    assert row["MiB"] > 2 * 16 * 16 * 4 / 2**20
    assert row["cost"] == registry_of("critics").get("BilinearCritic").cost


class Unnumbered(Critic):
    """Scores that are nan."""

    cost = "nothing"

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents: Latent, embeddings: Tensor) -> Tensor:
        return torch.full((len(latents.features), len(embeddings)), torch.nan)


@pytest.mark.parametrize(
    ("critic", "strategy", "reason"),
    [
        ("BilinearCritic", "MoCHi", "unit vectors"),
        ("Unnumbered", "InBatch", "cannot go: Unnumbered.score gives 16 of 16 scores that are nan"),
    ],
)
def test_a_pair_that_cannot_go_has_the_reason_in_place_of_numbers(
    monkeypatch: pytest.MonkeyPatch, critic: str, strategy: str, reason: str
) -> None:
    monkeypatch.setitem(registry_of("critics")._classes, "Unnumbered", Unnumbered)
    (row,) = rows_of(critics=(critic,), strategies=(strategy,))
    assert row["ratio"] is None
    assert reason in row.note


def test_a_strategy_that_refuses_the_plain_critic_is_measured_with_another() -> None:
    (row,) = rows_of(strategies=("MoCHi",))
    assert row.name == "CosineCritic"
    assert row["ratio"] is not None


def test_names_on_both_sides_are_all_paired() -> None:
    rows = rows_of(critics=("BilinearCritic", "SeparableCritic"), strategies=("InBatch", "SameTimestep", "Decoupled"))
    assert len({(row.name, row["strategy"]) for row in rows}) == len(rows) == 6


def test_a_default_too_large_for_the_batch_is_capped_and_noted() -> None:
    assert [row.note for row in rows_of(strategies=("UniformSubset", "WithinCrossMixture"))] == ["candidates = 16", "count = 15"]


def test_the_picture_has_dots_for_a_cross_and_a_grid_for_a_product() -> None:
    names = {"critics": ("BilinearCritic", "SeparableCritic"), "strategies": ("InBatch", "SameTimestep")}
    dots = plot(measure(CostSettings(**SMALL, critics=names["critics"])))
    grid = plot(measure(CostSettings(**SMALL, **names)))
    assert [each.get_text() for each in dots.axes[0].get_yticklabels()] == ["BilinearCritic x InBatch", "SeparableCritic"]
    assert all(len(panel.images) == 1 and len(panel.texts) == 4 for panel in grid.axes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 13}, "--candidates = 13"),
        ({"features": 20}, "--features = 20"),
        ({"critics": ("BilinerCritic",)}, "--critic BilinerCritic.* did you mean 'BilinearCritic'"),
        ({"strategies": ("InBtch",)}, "--strategy InBtch.* did you mean 'InBatch'"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows_of(**settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_refused() -> None:
    with pytest.raises(UserError, match="--device cuda"):
        rows_of(device="cuda")
