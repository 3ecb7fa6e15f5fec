"""Dreamer V1 in float64 numpy: Hafner et al. (2020), *Dream to Control*, arXiv 1912.01603, and danijar/dreamer where the paper is silent.

Arrays over sequences are `[B, T, ..]`, over rollouts `[N, H + 1, ..]` with the start at step 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from tests.reference.layers import (
    bernoulli_log_density,
    discount_product,
    elu,
    elu_mlp,
    linear,
    normal_log_density,
    sigmoid,
    softplus,
)

FREE_NATS = 3.0
DISCOUNT, LAMBDA = 0.99, 0.95


@dataclass(frozen=True)
class GaussianRSSM:
    """The weights of the state-space model (Appendix A; Hafner et al., 2019), each dense layer a pair `(W, b)`."""

    input: tuple
    gru_input: tuple
    gru_hidden: tuple
    prior: tuple
    posterior: tuple


def dense_elu_dense(values, layers):
    """The mean and the deviation of a Gaussian from one hidden layer; `sigma = softplus(.) + 0.1`."""
    hidden, statistics = layers
    mean, raw = np.split(linear(elu(linear(values, hidden)), statistics), 2, axis=-1)
    return mean, softplus(raw) + 0.1


def gru(inputs, hidden, input_layer, hidden_layer):
    """Cho et al. (2014), with the reset gate after the recurrent product, as Keras and torch have it."""
    reset_x, update_x, candidate_x = np.split(linear(inputs, input_layer), 3, axis=-1)
    reset_h, update_h, candidate_h = np.split(linear(hidden, hidden_layer), 3, axis=-1)
    reset, update = sigmoid(reset_x + reset_h), sigmoid(update_x + update_h)
    return update * hidden + (1 - update) * np.tanh(candidate_x + reset * candidate_h)


def next_deterministic(rssm, stochastic, deterministic, action):
    """`h_t = GRU(h_{t-1}, ELU(W [z_{t-1}, a_{t-1}]))`."""
    hidden = elu(linear(np.concatenate([stochastic, action], axis=-1), rssm.input))
    return gru(hidden, deterministic, rssm.gru_input, rssm.gru_hidden)


def observe(rssm, embedding, action, is_first, noise):
    """Filter sequences step by step: features `[z, h]`, and the posterior and the prior as `(mean, std)`."""
    rows, times = is_first.shape
    stochastic, deterministic = np.zeros(noise[:, 0].shape), np.zeros((rows, rssm.gru_hidden[0].shape[1]))
    features, posteriors, priors = [], [], []
    for t in range(times):
        kept = 1.0 - is_first[:, t, None]
        deterministic = next_deterministic(rssm, stochastic * kept, deterministic * kept, action[:, t] * kept)
        priors.append(dense_elu_dense(deterministic, rssm.prior))
        mean, std = dense_elu_dense(np.concatenate([deterministic, embedding[:, t]], axis=-1), rssm.posterior)
        stochastic = mean + std * noise[:, t]
        posteriors.append((mean, std))
        features.append(np.concatenate([stochastic, deterministic], axis=-1))
    return np.stack(features, 1), _stacked(posteriors), _stacked(priors)


def _stacked(normals):
    return tuple(np.stack(part, axis=1) for part in zip(*normals, strict=True))


def gaussian_kl(one, other):
    """`KL(one || other)` of diagonal Gaussians, summed over the dimensions."""
    (mean, std), (other_mean, other_std) = one, other
    return np.sum(np.log(other_std / std) + (std**2 + (mean - other_mean) ** 2) / (2 * other_std**2) - 0.5, axis=-1)


def kl_loss(posterior, prior):
    """`max(mean KL(q || p), 3)`, as the code has it: the free nats are of the mean over the batch."""
    return max(gaussian_kl(posterior, prior).mean(), FREE_NATS)


def unit_normal_nll(value, mean, axes=0):
    """`-log N(value; mean, 1)`, summed over the last `axes` axes."""
    return -normal_log_density(value, mean, 1.0).sum(axis=tuple(range(-axes, 0)))


def image_nll(pixels, decoded):
    """Of `uint8` pixels moved to [-0.5, 0.5], summed over height, width and channels."""
    return unit_normal_nll(pixels / 255.0 - 0.5, decoded, axes=3)


def continuation_nll(is_terminal, logit):
    return -bernoulli_log_density(1.0 - is_terminal, logit)


def tanh_normal_policy(features, layers, noise):
    """Section 3 and the code: mean `5 tanh(. / 5)`, deviation `softplus(. + raw(5)) + 1e-4`, a sample through tanh."""
    mean, raw = np.split(elu_mlp(features, layers), 2, axis=-1)
    std = softplus(raw + math.log(math.expm1(5.0))) + 1e-4
    return np.tanh(5 * np.tanh(mean / 5) + std * noise)


def imagine(rssm, start, policy, latent_noise):
    """Roll the prior on from features `[N, F]` under `policy(step, features)`; `[N, H + 1, F]` with the start."""
    size = latent_noise.shape[-1]
    features = [start]
    for step, noise in enumerate(latent_noise):
        stochastic, deterministic = features[-1][:, :size], features[-1][:, size:]
        deterministic = next_deterministic(rssm, stochastic, deterministic, policy(step, features[-1]))
        mean, std = dense_elu_dense(deterministic, rssm.prior)
        features.append(np.concatenate([mean + std * noise, deterministic], axis=-1))
    return np.stack(features, axis=1)


def lambda_return(reward, value, discount, lam=LAMBDA):
    """Eq. 6 by its sum over the returns of every length: `V_lambda = (1 - lambda) sum_n lambda^(n-1) V_n + lambda^(L-1) V_L`.

    `V_n(t)` adds up n discounted rewards from step t on and bootstraps from `value[t + n]`; the last step only bootstraps.
    """
    steps = reward.shape[-1] - 1
    returns = np.zeros((*reward.shape[:-1], steps))
    for t in range(steps):
        accumulated, product = np.zeros(reward.shape[:-1]), np.ones(reward.shape[:-1])
        longest = steps - t
        for n in range(1, longest + 1):
            accumulated = accumulated + product * reward[..., t + n - 1]
            product = product * discount[..., t + n - 1]
            share = (1 - lam) * lam ** (n - 1) if n < longest else lam ** (longest - 1)
            returns[..., t] += share * (accumulated + product * value[..., t + n])
    return returns


def behavior_losses(reward, value, continuation):
    """Eqs. 7 and 8 over imagined steps `1 .. H`: the start is excluded, and its continuation weighs the whole rollout.

    actor  -w_t V_lambda(t),    value  w_t (v(s_t) - V_lambda(t))^2 / 2 up to a constant,    w_t = c_0 prod_{0 < i < t} gamma c_i
    """
    discount = DISCOUNT * continuation[:, 1:]
    returns = lambda_return(reward[:, 1:], value[:, 1:], discount)
    weight = continuation[:, :1] * discount_product(discount[:, :-1])
    return -weight * returns, weight * unit_normal_nll(returns, value[:, 1:-1])
