"""Cost against stiffness: in proportion for RK45, as its square root for Chebyshev steps."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import MLP
from pipeline.core.solvers.flow import Diverged
from pipeline.studies import stiffness
from pipeline.studies.problems import StudyTasks, draw_study_tasks
from pipeline.studies.stiffness import stiffness_records
from pipeline.tables.studies import stiffness_slope
from tests.unit.studies.small import recipe


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    given = recipe(
        "stability",
        families=["cosmixture", "alpine"],
        stiffness={"inner_steps": [100, 500], "scales": [1.0, 4.0]},
    )
    return pd.DataFrame(stiffness_records(given))


def test_exponents(table):
    assert 0.8 <= stiffness_slope(table, "dopri5") <= 1.1
    assert 0.4 <= stiffness_slope(table, "rkc") <= 0.65


def test_both_solvers_meet_the_same_problems(table):
    cases = ["family", "standardised", "scale", "horizon"]
    assert len(table) == 2 * 2 * 3 * 2
    assert (table.groupby(cases)["rho_t"].nunique() <= 1).all()
    assert set(table["solver"]) == {"rkc", "dopri5"}
    raw = table[~table["standardised"]]
    assert set(raw["scale"]) == {1.0}


def test_scaled_inputs_and_longer_horizons_are_stiffer(table):
    own = table[(table["solver"] == "rkc") & table["standardised"]]
    by = own.set_index(["family", "scale", "horizon"])["rho_t"]
    for family in ("cosmixture", "alpine"):
        assert by[family, 4.0, 5.0] > by[family, 1.0, 5.0] > by[family, 1.0, 1.0]


def test_stiffness_is_the_largest_eigenvalue_times_t():
    """Over a short horizon, against the whole Hessian from autograd."""
    model = MLP(2, (4, 3))
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    _, probes = draw_study_tasks("cosmixture", 0, tasks=1, support=10, query=5)
    batch = probes.batch(slice(None), torch.float64)

    def loss(u: torch.Tensor) -> torch.Tensor:
        x, y = batch.support.x[0], batch.support.y[0]
        parts, place = [], 0
        for out, into in model.shapes:
            weight = u[place : place + out * into].view(out, into)
            place += out * into
            parts.append((weight, u[place : place + out]))
            place += out
        for weight, bias in parts[:-1]:
            x = torch.tanh(x @ weight.T + bias)
        weight, bias = parts[-1]
        return 0.5 * ((x @ weight.T + bias).squeeze(1) - y).square().mean()

    hessian = torch.autograd.functional.hessian(loss, theta)
    rho = float(torch.linalg.eigvalsh(hessian).abs().max())
    horizon = 1e-3
    found = next(iter(stiffness._solves(model, theta, batch, horizon, 1e-6, 1e-8)))
    assert found["rho_t"] == pytest.approx(rho * horizon, rel=0.05)


def test_a_solver_that_gives_up_is_a_record(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise Diverged("dopri5 gave up\nand more")

    monkeypatch.setattr(stiffness, "solve_flow", broken)
    given = recipe("stability", stiffness={"inner_steps": [10], "scales": [1.0]})
    records = list(stiffness_records(given))
    for record in records:
        gone = record["solver"] == "dopri5"
        assert record["status"] == ("diverged" if gone else "ok")
        assert record["message"] == ("dopri5 gave up" if gone else None)
        assert record["rho_t"] > 0


def test_scaling_touches_inputs_only():
    _, probes = draw_study_tasks("alpine", 0, tasks=2, support=5, query=4)
    scaled = StudyTasks(probes.x * 4.0, probes.y, probes.support)
    plain, other = (t.batch(slice(None), torch.float64) for t in (probes, scaled))
    np.testing.assert_allclose(other.support.x, 4 * plain.support.x, rtol=1e-6)
    np.testing.assert_array_equal(other.support.y, plain.support.y)
