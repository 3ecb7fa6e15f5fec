"""Layers and densities in float64 numpy, for the references of this folder. Nothing of the framework is imported here."""

import math
from statistics import NormalDist

import numpy as np

UNIT_NORMAL = NormalDist()


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


def normal_entropy(std):
    return 0.5 * math.log(2 * math.pi * math.e) + np.log(std)


def bernoulli_log_density(value, logit):
    return -value * softplus(-logit) - (1 - value) * softplus(logit)


def discount_product(discount):
    """`1, d_0, d_0 d_1, ..` over the last axis: the probability of reaching each step."""
    weights = np.ones_like(discount)
    for step in range(1, discount.shape[-1]):
        weights[..., step] = weights[..., step - 1] * discount[..., step - 1]
    return weights


def gradient_norm(loss, layers, step=1e-5):
    """The norm of the gradient of `loss(layers)` by central differences, over every number of a list of pairs `(W, b)`."""
    square = 0.0
    for pair in layers:
        for parameter in pair:
            for index in np.ndindex(parameter.shape):
                kept, values = parameter[index], []
                for sign in (1, -1):
                    parameter[index] = kept + sign * step
                    values.append(loss(layers))
                parameter[index] = kept
                square += ((values[0] - values[1]) / (2 * step)) ** 2
    return math.sqrt(square)
