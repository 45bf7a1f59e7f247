"""Floating-point operations of the matrix products, and how fast the machine does them at best.

Counted is the work that must be done: a gradient's passes, and a Hessian-vector product's given
the passes at its point. What a program repeats beyond that, and everything elementwise, is not.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch

from benchmarks.measure import interleaved, summary
from benchmarks.problem import ROWS, TASKS, Work

REPETITIONS = 15
LARGE = 1024  # width of the large matrices
CALLS = 200  # small products in one timing


def _weights(widths: Sequence[int]) -> tuple[int, int]:
    """Numbers of weights of the first layer and of all layers."""
    sizes = [a * b for a, b in pairwise(widths)]
    return sizes[0], sum(sizes)


def _widths(work: Work) -> list[int]:
    return [work.model.in_features, *work.hidden, 1]


def _rows(work: Work) -> int:
    return work.batch.support.y.numel()


def of_gradient(work: Work) -> int:
    """Forward 2W, weight gradients 2W, errors handed down 2(W - W_1), for each row."""
    first, every = _weights(_widths(work))
    return _rows(work) * (6 * every - 2 * first)


def of_product(work: Work) -> int:
    """R{forward}: 2W_1 + 4(W - W_1); R{backward}: 2W_1 + 4(W - W_1) + 4(W - W_1), each row."""
    first, every = _weights(_widths(work))
    return _rows(work) * (12 * every - 8 * first)


def rate(work: Work, gradients: int, products: int, seconds: float) -> float:
    """GFLOP/s."""
    done = gradients * of_gradient(work) + products * of_product(work)
    return done / seconds / 1e9


def machine_rates(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """GFLOP/s of `torch.bmm`: in the shape of the hidden layer, and of large matrices."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).to(device)

    def product(a: torch.Tensor, b: torch.Tensor, calls: int) -> None:
        out = torch.bmm(a, b)
        for _ in range(calls - 1):
            torch.bmm(a, b, out=out)

    small = (draw(TASKS, ROWS, 32), draw(TASKS, 32, 32))
    large = (draw(1, LARGE, LARGE), draw(1, LARGE, LARGE))
    runs = {
        "hidden_layer": lambda: product(*small, CALLS),
        "large": lambda: product(*large, 1),
    }
    for run in runs.values():
        run()
    seconds = interleaved(runs, dict.fromkeys(runs, REPETITIONS), device, "matrix products")
    work = {"hidden_layer": 2 * TASKS * ROWS * 32 * 32 * CALLS, "large": 2 * LARGE**3}
    return {name: work[name] / summary(values)["median"] / 1e9 for name, values in seconds.items()}
