"""Predictors that a grid asks for: a module each, named as its card in config/predictors.py.

`predict(episodes, tasks)` of a module is fitted on the meta-training rows of `episodes`, chooses by
its validation tasks only, and gives predictions (T, M) for the query rows of `tasks`, standardised
like their targets, from their support rows.
"""

from importlib import import_module

import numpy as np

from pipeline.data.pools import Episodes, FrozenTasks


def predict(name: str, episodes: Episodes, tasks: FrozenTasks) -> np.ndarray:
    """Predictions (T, M) of a predictor by its name."""
    found: np.ndarray = import_module(f"{__name__}.{name}").predict(episodes, tasks)
    return found
