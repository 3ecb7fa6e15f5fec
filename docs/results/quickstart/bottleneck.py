"""What keeps a run from learning faster: its world model, its behavior, or its data; from its last checkpoint, without new data.

python docs/results/quickstart/bottleneck.py RUN model                          # errors of the run's own model, by steps
python docs/results/quickstart/bottleneck.py RUN behavior 2000 [BINDING ..]     # a new behavior in the run's own world model, kept fixed
python docs/results/quickstart/bottleneck.py RUN agent 2000 [BINDING ..]        # a new agent from the replay of the run

The last two print a line of JSON every 500 updates: the mean return of 8 episodes, and means of metrics over these updates.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

import framework
from framework.agent import Agent
from framework.data import Batch, Metrics, UpdateNoise
from framework.functional.kl import gaussian_kl
from framework.training.learner import Learner
from framework.training.run import Run

EVERY, EPISODES, ROWS, STEPS, OPEN_LOOP_FROM = 500, 8, 64, 24, 8
METRICS = ("behavior/return", "behavior/policy_std", "model/kl_nats", "model/reward_loss", "contrastive/estimate")


def prepared(folder: Path, bindings: list[str]) -> tuple[Run, Learner, Path]:
    """The run with a new agent, and the replay of its last checkpoint."""
    checkpoint = framework.find_checkpoint(str(folder), "latest")
    run = framework.compose(folder / "resolved.gin", bindings)
    learner = run.learner()
    torch.set_num_threads(1)
    learner.replay.load(checkpoint / "replay")
    return run, learner, checkpoint


def root_mean_square(error: Tensor) -> list[float]:
    return [round(float(value), 2) for value in error.square().mean(dim=0).sqrt()]


@torch.no_grad()
def model_errors(folder: Path, bindings: list[str]) -> dict[str, list[float]]:
    """By step: the divergence of posterior and prior in nats, and errors of the reward, from posteriors and open loop."""
    _, learner, checkpoint = prepared(folder, [f"Replay.batch={ROWS}", f"Replay.length={STEPS}", *bindings])
    agent, generator = learner.agent, torch.Generator().manual_seed(0)
    agent.load_state_dict(torch.load(checkpoint / "agent.pt"))
    model, sampled = agent.world_model, learner.replay.sample()
    whole = ~sampled.is_first[:, 1:].any(dim=1)
    batch = sampled.map(lambda part: part[whole])
    inferred = agent.infer(batch, generator)
    posterior, prior = inferred.posterior.statistics, inferred.prior.statistics
    divergence = gaussian_kl(posterior["mean"], posterior["std"], prior["mean"], prior["std"]).mean(dim=0)
    latent, rewards = inferred.posterior.map(lambda part: part[:, OPEN_LOOP_FROM]), []
    for step in range(OPEN_LOOP_FROM + 1, STEPS):
        noise = model.dynamics.draw_noise(len(batch.reward), generator=generator)
        latent = model.dynamics.imagine_step(latent, batch.action[:, step], noise)
        rewards.append(model.each_head["reward"](latent.features).mean)
    return {
        "nats": [round(float(value), 1) for value in divergence],
        "posterior": root_mean_square(model.each_head["reward"](inferred.features).mean - batch.reward),
        "open loop": root_mean_square(torch.stack(rewards, dim=1) - batch.reward[:, OPEN_LOOP_FROM + 1 :]),
        "standard deviation of the reward": [round(float(batch.reward.std()), 2)],
    }


def behavior_update(agent: Agent, batch: Batch, noise: UpdateNoise) -> Metrics:
    """An update of actor and value alone."""
    with torch.no_grad():
        inferred = agent.world_model(batch, noise.posterior, noise.key).inferred
    starts = inferred.posterior.detach().flatten()
    chosen = starts if noise.starts is None else starts.map(lambda part: part[noise.starts])
    losses, metrics = agent.behavior.losses(agent._rollouts(chosen, noise), inferred, noise.replayed_actions)
    gradients = {name: torch.autograd.grad(loss.mean(), agent.behavior.group(name), retain_graph=True) for name, loss in losses.items()}
    for name, gradient in gradients.items():
        agent.optimizers[name].step(list(gradient))
    agent.behavior.after_update()
    return metrics


def learn(folder: Path, what: str, updates: int, bindings: list[str]) -> None:
    run, learner, checkpoint = prepared(folder, bindings)
    agent, generator = learner.agent, torch.Generator().manual_seed(0)
    if what == "behavior":
        model = {name: value for name, value in torch.load(checkpoint / "agent.pt").items() if name.startswith("world_model.")}
        agent.load_state_dict(agent.state_dict() | model)
    update = Agent.update if what == "agent" else behavior_update
    means, started = defaultdict[str, list[Tensor]](list), time.process_time()
    for count in range(1, updates + 1):
        batch = learner.replay.sample()
        for name, value in update(agent, batch, agent.draw_noise(batch, generator)).items():
            means[name].append(value.detach())
        if count % EVERY == 0:
            milliseconds = round(1000 * (time.process_time() - started) / EVERY)
            played = run.evaluation.run(agent=agent, runtime=run.runtime, environment=run.environment, seed=77, episodes=EPISODES)
            known = {name: round(float(torch.stack(means[name]).mean()), 3) for name in METRICS if name in means}
            print(json.dumps({"updates": count, "return": round(played.mean), "ms": milliseconds} | known), flush=True)
            means, started = defaultdict(list), time.process_time()


if __name__ == "__main__":
    home, kind, *rest = sys.argv[1:]
    if kind == "model":
        print(json.dumps(model_errors(Path(home), rest)))
    else:
        learn(Path(home), kind, int(rest[0]), rest[1:])
