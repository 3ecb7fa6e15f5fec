"""Dreamer V3 in float64 numpy: Hafner et al. (2025), *Mastering diverse control tasks through world models*, arXiv 2301.04104, and
danijar/dreamerv3 as it has been since 2024. Rollouts are `[N, H + 1, ..]` with the start at step 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from tests.reference.dreamer_v2 import OneHotPolicy, categorical_kl, one_hot_sample
from tests.reference.layers import discount_product, linear, log_softmax, normal_log_density, rms_norm, sigmoid, silu

FREE_NATS, UNIMIX = 1.0, 0.01
DISCOUNT, LAMBDA, ENTROPY, REPLAY_VALUE = 1 - 1 / 333, 0.95, 3e-4, 0.3


def mixed(logits, classes):
    """Log-probabilities of 99 % of the softmax and 1 % of the uniform distribution, in groups of `classes`."""
    groups = logits.reshape(*logits.shape[:-1], -1, classes)
    return np.log((1 - UNIMIX) * np.exp(log_softmax(groups)) + UNIMIX / classes).reshape(logits.shape)


def normed(values, weight, bias, scale):
    return silu(rms_norm(linear(values, (weight, bias)), scale))


def block_linear(values, weight, bias):
    """`y_g = x_g W_g + b_g` of parts `[N, G, I]` and weights `[G, I, O]`."""
    return np.einsum("ngi,gio->ngo", values, weight) + bias.reshape(weight.shape[0], -1)


@dataclass(frozen=True)
class BlockRSSM:
    """The state-space model with a block-diagonal GRU; a layer is `(W, b)`, or `(W, b, scale)` with a norm; statistics as in V2."""

    from_deterministic: tuple
    from_stochastic: tuple
    from_action: tuple
    mixing: tuple
    gates: tuple
    prior_layers: list
    posterior_layers: list
    classes: int

    @property
    def deterministic(self):
        return len(self.mixing[2])

    def advance(self, stochastic, deterministic, action):
        """Every block sees its own part of h, and the same summaries of the whole h, z and a; actions beyond 1 are scaled back."""
        action = action / np.maximum(1, np.abs(action))
        parts = (deterministic, self.from_deterministic), (stochastic, self.from_stochastic), (action, self.from_action)
        shared = np.concatenate([normed(values, *layer) for values, layer in parts], axis=-1)
        weight, bias, scale = self.mixing
        own = deterministic.reshape(len(deterministic), len(weight), -1)
        inputs = np.concatenate([own, np.repeat(shared[:, None], len(weight), axis=1)], axis=-1)
        hidden = silu(rms_norm(block_linear(inputs, weight, bias).reshape(deterministic.shape), scale)).reshape(own.shape)
        reset, candidate, update = np.split(block_linear(hidden, *self.gates), 3, axis=-1)
        update = sigmoid(update - 1)
        return (update * np.tanh(sigmoid(reset) * candidate) + (1 - update) * own).reshape(deterministic.shape)

    def prior(self, deterministic):
        return self._log_probabilities(deterministic, self.prior_layers)

    def posterior(self, joined):
        return self._log_probabilities(joined, self.posterior_layers)

    def sample(self, statistics, noise):
        return one_hot_sample(statistics, noise, self.classes)

    def _log_probabilities(self, values, layers):
        for layer in layers[:-1]:
            values = normed(values, *layer)
        return mixed(linear(values, layers[-1]), self.classes)


def kl_loss(posterior, prior):
    """`1.0 max(1, KL(sg(q) || p)) + 0.1 max(1, KL(q || sg(p)))` at each step."""
    return (1.0 + 0.1) * np.maximum(FREE_NATS, categorical_kl(posterior, prior))


class MixedOneHotPolicy(OneHotPolicy):
    """Choices, of which 1 % are uniform."""

    def __init__(self, logits):
        self.log_probabilities = mixed(logits, logits.shape[-1])


class BoundedNormalPolicy:
    """`N(tanh(.), (0.9 sigmoid(. + 2) + 0.1)^2)`, of samples inside [-1, 1]; further out the framework has a density of its own."""

    def __init__(self, outputs):
        mean, raw = np.split(outputs, 2, axis=-1)
        self.mean, self.std = np.tanh(mean), 0.9 * sigmoid(raw + 2) + 0.1

    def sample(self, noise):
        sample = self.mean + self.std * noise
        assert np.abs(sample).max() < 1
        return sample

    def log_density(self, action):
        return normal_log_density(action, self.mean, self.std).sum(axis=-1)

    def entropy(self):
        return np.log(math.sqrt(2 * math.pi * math.e) * self.std).sum(axis=-1)


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


def lambda_return(last, terminal, reward, value):
    """Eq. 7 by recursion, `[N, L]` to `[N, L - 1]`: the last step of an episode, and of the sequence, only bootstraps."""
    returns = [value[:, -1]]
    for t in range(reward.shape[1] - 1, 0, -1):
        mix = LAMBDA * (1 - last[:, t])
        returns.append(reward[:, t] + DISCOUNT * (1 - terminal[:, t]) * ((1 - mix) * value[:, t] + mix * returns[-1]))
    return np.stack(returns[:0:-1], axis=1)


def returns_and_weights(reward, value, continuation):
    """Of the steps `0 .. H - 1`, `w_t = c_0 prod_{0 < i <= t} gamma c_i`."""
    discount = np.concatenate([continuation[:, :1], DISCOUNT * continuation[:, 1:]], axis=1)
    return lambda_return(np.zeros_like(reward), 1 - continuation, reward, value), discount_product(discount)[:, 1:]


def return_range(returns, previous):
    """The moving average of the range from the 5th to the 95th percentile; returns are divided by `max(1, range)`."""
    return 0.99 * previous + 0.01 * (np.percentile(returns, 95) - np.percentile(returns, 5))


def actor_loss(log_density, entropy, returns, value, weight, scale):
    """Eq. 11: `-w_t (log pi(a_t | s_t) sg(R_t - v(s_t)) / max(1, S) + eta H)`."""
    return -weight * (log_density * (returns - value[:, :-1]) / max(1, scale) + ENTROPY * entropy)


def value_loss(logits, slow_logits, returns):
    """Eq. 10 and its regularizer: the cross-entropy to the return, and to the mean of the slow value."""
    return two_hot_nll(returns, logits[:, :-1]) + two_hot_nll(two_hot_mean(slow_logits[:, :-1]), logits[:, :-1])


def replay_value_loss(logits, slow_logits, imagined, reward, is_first, is_terminal):
    """Of replayed steps `[B, T - 1]`, whose values are the returns imagined there; the last step of an episode has no loss."""
    last = np.concatenate([is_first[:, 1:], np.zeros_like(is_first[:, :1])], axis=1)
    return (1 - last[:, :-1]) * value_loss(logits, slow_logits, lambda_return(last, is_terminal, reward, imagined))


def laprop(parameter, gradients, rate, warm_up):
    """LaProp (Ziyin et al., 2020) behind adaptive gradient clipping at 0.3 of the norm: the parameter after the last gradient.

    The rate rises as `(t - 1) / W`; in r2dreamer it is one step earlier.
    """
    square = mean = 0.0
    for step, gradient in enumerate(gradients, start=1):
        largest = 0.3 * max(1e-3, np.linalg.norm(parameter))
        clipped = gradient / max(1.0, np.linalg.norm(gradient) / largest)
        square = 0.999 * square + 0.001 * clipped**2
        mean = 0.9 * mean + 0.1 * clipped / (np.sqrt(square / (1 - 0.999**step)) + 1e-20)
        parameter = parameter - rate * (min(1.0, (step - 1) / warm_up) if warm_up else 1.0) * mean / (1 - 0.9**step)
    return parameter
