"""CosMixture: cosines in a bowl."""

from typing import Any

import numpy as np

from pipeline.data.cards import PAPERS_STEPS, Family


def cos_mixture(x: np.ndarray, *, A: Any, w: Any, phi: Any) -> np.ndarray:
    """Equation (12): f(x) = -0.1 sum_i A cos(w x_i + phi) - sum_i x_i², x of shape (..., 2)."""
    A, w, phi = (np.asarray(value)[..., None] for value in (A, w, phi))
    return (-0.1 * A * np.cos(w * x + phi) - x**2).sum(axis=-1)


def cos_mixture_released(x: np.ndarray, *, A: Any, w: Any, phi: Any) -> np.ndarray:
    """The authors' code for (12), without its factor 0.1, x of shape (..., 2)."""
    A, w, phi = (np.asarray(value)[..., None] for value in (A, w, phi))
    return (-A * np.cos(w * x + phi) - x**2).sum(axis=-1)


CARD = Family(
    name="cosmixture",
    title="CosMixture",
    order=10,
    function=cos_mixture,
    bounds=(-1.0, 1.0),
    ranges={"A": (0.1, 1.0), "w": (0.5 * np.pi, 2 * np.pi), "phi": (3.0, 6.0)},
    usual_steps=PAPERS_STEPS,
    equation="(12)",
    released=Family(
        name="cosmixture-released",
        title="CosMixture (released code)",
        order=11,
        function=cos_mixture_released,
        bounds=(-1.0, 1.0),
        ranges={"A": (0.1, 1.0), "w": (3.0, 6.0), "phi": (0.5 * np.pi, 2 * np.pi)},
        usual_steps=PAPERS_STEPS,
        differs="ranges of frequency and phase swapped, no factor 0.1",
    ),
    is_profiled=True,
)
