"""Meta-test: rows in raw units, after the right number of steps, on the right side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.core import MLP
from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes
from pipeline.runs.evaluate import FrozenTest, empty_rows
from pipeline.runs.records import TEST_ROWS_SCHEMA
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, make_files


@pytest.fixture(scope="module", params=[SYNTHETIC, RATINGS])
def episodes(request, tmp_path_factory) -> Episodes:
    return load_episodes(*make_files(tmp_path_factory.mktemp("files"), request.param))


def start(episodes: Episodes) -> tuple[MLP, torch.Tensor]:
    model = MLP(episodes.n_items or 2, (5,))
    return model, model.init(torch.Generator().manual_seed(0), dtype=torch.float64)


def frozen(episodes: Episodes) -> FrozenTest:
    _, theta = start(episodes)
    return FrozenTest(episodes, episodes.test, target_range=8.0, like=theta)


def adapted(episodes: Episodes, steps: list[int], **options):
    model, theta = start(episodes)
    options = {"lr": 0.1, "optimiser": "gd"} | options
    return frozen(episodes).adapted("p", model, theta, steps=steps, **options)


def test_rows_are_in_raw_units(episodes):
    """A prediction that is one standard deviation off has an nRMSE of 1."""
    scaling = episodes.scaling
    rows = frozen(episodes).rows("p", 3, episodes.test.qy + 1)
    np.testing.assert_allclose(rows["rmse"], scaling.y_std)
    np.testing.assert_allclose(rows["nrmse"], 1.0)
    np.testing.assert_allclose(rows["rmse_over_range"], scaling.y_std / 8)
    assert rows["task"].tolist() == episodes.test.tasks.tolist()
    assert rows["n_query"].tolist() == episodes.test.q_weight.sum(1).tolist()
    assert set(rows["predictor"]) == {"p"}
    assert set(rows["step"]) == {3}
    assert list(rows.columns) == TEST_ROWS_SCHEMA.names


def test_steps_are_gradient_descent_on_the_support_rows(episodes):
    """Task by task, without padding, by autograd."""
    model, theta = start(episodes)
    rows = adapted(episodes, [0, 4])
    test, scaling = episodes.test, episodes.scaling
    for k in range(len(test.tasks)):
        real = test.s_weight[k] > 0
        x, y = torch.as_tensor(test.sx[k][real])[None], torch.as_tensor(test.sy[k][real])[None]
        u = theta.clone().requires_grad_()
        for step in (0, 4):
            if step:
                for _ in range(4):
                    loss = 0.5 * (model.predict(u[None], x) - y).square().mean()
                    (slope,) = torch.autograd.grad(loss, u)
                    u = (u - 0.1 * slope).detach().requires_grad_()
            asked = test.q_weight[k] > 0
            guess = model.predict(u[None], torch.as_tensor(test.qx[k][asked])[None]).detach()[0]
            wanted = scaling.y_std * np.sqrt(np.mean((guess.numpy() - test.qy[k][asked]) ** 2))
            row = rows[(rows["step"] == step) & (rows["task"] == test.tasks[k])]
            assert row["rmse"].item() == pytest.approx(wanted, rel=3e-7)
            own = model.predict(u[None], x).detach()[0] - y[0]
            seen = scaling.y_std * own.square().mean().sqrt().item()
            assert row["support_rmse"].item() == pytest.approx(seen, rel=1e-6)


def test_the_order_of_steps_does_not_matter(episodes):
    found = adapted(episodes, {5, 0, 2})
    assert found["step"].unique().tolist() == [0, 2, 5]
    np.testing.assert_array_equal(found[found["step"] == 5], adapted(episodes, [5]))


def test_query_targets_do_not_change_the_prediction(episodes):
    """They move the error only: a shift of the targets is a shift of the errors."""
    model, theta = start(episodes)
    moved = replace(episodes.test, qy=episodes.test.qy + 1e3)
    test = FrozenTest(episodes, moved, target_range=8.0, like=theta)
    rows = test.adapted("p", model, theta, steps=[3], lr=0.1, optimiser="gd")
    unmoved = FrozenTest(episodes, episodes.test, target_range=8.0, like=theta)
    plain = unmoved.adapted("p", model, theta, steps=[3], lr=0.1, optimiser="gd")
    gap = 1e3 * episodes.scaling.y_std
    assert (np.abs(rows["mae"] - gap) <= plain["mae"] + 1e-6).all()


def test_steps_after_a_divergence_are_left_out(episodes):
    found = adapted(episodes, [0, 1, 50, 60], lr=1e20)
    assert found["step"].unique().tolist() == [0, 1]
    assert np.isfinite(found["nrmse"]).all()


def test_nothing_finite_gives_no_rows(episodes):
    model, theta = start(episodes)
    found = frozen(episodes).adapted("p", model, theta * np.inf, steps=[0], lr=0.1, optimiser="gd")
    assert len(found) == 0
    assert list(found.columns) == list(empty_rows().columns) == TEST_ROWS_SCHEMA.names


def test_trivial_rows_stand_at_step_zero(episodes):
    rows = frozen(episodes).trivial()
    assert set(rows["step"]) == {0}
    mean = rows[rows["predictor"] == "global_mean"]
    raw, weight = episodes.scaling.to_raw_y(episodes.test.qy), episodes.test.q_weight
    centre = episodes.scaling.to_raw_y(episodes.train.y.mean())
    wanted = np.sqrt(((raw - centre) ** 2 * weight).sum(1) / weight.sum(1))
    np.testing.assert_allclose(mean["rmse"], wanted)


def test_dtype_follows_theta(episodes):
    _, theta = start(episodes)
    single = FrozenTest(episodes, episodes.test, target_range=8.0, like=theta.float())
    assert single.batch.support.y.dtype == torch.float32
