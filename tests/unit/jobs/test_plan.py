"""Sums of a plan, with costs that are known."""

import dataclasses
import itertools
import json
import random
from dataclasses import dataclass, field

import pytest

from pipeline.jobs.costs import Seconds
from pipeline.jobs.grid import Job
from pipeline.jobs.plan import make_plan
from pipeline.jobs.plan_text import plan_text
from pipeline.runs.recipe import Recipe
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, recipe

START = 10.0
PROFILE = 700.0
DATASETS = {SYNTHETIC: "cosmixture", RATINGS: "simulated"}
# 5 updates and, one every 2, 3 validations: 5 u + n (3 v + t)
COST = {"maml": Seconds(2.0, 0.5, 7.0), "imaml": Seconds(100.0, 0.5, 7.0)}


@dataclass
class Fake:
    """Costs by method, and what was asked for."""

    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def run(self, recipe: Recipe, seeds: int) -> Seconds:
        self.asked.append((recipe["method"], recipe["setting"], seeds))
        return COST[recipe["method"]]

    def profile(self, recipe: Recipe) -> float:
        return PROFILE

    def start(self) -> float:
        return START


def train(method: str, setting: str, *seeds: int) -> Job:
    """A job that has these seeds left."""
    recipes = tuple(recipe(method, setting, seed) for seed in seeds)
    return Job("meta_train", not recipes, recipes, method, DATASETS[setting], setting)


JOBS = [
    Job("build_tasks", True, dataset="cosmixture"),
    Job("build_tasks", False, dataset="simulated"),
    train("maml", SYNTHETIC, 0, 1),
    train("maml", RATINGS),
    train("imaml", SYNTHETIC, 1),
    train("imaml", RATINGS, 0, 1),
    Job("profile_cost", False, ({"kind": "profile", "label": "maml"},), "maml"),
    Job("build_tables", False),
]
MAML, IMAML_1, IMAML_2 = (START + s for s in (10 + 2 * 8.5, 500 + 8.5, 500 + 2 * 8.5))
REST = START + (2 * START + PROFILE) + START  # tasks, profile in two processes, tables


def test_sums():
    plan = make_plan("tiny", JOBS, costs=Fake(), cores=2)
    total = plan["total"]
    assert (total["jobs"], total["done"]) == (8, 2)
    seconds = MAML + IMAML_1 + IMAML_2 + REST
    assert total["core_hours"] * 3600 == pytest.approx(seconds)
    hours = {row["method"]: row["core_hours"] * 3600 for row in plan["methods"]}
    assert hours == pytest.approx({"maml": MAML, "imaml": IMAML_1 + IMAML_2})
    assert {row["method"]: row["update_seconds"] for row in plan["methods"]} == {
        "maml": [2.0, 2.0],
        "imaml": [100.0, 100.0],
    }
    hours = {row["dataset"]: row["core_hours"] * 3600 for row in plan["datasets"]}
    assert hours == pytest.approx({"cosmixture": MAML + IMAML_1, "simulated": IMAML_2})
    counts = {row["rule"]: (row["jobs"], row["done"]) for row in plan["rules"]}
    assert counts == {
        "build_tasks": (2, 1),
        "meta_train": (4, 1),
        "profile_cost": (1, 0),
        "build_tables": (1, 0),
    }
    assert total["longest_job"]["job"] == "profile_cost maml"
    assert total["longest_job"]["hours"] * 3600 == pytest.approx(2 * START + PROFILE)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"cores": 1}, MAML + IMAML_1 + IMAML_2 + REST),
        # the longest first, each to the core that is free: 720 + 37 + 10 + 10 | 527 + 518.5
        ({"cores": 2}, IMAML_2 + IMAML_1),
        ({"cores": 100}, 2 * START + PROFILE),
        ({"cores": 100, "one_at_a_time": True}, MAML + IMAML_1 + IMAML_2 + REST),
    ],
)
def test_wall_time(options, wanted):
    plan = make_plan("tiny", JOBS, costs=Fake(), **options)
    assert plan["total"]["wall_hours"] * 3600 == pytest.approx(wanted)


def test_a_shape_is_asked_for_once():
    costs = Fake()
    twins = [
        train("maml", SYNTHETIC, 0, 1),
        Job(
            "meta_train",
            False,
            tuple(recipe("maml", SYNTHETIC, seed) | {"setting": "twin"} for seed in (0, 1)),
            "maml",
            "cosmixture",
            "twin",
        ),
        train("maml", SYNTHETIC, 2),
        train("maml", RATINGS, 0, 1),
    ]
    make_plan("tiny", twins, costs=costs)
    assert sorted((method, seeds) for method, _, seeds in costs.asked) == [
        ("maml", 1),
        ("maml", 2),
        ("maml", 2),
    ]


def test_nothing_left_asks_for_nothing_and_takes_no_time():
    class Refusing(Fake):
        def start(self) -> float:
            raise AssertionError

    jobs = [train("maml", SYNTHETIC), Job("build_tables", True)]
    plan = make_plan("tiny", jobs, costs=Refusing())
    assert (plan["total"]["core_hours"], plan["total"]["wall_hours"]) == (0, 0)
    assert plan["total"]["longest_job"] is None
    assert "2 jobs, 2 done, 0 left: 0.00 core-hours" in plan_text(plan)


def test_counts_without_times():
    plan = make_plan("tiny", JOBS)
    assert plan["total"] == {
        "jobs": 8,
        "done": 2,
        "core_hours": None,
        "wall_hours": None,
        "longest_job": None,
    }
    text = plan_text(plan)
    assert "Grid 'tiny': 8 jobs, 2 done, 6 left.\n" in text
    assert "projected" not in text
    assert "meta-update" not in text


def test_order_of_jobs_changes_no_byte():
    texts = set()
    for number in range(5):
        jobs = list(JOBS)
        random.Random(number).shuffle(jobs)
        plan = make_plan("tiny", jobs, costs=Fake())
        texts.add((json.dumps(plan), plan_text(plan)))
    assert len(texts) == 1


def test_text_holds_every_row():
    text = plan_text(make_plan("tiny", JOBS, costs=Fake(), cores=3))
    rows = [line.split() for line in text.splitlines()]
    assert ["maml", "(MAML,", "unrolled)", "2", "1", "2000", "37", "s"] in rows
    assert ["meta_train", "4", "1", "18", "min"] in rows
    assert ["SIMULATED", "ratings", "2", "1", "9", "min"] in rows
    assert "on 3 cores." in text
    assert "Longest job: profile_cost maml, 12 min." in text
    assert all(line == line.rstrip() and len(line) <= 100 for line in text.splitlines())


def test_every_rule_has_its_place():
    orders = itertools.permutations([Job("build_tables", True), Job("download", True)])
    plans = [make_plan("tiny", jobs) for jobs in orders]
    assert plans[0] == plans[1]
    assert [row["rule"] for row in plans[0]["rules"]] == ["download", "build_tables"]


def test_data_of_ones_own_have_no_other_title():
    job = dataclasses.replace(train("maml", SYNTHETIC), dataset="sensors")
    text = plan_text(make_plan("own", [job]))
    assert ["sensors", "1", "1"] in [line.split() for line in text.splitlines()]
