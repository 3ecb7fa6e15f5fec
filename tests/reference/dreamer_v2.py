"""Dreamer V2 in float64 numpy: Hafner et al. (2021), *Mastering Atari with Discrete World Models*, arXiv 2010.02193, and danijar/dreamerv2.

A categorical latent is flattened: `groups` vectors of `classes` side by side. Rollouts are `[N, H + 1, ..]` with the start at step 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from tests.reference.dreamer_v1 import lambda_return, unit_normal_nll
from tests.reference.layers import (
    UNIT_NORMAL,
    discount_product,
    elu,
    elu_mlp,
    layer_norm,
    linear,
    log_softmax,
    normal_entropy,
    normal_log_density,
    sigmoid,
)

BALANCE, FREE_NATS = 0.8, 1.0
DISCOUNT, ENTROPY = 0.99, 1e-4


@dataclass(frozen=True)
class CategoricalRSSM:
    """The weights of the state-space model, each dense layer a pair `(W, b)`; the layer norm of the GRU is `(scale, bias)`."""

    input: tuple
    gru: tuple
    gru_norm: tuple
    prior: tuple
    posterior: tuple
    classes: int


def grouped_log_softmax(logits, classes):
    groups = logits.reshape(*logits.shape[:-1], -1, classes)
    return log_softmax(groups).reshape(logits.shape)


def one_hot_sample(log_probabilities, gumbel, classes):
    """The forward value of a straight-through sample, `onehot + p - sg(p) = onehot`, by the largest `log p + g` of each group."""
    scores = (log_probabilities + gumbel).reshape(*gumbel.shape[:-1], -1, classes)
    return np.eye(classes)[scores.argmax(axis=-1)].reshape(gumbel.shape)


def next_deterministic(rssm, stochastic, deterministic, action):
    """The GRU of the code: one product and a layer norm for the three gates, 1 less than its input before the update's sigmoid."""
    inputs = elu(linear(np.concatenate([stochastic, action], axis=-1), rssm.input))
    gates = layer_norm(linear(np.concatenate([inputs, deterministic], axis=-1), rssm.gru), *rssm.gru_norm)
    reset, candidate, update = np.split(gates, 3, axis=-1)
    update = sigmoid(update - 1)
    return update * np.tanh(sigmoid(reset) * candidate) + (1 - update) * deterministic


def log_probabilities(rssm, layers, values):
    return grouped_log_softmax(elu_mlp(values, layers), rssm.classes)


def observe(rssm, embedding, action, is_first, gumbel):
    """Filter sequences step by step: features `[z, h]`, and the log-probabilities of the posterior and of the prior."""
    stochastic, deterministic = np.zeros(gumbel[:, 0].shape), np.zeros((len(is_first), len(rssm.gru_norm[0]) // 3))
    features, posteriors, priors = [], [], []
    for t in range(is_first.shape[1]):
        kept = 1.0 - is_first[:, t, None]
        deterministic = next_deterministic(rssm, stochastic * kept, deterministic * kept, action[:, t] * kept)
        priors.append(log_probabilities(rssm, rssm.prior, deterministic))
        posteriors.append(log_probabilities(rssm, rssm.posterior, np.concatenate([deterministic, embedding[:, t]], axis=-1)))
        stochastic = one_hot_sample(posteriors[-1], gumbel[:, t], rssm.classes)
        features.append(np.concatenate([stochastic, deterministic], axis=-1))
    return np.stack(features, 1), np.stack(posteriors, 1), np.stack(priors, 1)


def categorical_kl(posterior, prior):
    """`KL(q || p)` of log-probabilities, summed over the groups."""
    return np.sum(np.exp(posterior) * (posterior - prior), axis=-1)


def kl_loss(posterior, prior):
    """Eq. 2 and Algorithm 2: `0.8 KL(sg(q) || p) + 0.2 KL(q || sg(p))`, each at least 1 nat on the mean over the batch."""
    free = max(categorical_kl(posterior, prior).mean(), FREE_NATS)
    return BALANCE * free + (1 - BALANCE) * free


def kl_gradients(posterior, prior, of_prior, of_posterior):
    """Of `of_prior KL(sg(q) || p) + of_posterior KL(q || sg(p))` with respect to the log-probabilities of q and of p."""
    probabilities = np.exp(posterior)
    return of_posterior * probabilities * (posterior - prior + 1), -of_prior * probabilities


def imagine(rssm, start, policy, gumbel):
    """Roll the prior on from features `[N, F]` under `policy(step, features)`; features `[N, H + 1, F]` and actions `[N, H, A]`."""
    size = gumbel.shape[-1]
    features, actions = [start], []
    for step, noise in enumerate(gumbel):
        actions.append(policy(step, features[-1]))
        deterministic = next_deterministic(rssm, features[-1][:, :size], features[-1][:, size:], actions[-1])
        stochastic = one_hot_sample(log_probabilities(rssm, rssm.prior, deterministic), noise, rssm.classes)
        features.append(np.concatenate([stochastic, deterministic], axis=-1))
    return np.stack(features, axis=1), np.stack(actions, axis=1)


class OneHotPolicy:
    """A categorical distribution over the options of a discrete action."""

    def __init__(self, features, layers):
        self.log_probabilities = log_softmax(elu_mlp(features, layers))

    def sample(self, gumbel):
        return one_hot_sample(self.log_probabilities, gumbel, gumbel.shape[-1])

    def log_density(self, action):
        return np.sum(action * self.log_probabilities, axis=-1)

    def entropy(self):
        return -np.sum(np.exp(self.log_probabilities) * self.log_probabilities, axis=-1)


class TruncatedNormalPolicy:
    """`N(tanh(.), (2 sigmoid(. / 2) + 0.1)^2)` on [-1, 1], as released for continuous actions."""

    def __init__(self, features, layers):
        mean, raw = np.split(elu_mlp(features, layers), 2, axis=-1)
        self.mean, self.std = np.tanh(mean), 2 * sigmoid(raw / 2) + 0.1
        self.low, self.high = (-1 - self.mean) / self.std, (1 - self.mean) / self.std
        self.below = np.vectorize(UNIT_NORMAL.cdf)(self.low)
        self.mass = np.vectorize(UNIT_NORMAL.cdf)(self.high) - self.below

    def sample(self, uniform):
        return self.mean + self.std * np.vectorize(UNIT_NORMAL.inv_cdf)(self.below + uniform * self.mass)

    def log_density(self, action):
        return np.sum(normal_log_density(action, self.mean, self.std) - np.log(self.mass), axis=-1)

    def entropy(self):
        def density(value):
            return np.exp(-0.5 * value**2) / math.sqrt(2 * math.pi)

        slope = (self.low * density(self.low) - self.high * density(self.high)) / (2 * self.mass)
        return np.sum(normal_entropy(self.std) + np.log(self.mass) + slope, axis=-1)


def returns_and_weights(reward, continuation, slow_value):
    """Eq. 4 from the slow value, and `w_t = prod_{i < t} gamma c_i`, for the steps `0 .. H - 1`."""
    discount = DISCOUNT * continuation
    return lambda_return(reward, slow_value, discount), discount_product(discount[:, :-1])


def actor_loss(log_density, entropy, returns, slow_value, weight, rho):
    """Eq. 6 with the indices of the code: the action of step t is judged by the return of step t + 1, and the last has none.

    -w_t (rho log pi(a_t | s_t) sg(R_{t+1} - v_slow(s_t)) + (1 - rho) R_{t+1} + eta H(pi(s_t)))
    """
    following = returns[:, 1:]
    likelihood = log_density * (following - slow_value[:, :-2])
    return -weight[:, :-1] * (rho * likelihood + (1 - rho) * following + ENTROPY * entropy)


def value_loss(value, returns, weight):
    """Eq. 5, whose square has its 1/2: the code has a Gaussian of unit variance."""
    return weight * unit_normal_nll(returns, value[:, :-1])
