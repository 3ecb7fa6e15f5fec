"""Dreamer V3 in float64 numpy: Hafner et al. (2025), *Mastering diverse control tasks through world models*, arXiv 2301.04104, and
danijar/dreamerv3 as of 2024 and later.

`rssm` maps names to weights: pairs `(W, b)`, triples `(W, b, scale)` of a layer with a norm, and `(W [G, I, O], b)` of a block-diagonal one.
"""

import numpy as np

from tests.reference.dreamer_v2 import categorical_kl, one_hot_sample
from tests.reference.layers import (
    discount_product,
    linear,
    log_softmax,
    normal_entropy,
    normal_log_density,
    rms_norm,
    sigmoid,
    silu,
    silu_mlp,
)

FREE_NATS, UNIMIX = 1.0, 0.01
DISCOUNT, LAMBDA, ENTROPY, REPLAY_VALUE = 1 - 1 / 333, 0.95, 3e-4, 0.3


def mixed(logits, classes):
    """Log-probabilities of 99 % of the softmax and 1 % of the uniform distribution, in groups of `classes`."""
    groups = logits.reshape(*logits.shape[:-1], -1, classes)
    return np.log((1 - UNIMIX) * np.exp(log_softmax(groups)) + UNIMIX / classes).reshape(logits.shape)


def normed(values, layer):
    weight, bias, scale = layer
    return silu(rms_norm(linear(values, (weight, bias)), scale))


def block_linear(values, layer):
    """`y_g = x_g W_g + b_g` of parts `[N, G, I]`."""
    weight, bias = layer
    return np.einsum("ngi,gio->ngo", values, weight) + bias.reshape(weight.shape[0], -1)


def next_deterministic(rssm, stochastic, deterministic, action):
    """The block GRU: every block sees its own part of h, and summaries of the whole h, z and a."""
    blocks = rssm["gates"][0].shape[0]
    action = action / np.maximum(1, np.abs(action))
    parts = ("from_deterministic", deterministic), ("from_stochastic", stochastic), ("from_action", action)
    shared = np.concatenate([normed(values, rssm[name]) for name, values in parts], axis=-1)
    own = deterministic.reshape(len(deterministic), blocks, -1)
    weight, bias, scale = rssm["mixing"]
    inputs = np.concatenate([own, np.repeat(shared[:, None], blocks, axis=1)], axis=-1)
    hidden = silu(rms_norm(block_linear(inputs, (weight, bias)).reshape(deterministic.shape), scale)).reshape(own.shape)
    reset, candidate, update = np.split(block_linear(hidden, rssm["gates"]), 3, axis=-1)
    update = sigmoid(update - 1)
    return (update * np.tanh(sigmoid(reset) * candidate) + (1 - update) * own).reshape(deterministic.shape)


def prior(rssm, deterministic):
    *hidden, last = rssm["prior"]
    for layer in hidden:
        deterministic = normed(deterministic, layer)
    return mixed(linear(deterministic, last), rssm["classes"])


def posterior(rssm, deterministic, embedding):
    hidden, last = rssm["posterior"]
    return mixed(linear(normed(np.concatenate([deterministic, embedding], axis=-1), hidden), last), rssm["classes"])


def observe(rssm, embedding, action, is_first, gumbel):
    """Filter sequences step by step: features `[z, h]`, and the log-probabilities of the posterior and of the prior."""
    stochastic, deterministic = np.zeros(gumbel[:, 0].shape), np.zeros((len(is_first), rssm["mixing"][2].size))
    features, posteriors, priors = [], [], []
    for t in range(is_first.shape[1]):
        kept = 1.0 - is_first[:, t, None]
        deterministic = next_deterministic(rssm, stochastic * kept, deterministic * kept, action[:, t] * kept)
        priors.append(prior(rssm, deterministic))
        posteriors.append(posterior(rssm, deterministic, embedding[:, t]))
        stochastic = one_hot_sample(posteriors[-1], gumbel[:, t], rssm["classes"])
        features.append(np.concatenate([stochastic, deterministic], axis=-1))
    return np.stack(features, 1), np.stack(posteriors, 1), np.stack(priors, 1)


def kl_loss(one, other):
    """`1.0 max(1, KL(sg(q) || p)) + 0.1 max(1, KL(q || sg(p)))` at each step."""
    return 1.1 * np.maximum(FREE_NATS, categorical_kl(one, other))


def imagine(rssm, start, policy, gumbel):
    """Roll the prior on from features `[N, F]` under `policy(step, features)`; features `[N, H + 1, F]` and actions `[N, H, A]`."""
    size = gumbel.shape[-1]
    features, actions = [start], []
    for step, noise in enumerate(gumbel):
        actions.append(policy(step, features[-1]))
        deterministic = next_deterministic(rssm, features[-1][:, :size], features[-1][:, size:], actions[-1])
        stochastic = one_hot_sample(prior(rssm, deterministic), noise, rssm["classes"])
        features.append(np.concatenate([stochastic, deterministic], axis=-1))
    return np.stack(features, axis=1), np.stack(actions, axis=1)


class OneHotPolicy:
    """Choices, of which 1 % are uniform."""

    def __init__(self, features, layers, scales):
        logits = silu_mlp(features, layers, scales)
        self.log_probabilities = mixed(logits, logits.shape[-1])

    def sample(self, gumbel):
        return one_hot_sample(self.log_probabilities, gumbel, gumbel.shape[-1])

    def log_density(self, action):
        return np.sum(action * self.log_probabilities, axis=-1)

    def entropy(self):
        return -np.sum(np.exp(self.log_probabilities) * self.log_probabilities, axis=-1)


class BoundedNormalPolicy:
    """`N(tanh(.), (0.9 sigmoid(. + 2) + 0.1)^2)`, of samples inside [-1, 1]: further out the framework says how it differs."""

    def __init__(self, features, layers, scales):
        mean, raw = np.split(silu_mlp(features, layers, scales), 2, axis=-1)
        self.mean, self.std = np.tanh(mean), 0.9 * sigmoid(raw + 2) + 0.1

    def sample(self, noise):
        sample = self.mean + self.std * noise
        assert np.abs(sample).max() < 1
        return sample

    def log_density(self, action):
        return normal_log_density(action, self.mean, self.std).sum(axis=-1)

    def entropy(self):
        return normal_entropy(self.std).sum(axis=-1)


def symexp_bins(count):
    exponents = np.linspace(-20, 20, count)
    return np.sign(exponents) * np.expm1(np.abs(exponents))


def two_hot_mean(logits):
    """`sum_k p_k b_k`."""
    return np.sum(np.exp(log_softmax(logits)) * symexp_bins(logits.shape[-1]), axis=-1)


def two_hot_nll(target, logits):
    """The cross-entropy of the weights that interpolate the target linearly between its neighboring bins."""
    bins = symexp_bins(logits.shape[-1])
    weights = np.stack([np.interp(target, bins, one_bin) for one_bin in np.eye(len(bins))], axis=-1)
    return -np.sum(weights * log_softmax(logits), axis=-1)


def lambda_return(last, terminal, reward, value, bootstrap):
    """Eq. 7 by recursion, `[N, L]` to `[N, L - 1]`: the last step of an episode, and of the sequence, only bootstraps."""
    returns = [bootstrap[:, -1]]
    for t in range(reward.shape[1] - 1, 0, -1):
        goes_on, mix = DISCOUNT * (1 - terminal[:, t]), LAMBDA * (1 - last[:, t])
        returns.append(reward[:, t] + goes_on * ((1 - mix) * value[:, t] + mix * returns[-1]))
    return np.stack(returns[:0:-1], axis=1)


def imagined_returns(reward, continuation, value):
    """The returns of the steps `0 .. H - 1`, and `w_t = c_0 prod_{0 < i <= t} gamma c_i`."""
    never = np.zeros_like(reward)
    weight = discount_product(np.concatenate([continuation[:, :1], DISCOUNT * continuation[:, 1:]], axis=1))[:, 1:]
    return lambda_return(never, 1 - continuation, reward, value, value), weight


def return_range(returns, previous):
    """The moving average of the range from the 5th to the 95th percentile; the scale of the returns is `max(1, range)`."""
    return 0.99 * previous + 0.01 * (np.percentile(returns, 95) - np.percentile(returns, 5))


def actor_loss(log_density, entropy, returns, value, weight, scale):
    """Eq. 11: `-w_t (log pi(a_t | s_t) sg(R_t - v(s_t)) / max(1, S) + eta H)`."""
    return -weight * (log_density * (returns - value[:, :-1]) / max(1, scale) + ENTROPY * entropy)


def value_loss(logits, slow_logits, returns):
    """Eq. 10 and its regularizer: the cross-entropy to the return, and to the mean of the slow value."""
    return two_hot_nll(returns, logits) + two_hot_nll(two_hot_mean(slow_logits), logits)


def replay_value_loss(logits, slow_logits, imagined, batch):
    """Of replayed steps `[B, T - 1]`: replayed rewards, bootstrapped from the return that was imagined at each step; nothing at last steps."""
    reward, is_first, is_terminal = batch
    last = np.concatenate([is_first[:, 1:], np.zeros_like(is_first[:, :1])], axis=1)
    returns = lambda_return(last, is_terminal, reward, imagined, imagined)
    return (1 - last[:, :-1]) * value_loss(logits[:, :-1], slow_logits[:, :-1], returns)


def laprop(parameter, gradients, rate, warm_up):
    """LaProp (Ziyin et al., 2020) behind adaptive gradient clipping at 0.3 of the norm: the parameter after the last gradient.

    The rate rises as `t / W`, as in r2dreamer; in Dreamer V3's code it is one step later.
    """
    square = mean = 0.0
    for step, gradient in enumerate(gradients, start=1):
        largest = 0.3 * max(1e-3, np.linalg.norm(parameter))
        clipped = gradient / max(1.0, np.linalg.norm(gradient) / largest)
        square = 0.999 * square + 0.001 * clipped**2
        mean = 0.9 * mean + 0.1 * clipped / (np.sqrt(square / (1 - 0.999**step)) + 1e-20)
        parameter = parameter - rate * min(1.0, step / max(1, warm_up)) * mean / (1 - 0.9**step)
    return parameter
