"""Three seeds in one job: who gets which tasks, what is compared, a core that cannot do it."""

import pytest
import torch

from benchmarks import measure, seeds
from benchmarks.problem import RATING_QUERY, RATING_SUPPORT, ROWS, TASKS, ratings, split
from pipeline.core import MetaTrainer

CPU = torch.device("cpu")


class OneAfterTheOther:
    """A trainer of all seeds that trains them in turn; each takes a second of its clock."""

    clock = 0.0

    def __init__(self, method, model, theta, **options):
        each = theta if theta.ndim == 2 else [theta]
        self.trainers = [MetaTrainer(method, model, one, **options) for one in each]

    def step(self, batch):
        count = len(self.trainers)
        OneAfterTheOther.clock += count
        return [
            trainer.step(
                split(
                    torch.cat([batch.support.x, batch.query.x], 1)[n * TASKS : (n + 1) * TASKS],
                    torch.cat([batch.support.y, batch.query.y], 1)[n * TASKS : (n + 1) * TASKS],
                    batch.support.y.shape[1],
                    CPU,
                )
            )
            for n, trainer in enumerate(self.trainers)
        ]


def test_each_seed_has_its_own_start_and_tasks():
    for name, rows in (("cosmixture", 2 * ROWS), ("ratings", RATING_SUPPORT + RATING_QUERY)):
        work = seeds.works(CPU)[name]
        assert work.thetas.shape == (3, work.model.n_parameters)
        assert work.y.shape == (3 * TASKS, rows)
        assert len(work.together) == 3 * TASKS
        for seed in range(3):
            mine = slice(seed * TASKS, (seed + 1) * TASKS)
            alone = work.alone(seed)
            torch.testing.assert_close(alone.query.y, work.together.query.y[mine])
            torch.testing.assert_close(alone.support.x, work.together.support.x[mine])
        assert not torch.equal(work.thetas[0], work.thetas[1])
        assert not torch.equal(work.alone(0).query.y, work.alone(1).query.y)


def test_a_user_rates_no_item_twice():
    items, _ = ratings(20)
    assert all(len(set(row)) == len(row) for row in items.tolist())


def test_one_job_is_compared_with_the_mean_of_the_seeds_alone(monkeypatch):
    monkeypatch.setattr(seeds, "MetaTrainer", OneAfterTheOther)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: OneAfterTheOther.clock)
    found = seeds.three_seeds(CPU, inner_steps=1, share=0.0)
    assert [(e["work"], e["method"]) for e in found["entries"]] == [
        ("cosmixture", "amaml_rkc"),
        ("cosmixture", "fomaml"),
        ("ratings", "amaml_rkc"),
        ("ratings", "fomaml"),
    ]
    for entry in found["entries"]:
        assert entry["together"]["median"] == pytest.approx(3)
        assert [alone["median"] for alone in entry["alone"]] == pytest.approx([1, 1, 1])
        assert entry["ratio"] == pytest.approx(3)
        assert entry["together"]["repetitions"] >= 3
    assert found["ratio"] == found["entries"][0]["ratio"]
    assert found["message"] is None


def test_a_core_that_trains_one_seed_is_told(monkeypatch):
    def refuses(method, model, theta, **options):
        raise ValueError("theta must have shape (P,)")

    monkeypatch.setattr(seeds, "MetaTrainer", refuses)
    found = seeds.three_seeds(CPU, inner_steps=1, share=0.0)
    assert found["ratio"] is None
    assert found["message"] == "3 seeds in one job: ValueError: theta must have shape (P,)"
    assert len(found["entries"]) == 4


@pytest.mark.parametrize("name", ["cosmixture", "ratings"])
def test_one_job_trains_the_same_as_the_seeds_alone(name):
    work = seeds.works(CPU)[name]
    try:
        together, alone = seeds.trainers(work, "fomaml", 3, outer_lr=1e-3)
        together.step(work.together)
    except ValueError as error:
        pytest.skip(f"pipeline.core trains one seed at a time: {error}")
    for seed, trainer in enumerate(alone):
        trainer.step(work.alone(seed))
        torch.testing.assert_close(together.theta[seed], trainer.theta)
