"""A captured update on CUDA is the update. Written without an accelerator at hand: these tests were skipped wherever they ran."""

import pytest
import torch

import framework
from framework.bench.counting import cuda_waits, kernels
from framework.bench.update import SampledUpdate
from framework.training.captured import WARM_UP, CapturedUpdate, CudaGraph
from framework.training.runtime import Runtime
from tests.bench.test_guard import MOST
from tests.training.agents import agents

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
RECIPES = ("dreamer_v1_infonce", "dreamer_v3_infonce", "quickstart")


@pytest.mark.parametrize("name", RECIPES)
def test_captured_equals_plain_in_metrics_and_parameters_after_10_updates(name):
    runtime, ((plain, agent), data) = Runtime(device="cuda"), agents(name, 2, device="cuda")
    captured = CapturedUpdate(agent.update, CudaGraph(runtime.device))
    one, other = runtime.generator(7, 0), runtime.generator(7, 0)
    for seed in range(WARM_UP + 10):
        batch = data(seed).to(runtime.device)
        metrics, expected = captured(batch, agent.draw_noise(batch, one)), plain.update(batch, plain.draw_noise(batch, other))
        wrong = [key for key in expected if not torch.allclose(metrics[key], expected[key].float(), rtol=1e-3, atol=1e-4)]
        assert wrong == [], f"losses and gradient norms of update {seed}"
    for key, value in plain.state_dict().items():
        assert torch.allclose(agent.state_dict()[key].float(), value.float(), rtol=1e-3, atol=1e-4), key


@pytest.mark.parametrize("storage", ["device", "memory"])
@pytest.mark.parametrize("capture", ["off", "update"])
def test_an_update_never_waits(storage, capture):
    settings = ["Runtime.device='cuda'", f"Runtime.capture='{capture}'", f"Replay.storage='{storage}'"]
    update = SampledUpdate(framework.compose("quickstart", settings))
    for _ in range(WARM_UP + 2):
        update()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert cuda_waits(update) == 0


@pytest.mark.parametrize("name", RECIPES)
def test_it_launches_no_more_kernels_than_it_dispatches_operators(name):
    (agent,), data = agents(name, 1, device="cuda")
    runtime = Runtime(device="cuda")
    captured, batch = CapturedUpdate(agent.update, CudaGraph(runtime.device)), data(0).to(runtime.device)
    noise = agent.draw_noise(batch, runtime.generator(7, 0))
    for _ in range(WARM_UP + 1):
        captured(batch, noise)
    assert 0 < kernels(lambda: captured(batch, noise)) <= MOST[name]
