"""DreamerPro in float64 numpy: Deng et al. (2022), arXiv 2110.14565, Section 3 and fdeng18/dreamer-pro; Caron et al. (2020), *SwAV*.

Projections are `[B, T, S]`, and the first `warm_up` steps of each sequence do not join in what is assigned.
"""

import numpy as np

from tests.reference.layers import log_softmax


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def sinkhorn(scores, epsilon, iterations):
    """Shares `[K, N]` of prototypes and samples, in turn equal over the prototypes and over the samples (SwAV, Listing 1)."""
    shares = np.exp(scores / epsilon)
    shares /= shares.sum()
    for _ in range(iterations):
        shares /= shares.sum(axis=1, keepdims=True) * shares.shape[0]
        shares /= shares.sum(axis=0, keepdims=True) * shares.shape[1]
    return shares * shares.shape[1]


def assigned(slow, prototypes, epsilon, iterations):
    """The targets of one view, `[B, T, K]`, by the cosines of its slow projections."""
    flat = unit(slow).reshape(-1, slow.shape[-1])
    return sinkhorn(unit(prototypes) @ flat.T, epsilon, iterations).T.reshape(*slow.shape[:2], -1)


def cross_entropy(targets, projected, prototypes, temperature):
    return -np.sum(targets * log_softmax(unit(projected) @ unit(prototypes).T / temperature), axis=-1).mean()


def losses(views, slow_views, latents, prototypes, temperature, epsilon, iterations, warm_up):
    """The swapped, the temporal and the norm loss. Both views are projected; `latents` are those of the first, which alone is filtered."""
    first, second = (view[:, warm_up:] for view in views)
    targets = [assigned(slow[:, warm_up:], prototypes, epsilon, iterations) for slow in slow_views]

    def of(target, projected):
        return cross_entropy(target, projected, prototypes, temperature)

    lengths = [np.linalg.norm(projected, axis=-1) for projected in (*views, latents)]
    from_unit = [np.mean((length - 1) ** 2) for length in lengths]
    return {
        "swapped_prototypes": (of(targets[1], first) + of(targets[0], second)) / 2,
        "temporal_prototypes": of(targets[0], latents[:, warm_up:]),
        "projection_norm": (from_unit[0] + from_unit[1]) / 2 + from_unit[2],
    }
