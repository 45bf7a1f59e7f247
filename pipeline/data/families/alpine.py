"""Alpine: many kinks."""

from typing import Any

import numpy as np

from pipeline.data.cards import PAPERS_STEPS, Family


def alpine(x: np.ndarray, *, phi_1: Any, phi_2: Any) -> np.ndarray:
    """Equation (13): f(x) = sum_i |x_i sin(x_i + phi_i) + 0.1 x_i|, x of shape (..., 2)."""
    phi = np.stack([np.asarray(phi_1), np.asarray(phi_2)], axis=-1)
    return np.abs(x * np.sin(x + phi) + 0.1 * x).sum(axis=-1)


def alpine_released(x: np.ndarray, *, phi: Any) -> np.ndarray:
    """The authors' code for (13): f(x) = sum_i |x_i sin(x_i + phi) - 0.1 x_i|, (..., 2)."""
    return np.abs(x * np.sin(x + np.asarray(phi)[..., None]) - 0.1 * x).sum(axis=-1)


_PHASE = (-5 * np.pi / 12, 5 * np.pi / 12)

CARD = Family(
    name="alpine",
    title="Alpine",
    order=20,
    function=alpine,
    bounds=(-10.0, 10.0),  # the paper prints the domain as [10, 10]²; this is the usual one
    ranges={"phi_1": _PHASE, "phi_2": _PHASE},
    usual_steps=PAPERS_STEPS,
    equation="(13)",
    released=Family(
        name="alpine-released",
        title="Alpine (released code)",
        order=21,
        function=alpine_released,
        bounds=(-10.0, 10.0),
        ranges={"phi": _PHASE},
        usual_steps=PAPERS_STEPS,
        differs="one shared phase, sign of 0.1 x flipped",
    ),
)
