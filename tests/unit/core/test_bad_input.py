"""What cannot be is refused at the border, with one sentence that names it."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core import (
    MLP,
    SOLVERS,
    Diverged,
    MetaTrainer,
    ModuleModel,
    TaskBatch,
    adapt,
    flat_parameters,
    meta_gradient,
)
from pipeline.core.solvers import chebyshev, runge_kutta
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp, make_module

NAN, INF = float("nan"), float("inf")
NO_NUMBERS = ("1", None, True, [0.5], 1j, 10**400)
NOT_POSITIVE = (0.0, -1.0, NAN, INF, *NO_NUMBERS)
FLOWS = ("amaml", "amaml_rkc")
X, Y = make_batch().support.x, make_batch().support.y  # (3, 12, 2), (3, 12)
ITEMS = torch.zeros(3, 12, dtype=torch.int64)


def refused(message: str, method: str, theta=None, model=None, batch=None, **change) -> None:
    """A ValueError of ours: what is found stands in its one sentence."""
    own, start = make_mlp()
    settings = METHOD_SETTINGS.get(method, {}) | change
    with pytest.raises(ValueError, match=message) as caught:
        meta_gradient(
            method,
            model or own,
            start if theta is None else theta,
            batch or make_batch(),
            **settings,
        )
    assert caught.type is ValueError
    assert "pipeline/core" in str(caught.traceback[-1].path)  # raised here, not within torch


@pytest.mark.parametrize("value", NOT_POSITIVE, ids=str)
@pytest.mark.parametrize(
    ("method", "name"),
    [(method, name) for method in FLOWS for name in ("horizon", "rtol", "atol", "memory_mb")]
    + [("amaml", "step"), ("maml_sweep", "memory_mb"), ("maml", "inner_lr"), ("imaml", "proximal")],
)
def test_numbers_that_must_be_positive(method, name, value):
    if value is None and name == "memory_mb":
        return  # no budget was given
    if value == [0.5] and name == "horizon":
        return  # see test_horizons_in_a_list
    refused(f"{name} must be positive and finite, found", method, **{name: value})


@pytest.mark.parametrize("method", FLOWS)
@pytest.mark.parametrize("value", [-0.1, NAN, INF, *NO_NUMBERS], ids=str)
@pytest.mark.parametrize("name", ["omega", "regulariser"])
def test_weights_of_the_objective(name, value, method):
    refused(f"{name} must", method, **{name: value})


@pytest.mark.parametrize("method", FLOWS)
@pytest.mark.parametrize(
    "value",
    [
        *([1.0, 2.0], [[1.0], [1.0], [1.0]], [], [1.0, 0.0, 2.0], [1.0, -1.0, 2.0]),
        *([1.0, NAN, 2.0], [1.0, INF, 2.0], 0.0, NAN, [True] * 3, [1j] * 3),
    ],
    ids=str,
)
def test_horizons_of_tasks(method, value):
    refused("horizon must", method, horizon=torch.tensor(value))


@pytest.mark.parametrize(
    "value", [[1.0, 2.0], [0.5], [], [1.0, NAN, 2.0], [[1.0]] * 3, ["1"] * 3, "123"]
)
@pytest.mark.parametrize("method", FLOWS)
def test_horizons_in_a_list(method, value):
    refused("horizon must", method, horizon=value)


@pytest.mark.parametrize("method", FLOWS)
def test_horizons_may_be_a_list_or_an_array(method):
    batch, given = make_batch(), [0.1, 0.2, 0.3]
    asked = (method, *make_mlp(), batch)
    expected = meta_gradient(*asked, horizon=torch.tensor(given, dtype=torch.float64))
    for horizon in (given, tuple(given), np.array(given)):
        assert torch.equal(meta_gradient(*asked, horizon=horizon).gradient, expected.gradient)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"horizon": -1.0}}, "horizon must"),
        ({"settings": {"horizon": [0.1, NAN]}}, "horizon must"),
        ({"settings": {}}, "needs horizon"),
        ({"outer_lr": 0.0}, "outer_lr must"),
        ({"outer_lr": NAN}, "outer_lr must"),
        ({"gradient_limit": NAN}, "gradient_limit must"),
        ({"gradient_limit": 0.0}, "gradient_limit must"),
        ({"optimiser": "lbfgs"}, "optimiser must be one of"),
    ],
)
def test_a_trainer_checks_what_it_is_made_of(change, message):
    given = {"settings": {"horizon": 1.0}, "outer_lr": 0.1} | change
    with pytest.raises(ValueError, match=message):
        MetaTrainer("amaml_rkc", *make_mlp(), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [10, 5]}, "ascending order"),
        ({"steps": [5, 5]}, "ascending order"),
        ({"steps": [-1]}, "at least 0"),
        ({"steps": [1.5]}, "whole numbers"),
        ({"steps": [True]}, "whole numbers"),
        ({"steps": 10}, "whole numbers"),
        ({"steps": []}, "whole numbers"),
        ({"steps": "12"}, "whole numbers"),
        ({"lr": -0.1}, "lr must"),
        ({"lr": NAN}, "lr must"),
        ({"optimiser": "Adam"}, "optimiser must be one of gd, adam"),
        ({"optimiser": "lbfgs"}, "optimiser must be one of gd, adam"),
        ({"theta": make_mlp()[1][:-1]}, "theta must have shape"),
        ({"theta": make_mlp()[1].float()}, r"theta is torch\.float32"),
        ({"theta": make_mlp()[1] * NAN}, "theta holds NaN"),
        ({"theta": make_mlp()[1].repeat(3, 1)}, "theta must have shape"),
        ({"theta": None}, "theta must be a tensor"),
    ],
)
def test_adapting_checks_before_it_trains(change, message):
    model, theta = make_mlp()
    given = {"theta": theta, "steps": [0, 5], "lr": 0.1} | change
    with pytest.raises(ValueError, match=message):
        adapt(model, given.pop("theta"), make_batch().support, **given)


@pytest.mark.parametrize("name", ["solver", "backward"])
@pytest.mark.parametrize("value", ["rk5", "", None, 3, ["rk4"], "amaml_rkc"])
def test_names(name, value):
    refused(f"{name} must be one of", "amaml", **{name: value})


@pytest.mark.parametrize("method", ["amam", None, ["amaml"], 3])
def test_methods(method):
    with pytest.raises(ValueError, match="is none of"):
        meta_gradient(method, *make_mlp(), make_batch())


@pytest.mark.parametrize("method", METHOD_SETTINGS)
class TestTheta:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: torch.cat([t, t[:1]]), "theta must have shape"),
            (lambda t: t[None, None], "theta must have shape"),
            (lambda t: t[:0], "theta must have shape"),
            (lambda t: t.repeat(2, 1), "2 seeds and the batch 3 tasks"),
            (lambda t: t.repeat(2, 1)[:0], "theta must have shape"),
            (lambda t: torch.cat([t[:-1], t[:1] * NAN]), "theta holds NaN"),
            (lambda t: torch.cat([t[:-1], t[:1] / 0]), "theta holds NaN or infinity"),
            (lambda t: t.float(), "theta is torch.float32"),
            (lambda t: t.long(), "theta is torch.int64"),
            (lambda t: t.tolist(), "theta must be a tensor, found list"),
            (lambda t: t.numpy(), "theta must be a tensor, found ndarray"),
        ],
    )
    def test_that_does_not_fit(self, method, change, message):
        refused(message, method, theta=change(make_mlp()[1]))

    def test_of_a_model_of_another_width(self, method):
        model = MLP(3, (4,))
        theta = model.init(torch.Generator(), dtype=torch.float64)
        refused("inputs have 2 features, the model was made for 3", method, theta, model)
        module = make_module(features=3)
        start = flat_parameters(module)
        refused("does not make 12 predictions", method, start, ModuleModel(module))

    @pytest.mark.parametrize("side", ["support", "query"])
    def test_of_a_model_of_fewer_items(self, method, side):
        far = ITEMS.clone()
        far[1, 3] = 7
        sx, qx = (far, ITEMS) if side == "support" else (ITEMS, far)
        batch = TaskBatch.from_arrays(sx, Y, qx, Y)
        model, theta = make_mlp(features=7)
        refused("inputs have 8 items, the model was made for 7", method, theta, model, batch)
        module = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 1)).double()
        start = flat_parameters(module)
        refused("does not make 12 predictions", method, start, ModuleModel(module), batch)


@pytest.mark.parametrize("side", ["support", "query"])
@pytest.mark.parametrize(
    ("x", "y", "weight", "message"),
    [
        (X * NAN, Y, None, "inputs hold NaN or infinity"),
        (X / 0, Y, None, "inputs hold NaN or infinity"),
        (X, Y * NAN, None, "targets hold NaN or infinity"),
        (X, Y / 0, None, "targets hold NaN or infinity"),
        (X, Y, Y * NAN, "row weights must be non-negative"),
        (X, Y, torch.full_like(Y, INF), "row weights hold infinity"),
        (X, Y, -torch.ones_like(Y), "row weights must be non-negative"),
        (X, Y, torch.ones_like(Y)[:, :2], "of shape"),
        (X, Y, torch.zeros_like(Y), "no row of positive weight"),
        (X, Y, torch.tensor([[1.0], [0.0], [1.0]]).expand(3, 12), "no row of positive weight"),
        (X[:, :0], Y[:, :0], None, "every task needs a row"),
        (X[:0], Y[:0], None, "every task needs a row"),
        (X[..., :0], Y, None, "rows need a feature"),
        (X[0], Y[0], None, "needed inputs"),
        (X[:, :, 0], Y, None, "must be integer item indices"),
        (ITEMS.bool(), Y, None, "must be integer item indices"),
        (ITEMS - 1, Y, None, "found item index -1; indices start at 0"),
        (X.to(torch.complex128), Y, None, "inputs must be real"),
        ("rows", Y, None, "inputs must be a full array of numbers"),
        ([[[1.0, 2.0]], [[1.0]]], Y, None, "inputs must be a full array of numbers"),
        (X, None, None, "targets must be a full array of numbers"),
        (X, Y, "heavy", "row weights must be a full array of numbers"),
    ],
)
def test_batches(side, x, y, weight, message):
    given = {"sx": X, "sy": Y, "qx": X, "qy": Y} | {f"{side[0]}x": x, f"{side[0]}y": y}
    with pytest.raises(ValueError, match=f"^{side}: .*{re.escape(message)}"):
        TaskBatch.from_arrays(**given, **{f"{side}_weight": weight})


def test_batches_of_whole_numbers():
    with pytest.raises(ValueError, match=r"dtype must be one of floats, found torch\.int64"):
        TaskBatch.from_arrays(X, Y, X, Y, dtype=torch.int64)


def test_large_weights_are_shares_like_others():
    wide = torch.full_like(Y, 1e308)
    batch = TaskBatch.from_arrays(X, Y, X, Y, support_weight=wide)
    assert torch.equal(batch.support.weight, batch.query.weight)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("amaml", {"solver": s, "backward": b})
        for s in SOLVERS
        for b in ("modified_euler", "discrete", "euler", "released")
    ]
    + [("amaml_rkc", {}), ("amaml_anytime", {})],
)
@pytest.mark.parametrize("scale", [1e160, 1e307])
def test_an_overflow_names_the_task_where_it_was(method, change, scale):
    batch = make_batch()
    loud = batch.support.y * torch.tensor([[1.0], [scale], [1.0]], dtype=torch.float64)
    wild = TaskBatch.from_arrays(batch.support.x, loud, batch.query.x, batch.query.y)
    with pytest.raises(Diverged, match="task 1 of the batch"):
        meta_gradient(method, *make_mlp(), wild, horizon=3.0, **change)


def scaled(scale: float) -> TaskBatch:
    """Tasks of which the second has targets that large."""
    batch = make_batch()
    loud = torch.tensor([[1.0], [scale], [1.0]], dtype=torch.float64)
    return TaskBatch.from_arrays(
        batch.support.x, batch.support.y * loud, batch.query.x, batch.query.y * loud
    )


OPTIMISED = """
from pipeline.core import meta_gradient
from tests.unit.core.problems import make_mlp
from tests.unit.core.test_bad_input import scaled
assert False, "this runs without assertions"
meta_gradient("amaml", *make_mlp(activation="softplus"), scaled(1e6), horizon=3.0)
"""


def test_an_underflow_ends_without_assertions_too():
    """torchdiffeq asserts that a step is not 0; `python -O` leaves that out."""
    command = [sys.executable, "-O", "-c", OPTIMISED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "Diverged: dopri5 gave up between t = 0 and 3: underflow in dt 0.0" in done.stderr


@pytest.mark.parametrize("name", ["amaml", "amaml_rkc"])
def test_a_solve_without_end_is_divergence(name, monkeypatch):
    """Targets of 1e4 ask for steps by the thousand, each of the most stages that there are."""
    monkeypatch.setattr(runge_kutta, "MAX_STEPS", 50)
    monkeypatch.setattr(chebyshev, "MAX_STAGES_IN_ALL", 2_000)
    with pytest.raises(
        Diverged, match=r"max_num_steps exceeded|with 2\d\d\d stages .*takes no more"
    ):
        meta_gradient(name, *make_mlp(activation="softplus"), scaled(1e4), horizon=3.0)


def test_what_the_bounds_leave_room_for():
    """Committed studies took 1,900 stages and 650 steps of dopri5 at most."""
    assert 50 * 1_900 <= chebyshev.MAX_STAGES_IN_ALL <= 1_000_000  # minutes, not days
    assert 4 * 650 <= runge_kutta.MAX_STEPS <= 100_000
