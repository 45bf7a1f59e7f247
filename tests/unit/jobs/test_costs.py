"""Shapes, job times by hand, and times taken from records."""

from pathlib import Path

import pytest

from pipeline.jobs.costs import Recorded, Seconds, job_seconds, shape
from pipeline.runs.job import run_seeds
from pipeline.runs.recipe import Recipe
from pipeline.seals import read_sealed, write_sealed
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, make_files, recipe


class Other:
    """Costs that no record has."""

    def run(self, recipe: Recipe, seeds: int) -> Seconds:
        return Seconds(-1.0, -1.0, -1.0)

    def profile(self, recipe: Recipe) -> float:
        return -2.0

    def start(self) -> float:
        return -3.0


def test_settings_of_one_shape():
    first = recipe("imaml", SYNTHETIC, 0)
    names = {"setting": "another", "dataset": "alpine", "seed": 5, "episodes": "x", "code": "y"}
    assert shape(first | names) == shape(first)
    assert shape(recipe("imaml", meta_updates=9)) == shape(first)
    for change in (
        {"support": 9},
        {"query": 9},
        {"hidden": [9]},
        {"inner_steps": 9},
        {"method": "maml"},
        {"dtype": "float64"},
        {"settings": first["settings"] | {"cg_steps": 9}},
        {"dataset": "simulated"},  # inputs are items
        {"unheard_of": 1},
    ):
        assert shape(first | change) != shape(first), change
    assert shape(recipe("imaml", meta_batch=2)) != shape(first)


@pytest.mark.parametrize(
    ("updates", "every", "validations", "ledger", "entries"),
    [(5, 2, 3, 2, 4), (4, 2, 2, None, 0), (1, 2, 1, 3, 1), (5000, 100, 50, 1000, 6)],
)
def test_seconds_of_a_job(updates, every, validations, ledger, entries):
    training = {"meta_updates": updates, "validate_every": every, "ledger_every": ledger}
    wanted = updates * 2.0 + 3 * (validations * 0.25 + 7.0 + entries * 1.5)
    assert job_seconds([recipe(**training)] * 3, Seconds(2.0, 0.25, 7.0, 1.5)) == wanted


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Recipe, Path]]:
    """Two seeds trained together, their seconds then set by hand. Do not change them."""
    root = tmp_path_factory.mktemp("runs")
    files = [make_files(root, SYNTHETIC, seed) for seed in (0, 1)]
    recipes = [recipe("fomaml", SYNTHETIC, seed) for seed in (0, 1)]
    folders = [root / str(seed) for seed in (0, 1)]
    run_seeds(recipes, files[0][0], [file for _, file in files], folders, device="cpu")
    for folder, train, test in zip(folders, (50.0, 70.0), (3.0, 5.0), strict=True):
        metrics = read_sealed(folder / "metrics.json")
        write_sealed(
            folder / "metrics.json", metrics | {"train_seconds": train, "test_seconds": test}
        )
    return list(zip(recipes, folders, strict=True))


def test_finished_runs_say_what_the_next_will_take(runs):
    costs = Recorded(runs, "cpu", Other())
    wanted = Seconds(update=2 * 60 / 5, validation=0.0, test=4.0)  # two seeds, 5 updates
    assert costs.run(recipe("fomaml", SYNTHETIC, 7), 2) == wanted
    # the job of both took 50 + 70 s of training and 3 + 5 s of tests
    assert job_seconds([own for own, _ in runs], wanted) == pytest.approx(128)
    assert Recorded(reversed(runs), "cpu", Other()).run(runs[0][0], 2) == wanted


def test_where_no_run_says_it_another_does(runs):
    costs, other = Recorded(runs, "cpu", Other()), Seconds(-1.0, -1.0, -1.0)
    assert costs.run(runs[0][0], 1) == other
    assert costs.run(recipe("reptile"), 2) == other
    assert costs.run(recipe("fomaml", RATINGS), 2) == other
    assert Recorded(runs, "a GPU", Other()).run(runs[0][0], 2) == other
    assert (costs.profile({}), costs.start()) == (-2.0, -3.0)


def test_runs_that_are_stale_or_failed_say_nothing(runs, tmp_path):
    given, folder = runs[0]
    stale = given | {"code": "other"}
    missing = tmp_path / "missing"
    costs = Recorded([(stale, folder), (given, missing)], "cpu", Other())
    assert costs.run(given, 2).update == -1.0
    failed = tmp_path / "failed"
    failed.mkdir()
    for file in folder.iterdir():
        (failed / file.name).write_bytes(file.read_bytes())
    metrics = read_sealed(failed / "metrics.json")
    write_sealed(failed / "metrics.json", metrics | {"status": "failed"})
    assert Recorded([(given, failed)], "cpu", Other()).run(given, 2).update == -1.0
