"""Rules that make one meta-gradient of many, against the tasks' own, task by task."""

import pytest
import torch
from torch import Tensor

from pipeline.core import AGGREGATES, METHODS, MLP, Diverged, MetaTrainer, TaskBatch, meta_gradient
from pipeline.core.aggregate import spreads
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp
from tests.unit.core.test_seeds import item_batch, joined

B = 5
# scale of a task's meta-gradient, of its norm and all norms
SCALES = {
    "mean": lambda norm, norms: 1.0,
    "unit": lambda norm, norms: 1 / norm,
    "clip": lambda norm, norms: min(1.0, sorted(norms)[B // 2] / norm),
}


def one_by_one(method: str, model, theta: Tensor, batch: TaskBatch) -> Tensor:
    """The tasks' meta-gradients (B, P), each from a meta-batch of its own."""
    alone = [batch.select(torch.tensor([b])) for b in range(len(batch))]
    settings = METHOD_SETTINGS[method]
    return torch.stack([meta_gradient(method, model, theta, b, **settings).gradient for b in alone])


def wanted(each: Tensor, aggregate: str) -> Tensor:
    norms = each.norm(dim=1).tolist()
    scale = SCALES[aggregate]
    return sum(scale(n, norms) * g for n, g in zip(norms, each, strict=True)) / len(each)


def test_every_rule_is_tested():
    assert set(SCALES) == set(AGGREGATES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["inputs", "items"])
def test_is_that_of_the_tasks_one_by_one(method, kind):
    if kind == "inputs":
        (model, theta), batch = make_mlp(), make_batch(tasks=B)
    else:
        model = MLP(in_features=9, hidden=(4,))
        theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
        batch = joined([item_batch(seed) for seed in (0, 1)]).select(torch.arange(B))
    each = one_by_one(method, model, theta, batch)
    for aggregate in AGGREGATES:
        out = meta_gradient(
            method, model, theta, batch, aggregate=aggregate, **METHOD_SETTINGS[method]
        )
        expected = wanted(each, aggregate)
        # tasks of a flow share their steps: equal to its tolerance
        assert float((out.gradient - expected).norm()) < 1e-3 * float(expected.norm())
        torch.testing.assert_close(out.norms, each.norm(dim=1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_seeds_do_not_see_each_other(aggregate):
    model, settings = make_mlp()[0], METHOD_SETTINGS["maml_sweep"]
    thetas = torch.stack([scale * make_mlp(seed=k)[1] for k, scale in enumerate((0.3, 2.5))])
    batches = [make_batch(tasks=B, seed=seed) for seed in range(2)]
    together = meta_gradient(
        "maml_sweep", model, thetas, joined(batches), aggregate=aggregate, **settings
    )
    for seed in range(2):
        alone = meta_gradient(
            "maml_sweep", model, thetas[seed], batches[seed], aggregate=aggregate, **settings
        )
        torch.testing.assert_close(together.gradient[seed], alone.gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(together.norms.view(2, B)[seed], alone.norms)


def solved() -> TaskBatch:
    """Three tasks; the second is predicted without error, so that its gradient is zero."""
    model, theta = make_mlp()
    batch = make_batch()
    sy, qy = (model.predict(theta.expand(3, -1), rows.x) for rows in (batch.support, batch.query))
    y = [torch.where(torch.tensor([[False], [True], [False]]), exact, rows.y)
         for exact, rows in ((sy, batch.support), (qy, batch.query))]  # fmt: skip
    return TaskBatch.from_arrays(batch.support.x, y[0], batch.query.x, y[1])


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_task_without_gradient_adds_nothing(aggregate):
    model, theta = make_mlp()
    settings = METHOD_SETTINGS["maml_sweep"]
    out = meta_gradient("maml_sweep", model, theta, solved(), aggregate=aggregate, **settings)
    others = meta_gradient(
        "maml_sweep",
        model,
        theta,
        solved().select(torch.tensor([0, 2])),
        aggregate=aggregate,
        **settings,
    )
    assert out.norms[1] < 1e-15  # rounding, which `unit` must not make as long as the others
    if aggregate != "clip":
        torch.testing.assert_close(out.gradient, others.gradient * 2 / 3, rtol=1e-9, atol=1e-12)
    assert bool(torch.isfinite(out.gradient).all())
    assert float(out.gradient.norm()) > 0


def huge(dtype: torch.dtype, size: float) -> TaskBatch:
    """Targets of one task so large that its gradient is, too."""
    batch = make_batch(tasks=B)
    sides = [batch.support.x, batch.support.y, batch.query.x, batch.query.y.clone()]
    sides[3][2] *= size
    return TaskBatch.from_arrays(*sides, dtype=dtype)


def test_a_square_beyond_float32_is_no_matter():
    model, theta = make_mlp()
    settings = {"inner_steps": 3, "inner_lr": 0.01}
    out = meta_gradient(
        "fomaml", model, theta.float(), huge(torch.float32, 1e25), aggregate="unit", **settings
    )
    assert float(out.norms[2]) > 1e20
    assert 0.1 < float(out.gradient.norm()) <= 1


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_divergence_is_not_scaled_away(aggregate):
    model, theta = make_mlp()
    trainer = MetaTrainer(
        "fomaml",
        model,
        theta.float(),
        settings={"inner_steps": 30, "inner_lr": 1e9},
        outer_lr=0.1,
        aggregate=aggregate,
    )
    with pytest.raises(Diverged, match=r"meta-gradient's norm is (nan|inf)"):
        trainer.step(make_batch(tasks=B, dtype=torch.float32))
    assert torch.equal(trainer.theta, theta.float())


def test_an_unknown_rule_is_refused():
    model, theta = make_mlp()
    with pytest.raises(ValueError, match="aggregate must be one of mean, unit, clip, found 'sum'"):
        meta_gradient(
            "fomaml", model, theta, make_batch(), aggregate="sum", **METHOD_SETTINGS["fomaml"]
        )
    with pytest.raises(ValueError, match="aggregate must be one of"):
        MetaTrainer(
            "fomaml",
            model,
            theta,
            settings=METHOD_SETTINGS["fomaml"],
            outer_lr=0.1,
            aggregate="sum",
        )


def test_the_spread_of_norms_is_each_seeds_own():
    norms = torch.tensor([[3.0, 1.0, 2.0, 4.0, 10.0], [1.0, 1.0, 1.0, 1.0, 1.0]]).double()
    tail, alike = spreads(norms)
    assert tail[:4] == (1.0, 3.0, 10.0, 10.0)
    assert tail.largest_share == pytest.approx(100 / 130)
    assert alike == (1.0, 1.0, 1.0, 1.0, pytest.approx(0.2))
    (tiny,) = spreads(1e-200 * norms[:1])
    assert tiny.largest_share == pytest.approx(100 / 130)


def test_training_tells_how_the_tasks_norms_are_spread():
    model, theta = make_mlp()
    batch = make_batch(tasks=B)
    settings = METHOD_SETTINGS["fomaml"]
    trainer = MetaTrainer("fomaml", model, theta, settings=settings, outer_lr=0.1, aggregate="unit")
    (progress,) = trainer.step(batch)
    norms = one_by_one("fomaml", model, theta, batch).norm(dim=1)
    assert progress.spread.norm_largest == pytest.approx(float(norms.max()))
    assert progress.spread.norm_median == pytest.approx(float(norms.median()))
    share = float(norms.max() ** 2 / (norms**2).sum())
    assert progress.spread.largest_share == pytest.approx(share)
