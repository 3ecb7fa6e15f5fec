"""Dreamer V2 in float64 numpy: Hafner et al. (2021), *Mastering Atari with Discrete World Models*, arXiv 2010.02193, and danijar/dreamerv2.

A categorical latent is flattened: groups of `classes` side by side. Rollouts are `[N, H + 1, ..]` with the start at step 0.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tests.reference.dreamer_v1 import DISCOUNT, lambda_return
from tests.reference.layers import (
    discount_product,
    elu,
    elu_mlp,
    layer_norm,
    linear,
    log_softmax,
    normal_log_density,
    sigmoid,
    unit_normal_nll,
)

FREE_NATS, ENTROPY = 1.0, 1e-4
cdf, inverse_cdf = np.vectorize(NormalDist().cdf), np.vectorize(NormalDist().inv_cdf)


def one_hot_sample(log_probabilities, gumbel, classes):
    """The forward value of a straight-through sample, `onehot + p - sg(p) = onehot`, by the largest `log p + g` of each group."""
    scores = (log_probabilities + gumbel).reshape(*gumbel.shape[:-1], -1, classes)
    return np.eye(classes)[scores.argmax(axis=-1)].reshape(gumbel.shape)


@dataclass(frozen=True)
class CategoricalRSSM:
    """The state-space model; each layer is a pair `(W, b)`, the norm `(scale, bias)`, and statistics are log-probabilities."""

    input: tuple
    gru: tuple
    gru_norm: tuple
    prior_layers: list
    posterior_layers: list
    classes: int

    @property
    def deterministic(self):
        return len(self.gru_norm[0]) // 3

    def advance(self, stochastic, deterministic, action):
        """The GRU of the code: one product and a layer norm for the three gates, and 1 less before the sigmoid of the update."""
        inputs = elu(linear(np.concatenate([stochastic, action], axis=-1), self.input))
        gates = layer_norm(linear(np.concatenate([inputs, deterministic], axis=-1), self.gru), *self.gru_norm)
        reset, candidate, update = np.split(gates, 3, axis=-1)
        update = sigmoid(update - 1)
        return update * np.tanh(sigmoid(reset) * candidate) + (1 - update) * deterministic

    def prior(self, deterministic):
        return self._log_probabilities(elu_mlp(deterministic, self.prior_layers))

    def posterior(self, joined):
        return self._log_probabilities(elu_mlp(joined, self.posterior_layers))

    def sample(self, statistics, noise):
        return one_hot_sample(statistics, noise, self.classes)

    def _log_probabilities(self, logits):
        return log_softmax(logits.reshape(*logits.shape[:-1], -1, self.classes)).reshape(logits.shape)


def categorical_kl(posterior, prior):
    """`KL(q || p)` of log-probabilities, summed over the groups."""
    return np.sum(np.exp(posterior) * (posterior - prior), axis=-1)


def kl_loss(posterior, prior):
    """Eq. 2 and Algorithm 2: `0.8 KL(sg(q) || p) + 0.2 KL(q || sg(p))`, each at least 1 nat on the mean over the batch."""
    return (0.8 + 0.2) * max(categorical_kl(posterior, prior).mean(), FREE_NATS)


def kl_gradients(posterior, prior, of_prior, of_posterior):
    """Of `of_prior KL(sg(q) || p) + of_posterior KL(q || sg(p))` with respect to the log-probabilities of q and of p."""
    probabilities = np.exp(posterior)
    return of_posterior * probabilities * (posterior - prior + 1), -of_prior * probabilities


class OneHotPolicy:
    """A categorical distribution over the options of a discrete action."""

    def __init__(self, logits):
        self.log_probabilities = log_softmax(logits)

    def sample(self, gumbel):
        return one_hot_sample(self.log_probabilities, gumbel, gumbel.shape[-1])

    def log_density(self, action):
        return np.sum(action * self.log_probabilities, axis=-1)

    def entropy(self):
        return -np.sum(np.exp(self.log_probabilities) * self.log_probabilities, axis=-1)


class TruncatedNormalPolicy:
    """`N(tanh(.), (2 sigmoid(. / 2) + 0.1)^2)` on [-1, 1], as released for continuous actions."""

    def __init__(self, outputs):
        mean, raw = np.split(outputs, 2, axis=-1)
        self.mean, self.std = np.tanh(mean), 2 * sigmoid(raw / 2) + 0.1
        self.low, self.high = (-1 - self.mean) / self.std, (1 - self.mean) / self.std
        self.mass = cdf(self.high) - cdf(self.low)

    def sample(self, uniform):
        return self.mean + self.std * inverse_cdf(cdf(self.low) + uniform * self.mass)

    def log_density(self, action):
        return np.sum(normal_log_density(action, self.mean, self.std) - np.log(self.mass), axis=-1)

    def entropy(self):
        edges = [bound * np.exp(-0.5 * bound**2) / math.sqrt(2 * math.pi) for bound in (self.low, self.high)]
        inside = np.log(math.sqrt(2 * math.pi * math.e) * self.std * self.mass)
        return np.sum(inside + (edges[0] - edges[1]) / (2 * self.mass), axis=-1)


def returns_and_weights(reward, slow_value, continuation):
    """Eq. 4 from the slow value, and `w_t = prod_{i < t} gamma c_i`, of the steps `0 .. H - 1`."""
    discount = DISCOUNT * continuation
    return lambda_return(reward, slow_value, discount), discount_product(discount[:, :-1])


def actor_loss(log_density, entropy, returns, slow_value, weight, rho):
    """Eq. 6 with the indices of the code: the action of step t is judged by the return of step t + 1, and the last has none.

    -w_t (rho log pi(a_t | s_t) sg(R_{t+1} - v_slow(s_t)) + (1 - rho) R_{t+1} + eta H(pi(s_t)))
    """
    likelihood = log_density * (returns[:, 1:] - slow_value[:, :-2])
    return -weight[:, :-1] * (rho * likelihood + (1 - rho) * returns[:, 1:] + ENTROPY * entropy)


def value_loss(value, returns, weight):
    """Eq. 5, whose square has its 1/2: the code has a Gaussian of unit variance."""
    return weight * unit_normal_nll(returns, value[:, :-1])
