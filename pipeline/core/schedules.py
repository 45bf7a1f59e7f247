"""How the outer rate goes over the meta-updates, and theta's moving average.

With update u = 1, ..., N, warm-up over W updates and s = (u - 1 - W) / (N - W) after it,

    rate(u) = outer_lr u / W                        for u <= W
              outer_lr                              constant
              outer_lr (1 + cos(pi s)) / 2          cosine (Loshchilov, Hutter, arXiv:1608.03983)

    average_u = d_u average_{u-1} + (1 - d_u) theta_u,   d_u = min(decay, (1 + u) / (10 + u)),

so that the average forgets the untrained start early on (as TensorFlow's moving averages do).
"""

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[float], float]] = {  # of s in [0, 1), the share of training done
    "constant": lambda share: 1.0,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}


def rate(outer_lr: float, update: int, *, schedule: str, warm_up: int, updates: int) -> float:
    """The outer rate of update u, counted from 1, of N; the last shape holds after the N-th."""
    if update <= warm_up:
        return outer_lr * update / warm_up
    share = (update - 1 - warm_up) / max(updates - warm_up, 1)
    return outer_lr * SCHEDULES[schedule](min(share, 1.0))


def decay_at(update: int, decay: float) -> float:
    """d_u, the weight of the average before update u."""
    return min(decay, (1 + update) / (10 + update))
