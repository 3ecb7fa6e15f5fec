"""Dreamer V1 in float64 numpy: Hafner et al. (2020), *Dream to Control*, arXiv 1912.01603, and danijar/dreamer where the paper is silent.

Rollouts are `[N, H + 1, ..]` with the start at step 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from tests.reference.layers import discount_product, elu, elu_mlp, linear, sigmoid, softplus, unit_normal_nll

FREE_NATS = 3.0
DISCOUNT, LAMBDA = 0.99, 0.95


@dataclass(frozen=True)
class GaussianRSSM:
    """The state-space model (Appendix A; Hafner et al., 2019); each layer is a pair `(W, b)`, and statistics are `[mean, std]`.

    h_t = GRU(h_{t-1}, ELU(W [z_{t-1}, a_{t-1}])),  prior of ELU(W h_t),  posterior of ELU(W [h_t, e_t]),  std = softplus(.) + 0.1
    """

    input: tuple
    gru_input: tuple
    gru_hidden: tuple
    prior_layers: list
    posterior_layers: list

    @property
    def deterministic(self):
        return self.gru_hidden[0].shape[1]

    def advance(self, stochastic, deterministic, action):
        """A GRU with the reset gate after the recurrent product, as Keras and torch have it."""
        inputs = linear(elu(linear(np.concatenate([stochastic, action], axis=-1), self.input)), self.gru_input)
        reset_x, update_x, candidate_x = np.split(inputs, 3, axis=-1)
        reset_h, update_h, candidate_h = np.split(linear(deterministic, self.gru_hidden), 3, axis=-1)
        reset, update = sigmoid(reset_x + reset_h), sigmoid(update_x + update_h)
        return update * deterministic + (1 - update) * np.tanh(candidate_x + reset * candidate_h)

    def prior(self, deterministic):
        return self._statistics(deterministic, self.prior_layers)

    def posterior(self, joined):
        return self._statistics(joined, self.posterior_layers)

    def sample(self, statistics, noise):
        mean, std = np.split(statistics, 2, axis=-1)
        return mean + std * noise

    def _statistics(self, values, layers):
        mean, raw = np.split(elu_mlp(values, layers), 2, axis=-1)
        return np.concatenate([mean, softplus(raw) + 0.1], axis=-1)


def gaussian_kl(posterior, prior):
    """`KL(q || p)` of diagonal Gaussians, summed over the dimensions."""
    (mean, std), (prior_mean, prior_std) = (np.split(each, 2, axis=-1) for each in (posterior, prior))
    return np.sum(np.log(prior_std / std) + (std**2 + (mean - prior_mean) ** 2) / (2 * prior_std**2) - 0.5, axis=-1)


def kl_loss(posterior, prior):
    """`max(mean KL(q || p), 3)`, as the code has it: the free nats are of the mean over the batch."""
    return max(gaussian_kl(posterior, prior).mean(), FREE_NATS)


def image_nll(pixels, decoded):
    """Of `uint8` pixels moved to [-0.5, 0.5], summed over height, width and channels."""
    return unit_normal_nll(pixels / 255.0 - 0.5, decoded, axes=3)


def tanh_normal_sample(outputs, noise):
    """Section 3 and the code: mean `5 tanh(. / 5)`, deviation `softplus(. + raw(5)) + 1e-4`, a sample through tanh."""
    mean, raw = np.split(outputs, 2, axis=-1)
    return np.tanh(5 * np.tanh(mean / 5) + (softplus(raw + math.log(math.expm1(5.0))) + 1e-4) * noise)


def lambda_return(reward, value, discount):
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
            share = (1 - LAMBDA) * LAMBDA ** (n - 1) if n < longest else LAMBDA ** (longest - 1)
            returns[..., t] += share * (accumulated + product * value[..., t + n])
    return returns


def returns_and_weights(reward, value, continuation):
    """Of imagined steps `1 .. H - 1`: the start is excluded, and its continuation weighs the whole rollout.

    w_t = c_0 prod_{0 < i < t} gamma c_i
    """
    discount = DISCOUNT * continuation[:, 1:]
    return lambda_return(reward[:, 1:], value[:, 1:], discount), continuation[:, :1] * discount_product(discount[:, :-1])


def actor_loss(returns, weight):
    """Eq. 7."""
    return -weight * returns


def value_loss(value, returns, weight):
    """Eq. 8, with a Gaussian of unit variance as in the code."""
    return weight * unit_normal_nll(returns, value[:, 1:-1])
