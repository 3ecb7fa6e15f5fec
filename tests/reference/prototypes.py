"""DreamerPro in float64 numpy: Deng et al. (2022), arXiv 2110.14565, Section 3 and fdeng18/dreamer-pro; Caron et al. (2020), *SwAV*.

Projections are `[B, T, S]`, and the first `warm_up` steps of each sequence do not join in what is assigned.
"""

import numpy as np

from tests.reference.layers import log_softmax


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def sinkhorn(scores, epsilon):
    """Shares `[K, N]` of prototypes and samples, in turn equal over the prototypes and over the samples, 3 times (SwAV, Appendix A)."""
    shares = np.exp(scores / epsilon)
    for _ in range(3):
        shares /= shares.sum(axis=1, keepdims=True) * shares.shape[0]
        shares /= shares.sum(axis=0, keepdims=True) * shares.shape[1]
    return shares * shares.shape[1]


def assigned(slow, prototypes, epsilon):
    """The targets of one view, `[B, T, K]`, by the cosines of its slow projections."""
    flat = unit(slow).reshape(-1, slow.shape[-1])
    return sinkhorn(unit(prototypes) @ flat.T, epsilon).T.reshape(*slow.shape[:2], -1)


def losses(views, slow_views, latents, prototypes, epsilon, warm_up):
    """The swapped, the temporal and the norm loss. Both views are projected; `latents` are those of the first, which alone is filtered."""
    first, second = (view[:, warm_up:] for view in views)
    targets = [assigned(slow[:, warm_up:], prototypes, epsilon) for slow in slow_views]

    def cross_entropy(target, projected):
        return -np.sum(target * log_softmax(unit(projected) @ unit(prototypes).T / 0.1), axis=-1).mean()

    from_unit = [np.mean((np.linalg.norm(projected, axis=-1) - 1) ** 2) for projected in (*views, latents)]
    return {
        "swapped_prototypes": (cross_entropy(targets[1], first) + cross_entropy(targets[0], second)) / 2,
        "temporal_prototypes": cross_entropy(targets[0], latents[:, warm_up:]),
        "projection_norm": (from_unit[0] + from_unit[1]) / 2 + from_unit[2],
    }
