"""The synthetic families against their formulas, written out for single points."""

import math

import numpy as np
import pytest

from pipeline.data.families import FAMILIES
from pipeline.data.synthetic import draw_tasks, evaluate


def drawn(family, seed=0, **changes):
    numbers = {"n_train": 6, "n_test": 4, "points": 30} | changes
    return draw_tasks(family, generator=np.random.default_rng(seed), **numbers)


def cos_mixture_at(x, A, w, phi):
    return sum(-0.1 * A * math.cos(w * x_i + phi) for x_i in x) - sum(x_i**2 for x_i in x)


def alpine_at(x, phi_1, phi_2):
    return sum(
        abs(x_i * math.sin(x_i + phi) + 0.1 * x_i)
        for x_i, phi in zip(x, (phi_1, phi_2), strict=True)
    )


def released_cos_mixture_at(x, A, w, phi):
    return sum(-A * math.cos(w * x_i + phi) - x_i**2 for x_i in x)


def released_alpine_at(x, phi):
    return sum(abs(x_i * math.sin(x_i + phi) - 0.1 * x_i) for x_i in x)


@pytest.mark.parametrize(
    ("family", "formula"),
    [
        ("cosmixture", cos_mixture_at),
        ("alpine", alpine_at),
        ("cosmixture-released", released_cos_mixture_at),
        ("alpine-released", released_alpine_at),
    ],
)
def test_rows_are_the_formula(family, formula):
    rows, parameters = drawn(family)
    for row in rows.itertuples():
        own = {name: float(values[row.task]) for name, values in parameters.items()}
        assert row.y == pytest.approx(formula((row.x0, row.x1), **own), rel=1e-12)


def test_known_values():
    origin = np.zeros(2)
    assert evaluate("cosmixture", {"A": 1.0, "w": 2.0, "phi": math.pi}, origin) == pytest.approx(
        0.2
    )
    x = np.array([2.0, -3.0])
    got = evaluate("alpine", {"phi_1": 0.0, "phi_2": 0.5}, x)
    want = abs(2 * math.sin(2) + 0.2) + abs(-3 * math.sin(-2.5) - 0.3)
    assert got == pytest.approx(want)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_task_on_a_grid_equals_all_tasks_at_once(family):
    rows, parameters = drawn(family)
    x = rows[["x0", "x1"]].to_numpy().reshape(10, 5, 6, 2)
    together = evaluate(family, parameters, x)
    for task in range(10):
        own = {name: values[task] for name, values in parameters.items()}
        np.testing.assert_array_equal(evaluate(family, own, x[task]), together[task])
    np.testing.assert_array_equal(together.ravel(), rows["y"])


@pytest.mark.parametrize("family", FAMILIES)
def test_draw_keeps_to_its_intervals_and_fills_them(family):
    rows, parameters = drawn(family, n_train=400, n_test=0)
    low, high = FAMILIES[family].bounds
    for name in ("x0", "x1"):
        assert low <= rows[name].min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < rows[name].max() <= high
    for name, (low, high) in FAMILIES[family].ranges.items():
        assert low <= parameters[name].min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < parameters[name].max() <= high


def test_intervals_are_the_papers():
    pi = math.pi
    assert FAMILIES["cosmixture"].ranges == {
        "A": (0.1, 1.0),
        "w": (0.5 * pi, 2 * pi),
        "phi": (3.0, 6.0),
    }
    assert FAMILIES["alpine"].ranges["phi_2"] == pytest.approx((-5 * pi / 12, 5 * pi / 12))
    assert FAMILIES["cosmixture"].bounds == (-1.0, 1.0)
    assert FAMILIES["alpine"].bounds == (-10.0, 10.0)


def test_intervals_of_the_released_code_swap_frequency_and_phase():
    pi = math.pi
    assert FAMILIES["cosmixture-released"].ranges == {
        "A": (0.1, 1.0),
        "w": (3.0, 6.0),
        "phi": (0.5 * pi, 2 * pi),
    }
    assert FAMILIES["cosmixture-released"].bounds == (-1.0, 1.0)
    assert FAMILIES["alpine-released"].bounds == (-10.0, 10.0)
    assert FAMILIES["alpine-released"].ranges["phi"] == pytest.approx((-5 * pi / 12, 5 * pi / 12))


def test_alpine_phases_are_independent():
    _, parameters = drawn("alpine", n_train=500)
    assert abs(np.corrcoef(parameters["phi_1"], parameters["phi_2"])[0, 1]) < 0.15


@pytest.mark.parametrize("family", FAMILIES)
def test_tasks_are_numbered_and_split(family):
    rows, _ = drawn(family)
    assert rows["task"].tolist() == np.repeat(np.arange(10), 30).tolist()
    assert set(rows.loc[rows["split"] == "train", "task"]) == set(range(6))
    assert set(rows.loc[rows["split"] == "test", "task"]) == set(range(6, 10))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_generator_decides(family):
    assert drawn(family, seed=1).rows.equals(drawn(family, seed=1).rows)
    assert not drawn(family, seed=1).rows.equals(drawn(family, seed=2).rows)
