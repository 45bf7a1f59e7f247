"""Meta-training in one call, and outer optimisers by name."""

import pytest
import torch

from pipeline.core import METHODS, MetaTrainer, Rows, SeedsDiverged, TaskBatch, drawing, fit
from pipeline.core.meta import OPTIMISERS
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp

METHOD = "fomaml"
SETTINGS = METHOD_SETTINGS[METHOD]


@pytest.mark.parametrize("method", METHODS)
def test_fit_is_the_outer_loop_on_drawn_tasks(method: str) -> None:
    tasks = make_batch(tasks=7)
    model, theta = make_mlp()
    given = {"settings": METHOD_SETTINGS[method], "outer_lr": 1e-2}
    seen = []
    done = fit(
        method, model, theta, tasks, updates=3, meta_batch=2, seed=4, watch=seen.append, **given
    )
    trainer, draw = MetaTrainer(method, model, theta, **given), drawing(tasks, 2, seed=4)
    wanted = [trainer.step(draw(update))[0] for update in (1, 2, 3)]
    assert done.progress == seen == wanted
    assert torch.equal(done.theta, trainer.theta)
    again = fit(method, model, theta, draw, updates=3, **given)
    assert torch.equal(again.theta, done.theta)


def test_fit_learns_ragged_tasks() -> None:
    """An initialisation of tasks that differ by a shift, the half of them short."""
    g = torch.Generator().manual_seed(0)
    lengths = [12 if task % 2 else 4 for task in range(20)]
    shifts = torch.rand(20, generator=g).double()
    xs = [torch.rand(n, 1, generator=g).double() * 6 for n in lengths]
    ys = [torch.sin(x + shift).squeeze(1) for x, shift in zip(xs, shifts, strict=True)]
    rows = Rows.from_tasks(xs, ys)
    model, theta = make_mlp(features=1)
    done = fit(
        "maml_sweep",
        model,
        theta,
        TaskBatch(rows, rows),
        settings=METHOD_SETTINGS["maml_sweep"],
        updates=150,
        outer_lr=1e-2,
    )
    losses = [progress.meta_loss for progress in done.progress]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_draws_are_of_different_tasks_and_differ_by_update_and_seed() -> None:
    tasks = make_batch(tasks=6)
    place = {float(x): number for number, x in enumerate(tasks.support.x[:, 0, 0])}

    def numbers(seed: int, update: int) -> list[int]:
        drawn = drawing(tasks, 4, seed=seed)(update)
        return [place[float(x)] for x in drawn.support.x[:, 0, 0]]

    draws = [numbers(seed, update) for seed in (0, 1) for update in (1, 2, 3)]
    assert all(len(set(draw)) == 4 for draw in draws)
    assert len({tuple(draw) for draw in draws}) == 6
    assert numbers(0, 2) == draws[1]
    assert {task for draw in draws for task in draw} == set(range(6))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"updates": 0}, "updates must be"),
        ({"meta_batch": 8}, "there are 7 tasks"),
        ({"meta_batch": 0}, "meta_batch must be"),
        ({"outer_lr": 0.0}, "outer_lr must be"),
        ({"optimiser": "lbfgs"}, "optimiser must be one of adam"),
        ({"optimiser": "Adam"}, "optimiser must be one of adam"),
        ({"optimiser_settings": {"momentum": 0.9}}, "does not take {'momentum': 0.9}"),
        ({"optimiser_settings": {"eps": -1.0}}, "does not take {'eps': -1.0}"),
        ({"theta": torch.zeros(2, 59)}, "theta must have shape"),
    ],
)
def test_what_cannot_be_is_refused_before_training(change: dict, said: str) -> None:
    model, theta = make_mlp()
    given = {"theta": theta, "updates": 1, "outer_lr": 1e-2, "settings": SETTINGS} | change
    with pytest.raises(ValueError, match=said):
        fit(METHOD, model, tasks=make_batch(tasks=7), watch=pytest.fail, **given)


def test_divergence_is_said_and_progress_was_seen() -> None:
    model, theta = make_mlp()
    seen = []
    with pytest.raises(SeedsDiverged):
        fit(
            METHOD,
            model,
            theta,
            make_batch(tasks=7),
            settings=SETTINGS,
            outer_lr=1e200,
            optimiser="sgd",
            updates=5,
            watch=seen.append,
        )
    assert seen


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_seeds_with_any_optimiser_train_as_if_alone(optimiser: str) -> None:
    """Also when one of them leaves on the way."""
    model, theta = make_mlp()
    thetas = torch.stack([theta, 0.5 * theta, -theta])
    batches = [make_batch(tasks=2, seed=seed) for seed in range(6)]
    given = {"settings": SETTINGS, "outer_lr": 1e-2, "optimiser": optimiser}

    def together(update: int, seeds: tuple[int, ...]) -> TaskBatch:
        parts = [batches[(update + seed) % 6] for seed in seeds]
        return TaskBatch(_joined([p.support for p in parts]), _joined([p.query for p in parts]))

    trainer = MetaTrainer(METHOD, model, thetas, **given)
    trainer.step(together(0, (0, 1, 2)))
    trainer.step(together(1, (0, 1, 2)))
    trainer.keep([0, 2])
    resumed = MetaTrainer(METHOD, model, thetas[[0, 2]], **given)
    resumed.load_state_dict(trainer.state_dict())
    for each in (trainer, resumed):
        each.step(together(2, (0, 2)))
    assert torch.equal(trainer.theta, resumed.theta)
    for place, seed in enumerate((0, 2)):
        alone = MetaTrainer(METHOD, model, thetas[seed], **given)
        for update in range(3):
            alone.step(together(update, (seed,)))
        torch.testing.assert_close(trainer.theta[place], alone.theta, rtol=1e-12, atol=1e-14)


def test_settings_of_the_optimiser_are_its_own() -> None:
    model, theta = make_mlp()
    tasks = make_batch(tasks=5)
    given = {"settings": SETTINGS, "outer_lr": 1e-2, "optimiser": "sgd", "updates": 3}
    plain = fit(METHOD, model, theta, tasks, **given)
    heavy = fit(METHOD, model, theta, tasks, optimiser_settings={"momentum": 0.9}, **given)
    assert not torch.equal(plain.theta, heavy.theta)


def _joined(rows: list[Rows]) -> Rows:
    return Rows(*(torch.cat([getattr(part, of) for part in rows]) for of in ("x", "y", "weight")))
