"""Layers, densities and recurrence in float64 numpy, for the references of this folder, which import nothing of the framework."""

import math

import numpy as np


def linear(values, layer):
    """`W x + b` of a pair `(W, b)`, as torch keeps them."""
    weight, bias = layer
    return values @ weight.T + bias


def elu(values):
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def silu(values):
    return values * sigmoid(values)


def softplus(values):
    return np.logaddexp(0, values)


def logsumexp(values, axis=-1):
    return np.logaddexp.reduce(values, axis=axis)


def log_softmax(values):
    return values - logsumexp(values)[..., None]


def rms_norm(values, scale):
    """Zhang and Sennrich (2019), with Dreamer V3's epsilon."""
    return values / np.sqrt(np.mean(values**2, axis=-1, keepdims=True) + 1e-4) * scale


def layer_norm(values, scale, bias):
    """Ba et al. (2016), with the epsilon of Keras."""
    centered = values - values.mean(axis=-1, keepdims=True)
    return centered / np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + 1e-3) * scale + bias


def elu_mlp(values, layers):
    """Dense ELU layers and a linear output, as Dreamer V1 and V2 have them."""
    for layer in layers[:-1]:
        values = elu(linear(values, layer))
    return linear(values, layers[-1])


def silu_mlp(values, layers, scales):
    """Dense layers with a root-mean-square norm and SiLU, and a linear output, as Dreamer V3 has them."""
    for layer, scale in zip(layers[:-1], scales, strict=True):
        values = silu(rms_norm(linear(values, layer), scale))
    return linear(values, layers[-1])


def normal_log_density(value, mean, std):
    """`log N(value; mean, std^2)` of each element."""
    return -0.5 * ((value - mean) / std) ** 2 - np.log(std) - 0.5 * math.log(2 * math.pi)


def unit_normal_nll(value, mean, axes=0):
    """`-log N(value; mean, 1)`, summed over the last `axes` axes."""
    return -normal_log_density(value, mean, 1.0).sum(axis=tuple(range(-axes, 0)))


def bernoulli_nll(value, logit):
    return value * softplus(-logit) + (1 - value) * softplus(logit)


def discount_product(discount):
    """`1, d_0, d_0 d_1, ..` over the last axis: the probability of reaching each step."""
    return np.cumprod(np.concatenate([np.ones_like(discount[..., :1]), discount[..., :-1]], axis=-1), axis=-1)


def observe(model, embedding, action, is_first, noise):
    """Filter sequences `[B, T, ..]` step by step: the features `[z, h]`, and the statistics of the posterior and of the prior."""
    stochastic, deterministic = np.zeros(noise[:, 0].shape), np.zeros((len(is_first), model.deterministic))
    steps = []
    for t in range(is_first.shape[1]):
        kept = 1.0 - is_first[:, t, None]
        deterministic = model.advance(stochastic * kept, deterministic * kept, action[:, t] * kept)
        posterior = model.posterior(np.concatenate([deterministic, embedding[:, t]], axis=-1))
        stochastic = model.sample(posterior, noise[:, t])
        steps.append((np.concatenate([stochastic, deterministic], axis=-1), posterior, model.prior(deterministic)))
    return tuple(np.stack(part, axis=1) for part in zip(*steps, strict=True))


def imagine(model, start, policy, noise):
    """Roll the prior on from features `[N, F]` under `policy(step, features)`; features `[N, H + 1, F]` and actions `[N, H, A]`."""
    size, features, actions = noise.shape[-1], [start], []
    for step, of_step in enumerate(noise):
        actions.append(policy(step, features[-1]))
        deterministic = model.advance(features[-1][:, :size], features[-1][:, size:], actions[-1])
        features.append(np.concatenate([model.sample(model.prior(deterministic), of_step), deterministic], axis=-1))
    return np.stack(features, axis=1), np.stack(actions, axis=1)


class Perceptron:
    """Dense layers `(W, b)` with ELU, or with root-mean-square norms and SiLU where there are scales, and a linear output."""

    def __init__(self, layers, scales):
        self.layers, self.scales = layers, scales

    def __call__(self, values):
        return silu_mlp(values, self.layers, self.scales) if self.scales else elu_mlp(values, self.layers)

    def gradient_norm(self, loss, step=1e-5):
        """The norm of the gradient of `loss()` with respect to every weight, by central differences."""
        square = 0.0
        for parameter in [array for layer in self.layers for array in layer] + self.scales:
            for index in np.ndindex(parameter.shape):
                kept, values = parameter[index], []
                for moved in (kept + step, kept - step):
                    parameter[index] = moved
                    values.append(loss())
                parameter[index] = kept
                square += ((values[0] - values[1]) / (2 * step)) ** 2
        return math.sqrt(square)
