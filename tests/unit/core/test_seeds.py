"""Several seeds in one batch: each one's numbers are those of its own run, to rounding."""

import re

import pytest
import torch
from torch import Tensor

from pipeline.core import METHODS, Diverged, MetaTrainer, SeedsDiverged, TaskBatch, meta_gradient
from pipeline.core.seeds import put, rows_of, take
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from tests.unit.core.problems import FLOWS, METHOD_SETTINGS, make_batch, make_mlp

# one seed's step sizes must not be another's: an easy, a usual and a stiff one
SCALES = (0.3, 1.0, 2.5)
LOOSE = {"rtol": 1e-3, "atol": 1e-5}


def thetas() -> Tensor:
    return torch.stack([scale * make_mlp(seed=k)[1] for k, scale in enumerate(SCALES)])


def batches() -> list[TaskBatch]:
    return [make_batch(seed=seed) for seed in range(len(SCALES))]


def joined(parts: list[TaskBatch]) -> TaskBatch:
    """The tasks of all, seed by seed."""
    sides = [
        torch.cat([getattr(getattr(part, side), name) for part in parts])
        for side in ("support", "query")
        for name in ("x", "y")
    ]
    return TaskBatch.from_arrays(*sides)


def item_batch(seed: int, items: int = 9) -> TaskBatch:
    g = torch.Generator().manual_seed(seed)
    sx, qx = torch.randint(items, (3, 6), generator=g), torch.randint(items, (3, 5), generator=g)
    sy, qy = (torch.randn(3, n, generator=g, dtype=torch.float64) for n in (6, 5))
    return TaskBatch.from_arrays(sx, sy, qx, qy)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_a_seed_among_others_is_as_if_alone(self, method):
        model, settings = make_mlp()[0], dict(METHOD_SETTINGS[method])
        if method in FLOWS:
            settings |= LOOSE | {"horizon": 4.0}  # seeds take different steps
        together = meta_gradient(method, model, thetas(), joined(batches()), **settings)
        for seed, (theta, batch) in enumerate(zip(thetas(), batches(), strict=True)):
            alone = meta_gradient(method, model, theta, batch, **settings)
            close(together.gradient[seed], alone.gradient)
            close(take(together.adapted, (seed,), 3), alone.adapted)
            close(take(together.query_loss, (seed,), 3), alone.query_loss)
            counted = ("gradients", "hvps", "radius_hvps", "accepted", "rejected", "kept_states")
            for name in counted:
                assert getattr(together.works[seed], name) == getattr(alone.work, name), name

    def test_item_indices(self, method):
        model, _ = make_mlp(features=9)
        theta = torch.stack([make_mlp(features=9, seed=seed)[1] for seed in range(3)])
        parts = [item_batch(seed) for seed in range(3)]
        settings = METHOD_SETTINGS[method]
        together = meta_gradient(method, model, theta, joined(parts), **settings)
        for seed in range(3):
            alone = meta_gradient(method, model, theta[seed], parts[seed], **settings)
            close(together.gradient[seed], alone.gradient)
            close(take(together.adapted, (seed,), 3), alone.adapted)

    @pytest.mark.parametrize("optimiser", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
    def test_training(self, method, optimiser):
        """Five updates with solver memory; a seed leaves after the third."""
        model, settings = make_mlp()[0], dict(METHOD_SETTINGS[method])
        options = {"settings": settings, "outer_lr": 1e-2, "optimiser": optimiser}
        alone = [MetaTrainer(method, model, theta, **options) for theta in thetas()]
        together = MetaTrainer(method, model, thetas(), **options)
        staying = [0, 1, 2]
        for update in range(5):
            if update == 3:
                together.keep([2, 0])
                staying = [2, 0]
            draws = [make_batch(seed=10 * update + seed) for seed in range(3)]
            found = together.step(joined([draws[seed] for seed in staying]))
            for seed, progress in zip(staying, found, strict=True):
                (wanted,) = alone[seed].step(draws[seed])
                assert progress.update == wanted.update == update + 1
                assert progress.meta_loss == pytest.approx(wanted.meta_loss, rel=1e-9)
                assert progress.gradient_norm == pytest.approx(wanted.gradient_norm, rel=1e-8)
                assert progress.change == pytest.approx(wanted.change, rel=1e-8)
        for place, seed in enumerate(staying):
            close(together.theta[place], alone[seed].theta)


@pytest.mark.parametrize(
    "change",
    [
        {"backward": "discrete"},
        {"backward": "discrete", "solver": "bosh3", "omega": 0.5},
        {"backward": "backsolve", "horizon": 0.3},
        {"solver": "rk4", "omega": 0.5, "regulariser": 0.3},
        {"memory_mb": 0.8, "omega": 0.5},
        {"backward": "euler", "omega": 0.5},
        {"backward": "released", "regulariser": 0.3, "outer_regulariser": 0.4},
    ],
)
def test_forms_of_amaml(change):
    settings = LOOSE | {"horizon": 2.0, "step": 0.02} | change
    together = meta_gradient("amaml", make_mlp()[0], thetas(), joined(batches()), **settings)
    for seed, (theta, batch) in enumerate(zip(thetas(), batches(), strict=True)):
        alone = meta_gradient("amaml", make_mlp()[0], theta, batch, **settings)
        close(together.gradient[seed], alone.gradient)


@pytest.mark.parametrize("memory_mb", [0.25, 0.4, 100.0])
def test_chebyshev_under_a_budget_with_regulariser_and_rejections(memory_mb):
    memory, others = ChebyshevMemory(), [ChebyshevMemory() for _ in SCALES]
    for one, seeds in ((memory, 3), *((other, 1) for other in others)):
        one.first_steps = [8.0] * seeds  # far too long: the first steps are rejected
        one.radius.values = [0.0] * seeds
    settings = LOOSE | {"horizon": 9.0, "omega": 0.5, "regulariser": 0.2}
    model = make_mlp()[0]
    together = meta_gradient(
        *("amaml_rkc", model, thetas(), joined(batches())),
        memory=memory, memory_mb=memory_mb, **settings,
    )  # fmt: skip
    assert sum(work.rejected for work in together.works) > 0
    assert together.works[0].accepted != together.works[2].accepted
    assert together.works[0].kept_bytes <= memory_mb * 1e6
    for seed, (theta, batch) in enumerate(zip(thetas(), batches(), strict=True)):
        alone = meta_gradient("amaml_rkc", model, theta, batch, memory=others[seed], **settings)
        close(together.gradient[seed], alone.gradient)
        assert together.works[seed].accepted == alone.work.accepted
        assert together.works[seed].rejected == alone.work.rejected
    close(torch.tensor(memory.first_steps), torch.tensor([m.first_steps[0] for m in others]))


@pytest.mark.parametrize("method", ["amaml_rkc", "amaml", "fomaml"])
def test_a_seed_that_diverges_is_named_and_the_others_go_on(method):
    model, settings = make_mlp()[0], METHOD_SETTINGS[method]
    start = thetas()
    parts = batches()
    wild = parts[1]
    parts[1] = TaskBatch.from_arrays(
        wild.support.x, wild.support.y * 1e200, wild.query.x, wild.query.y
    )
    trainer = MetaTrainer(method, model, start, settings=settings, outer_lr=1e-2)
    with pytest.raises(SeedsDiverged) as caught:
        trainer.step(joined(parts))
    assert set(caught.value.messages) == {1}
    assert re.search(r"task \d", caught.value.messages[1])
    assert isinstance(caught.value, Diverged)
    assert torch.equal(trainer.theta, start)
    assert trainer._memory.first_steps == []  # nor did the solver learn from it
    trainer.keep([0, 2])
    assert len(trainer.step(joined([parts[0], parts[2]]))) == 2
    alone = MetaTrainer(method, model, start[2], settings=settings, outer_lr=1e-2)
    alone.step(parts[2])
    close(trainer.theta[1], alone.theta)


def test_a_checkpoint_of_several_seeds_goes_on_bit_for_bit():
    def trainer() -> MetaTrainer:
        settings = METHOD_SETTINGS["amaml_rkc"]
        return MetaTrainer("amaml_rkc", make_mlp()[0], thetas(), settings=settings, outer_lr=1e-2)

    whole, first, second = trainer(), trainer(), trainer()
    draws = [joined([make_batch(seed=3 * k + s) for s in range(3)]) for k in range(4)]
    for batch in draws:
        whole.step(batch)
    for batch in draws[:2]:
        first.step(batch)
    second.load_state_dict(first.state_dict())
    for batch in draws[2:]:
        second.step(batch)
    assert torch.equal(second.theta, whole.theta)


def test_seeds_with_unequal_numbers_of_tasks_are_refused():
    with pytest.raises(ValueError, match="2 seeds and the batch 3 tasks"):
        meta_gradient(
            "fomaml", make_mlp()[0], thetas()[:2], make_batch(), **METHOD_SETTINGS["fomaml"]
        )


def test_rows_are_taken_and_put_back():
    values = torch.arange(12.0).view(6, 2)
    assert rows_of((1, 2), 2, values.device) == slice(2, 6)
    assert torch.equal(take(values, (2, 0), 3), values[[4, 5, 0, 1]])
    assert take(values, (0, 1, 2), 3) is values
    changed = put(values, (2, 0), torch.zeros(4, 2), 3)
    assert torch.equal(changed[2:4], values[2:4])
    assert not changed[[0, 1, 4, 5]].any()
    assert values.any()
