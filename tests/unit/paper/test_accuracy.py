"""Claims on errors: laid-down records under which each is met, or not, setting by setting."""

import pytest

from pipeline.paper import claims
from pipeline.paper.accuracy import accuracy_claims
from pipeline.paper.claims import (
    ALL,
    BETTER,
    CLAIM_COLUMNS,
    FAILS,
    HOLDS,
    IN_PART,
    LEAST_SEEDS,
    LEAST_TASKS,
    LEAST_UPDATES,
    NO_DIFFERENCE,
    NOT_JUDGED,
    SEED_FAILED,
    SMOKE_RUN,
    WORSE,
)
from tests.known_errors import (
    ALPINE,
    COSMIXTURE,
    JESTER,
    LEVELS,
    METHODS,
    SIMULATED,
    K,
    by_default,
    compared,
)


@pytest.fixture(autouse=True)
def small_is_enough(monkeypatch):
    """The records of these tests are small, and are judged all the same."""
    monkeypatch.setattr(claims, "LEAST_SEEDS", 2)
    monkeypatch.setattr(claims, "LEAST_UPDATES", 4)
    monkeypatch.setattr(claims, "LEAST_TASKS", 6)


def rows_of(level=by_default, **grid):
    """Rows by claim and setting."""
    rows = accuracy_claims(compared(level, **grid))
    assert all(set(row) <= set(CLAIM_COLUMNS) for row in rows)
    found = {(row["claim"], row["setting"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def totals(level=by_default, **grid):
    found = rows_of(level, **grid)
    return {claim: row for (claim, setting), row in found.items() if setting == ALL}


def changed(**levels):
    """Other mean errors of some methods, wherever `where` says so."""
    where = levels.pop("where", lambda setting, step: True)
    return lambda label, setting, step: (
        levels[label] if label in levels and where(setting, step) else LEVELS[label]
    )


def test_every_claim_holds_where_the_records_say_so():
    found = rows_of()
    every = [row for (_, setting), row in found.items() if setting == ALL]
    assert {row["outcome"] for row in every} == {HOLDS}
    best = found["best_at_horizon:amaml", ALL]
    assert (best["held"], best["cases"]) == (3, 3)
    throughout = found["best_throughout:amaml", JESTER]
    assert (throughout["held"], throughout["cases"]) == (3, 3), "the start is no training"


@pytest.mark.parametrize(
    ("claim", "level", "outcome", "held"),
    [
        # equal to a baseline is not better than it
        ("best_at_horizon:amaml", changed(imaml=0.3), FAILS, 0),
        ("best_at_horizon:amaml", changed(amaml=0.36), FAILS, 0),
        ("best_at_horizon:amaml", changed(amaml=0.36, where=lambda s, _: s == ALPINE), IN_PART, 2),
        ("best_at_horizon:amaml", changed(amaml=0.36, where=lambda _, n: n != K), HOLDS, 3),
        ("best_at_horizon:amaml_rkc", changed(amaml_rkc=0.5), FAILS, 0),
        ("best_throughout:amaml", changed(amaml=0.5, where=lambda _, n: n == 1), FAILS, 0),
        ("best_throughout:amaml", changed(amaml=0.5, where=lambda s, _: s == JESTER), IN_PART, 2),
        ("best_throughout:amaml", changed(amaml=0.5, where=lambda _, n: n == 0), HOLDS, 3),
        ("better_than_first_order:reptile", changed(reptile=0.2), FAILS, 0),
        ("better_than_first_order:fomaml", changed(reptile=0.2), HOLDS, 3),
        ("imaml_second_early", changed(maml=0.32), FAILS, 0),
        ("imaml_second_early", changed(imaml=0.25), FAILS, 0),
        ("imaml_second_early", changed(maml=0.32, where=lambda s, _: s == ALPINE), IN_PART, 2),
        ("imaml_second_early", changed(maml=0.32, where=lambda _, n: n == 50), HOLDS, 3),
        (
            "better_on_synthetic:amaml_rkc",
            changed(amaml_rkc=0.5, where=lambda s, _: s == ALPINE),
            *(IN_PART, 1),
        ),
        (
            "better_on_synthetic:amaml_rkc",
            changed(amaml_rkc=0.5, where=lambda s, _: s == JESTER),
            *(HOLDS, 2),
        ),
        ("anytime_not_worse", changed(amaml_anytime=0.34), HOLDS, 1),
        ("anytime_not_worse", changed(amaml_anytime=0.36), FAILS, 0),
        ("anytime_not_worse", changed(amaml_anytime=0.36, where=lambda _, n: n == K), FAILS, 0),
        ("solvers_agree", changed(amaml_rkc=0.36), FAILS, 0),
        ("solvers_agree", changed(amaml_rkc=0.36, where=lambda s, _: s == JESTER), IN_PART, 2),
    ],
)
def test_what_the_records_deny_is_denied(claim, level, outcome, held):
    found = totals(level)[claim]
    assert (found["outcome"], found["held"]) == (outcome, held)


def test_three_of_four_synthetic_settings_are_enough():
    settings = [f"{family}-{shots}shot" for family in ("cosmixture", "alpine") for shots in (5, 9)]
    level = changed(amaml_rkc=0.5, where=lambda setting, _: setting == settings[0])
    found = totals(level, settings=settings)["better_on_synthetic:amaml_rkc"]
    assert (found["outcome"], found["held"], found["cases"]) == (HOLDS, 3, 4)


def test_the_rival_in_which_a_method_does_worst_decides():
    level = changed(imaml=0.2, maml=0.3, where=lambda setting, _: setting == ALPINE)
    settings = compared(level)
    alpine = next(s for s in settings if s.runs.setting == ALPINE)
    found = rows_of(level)["best_at_horizon:amaml", ALPINE]
    pair = alpine.row(K, "amaml", "imaml")
    assert (found["outcome"], found["met"], found["other"]) == (WORSE, False, "imaml")
    assert all(found[name] == pair[name] for name in ("difference", "lo", "hi", "n_pairs"))
    assert (found["p"], found["step"]) == (pair["p_holm"], K)
    won = rows_of()["best_at_horizon:amaml", ALPINE]
    assert (won["outcome"], won["met"], won["other"]) == (BETTER, True, "imaml"), "the closest"
    equal = changed(imaml=0.3, where=lambda setting, _: setting == ALPINE)
    tied = rows_of(equal)["best_at_horizon:amaml", ALPINE]
    assert (tied["outcome"], tied["met"]) == (NO_DIFFERENCE, False)


def test_solvers_are_told_apart_by_their_standard_error():
    level = changed(amaml_rkc=0.36, where=lambda setting, _: setting == JESTER)
    found = rows_of(level)
    near, far = (found["solvers_agree", setting] for setting in (ALPINE, JESTER))
    assert (near["outcome"], near["met"], far["outcome"]) == (NO_DIFFERENCE, True, BETTER)
    assert near["value"] < near["bound"] == 1.0 < far["value"]


def test_what_is_not_in_the_grid_is_not_judged():
    found = totals(methods=["maml", "fomaml", "amaml"], settings=[JESTER])
    held = {claim for claim, row in found.items() if row["outcome"] == HOLDS}
    assert held == {
        *("best_at_horizon:amaml", "best_throughout:amaml", "better_than_first_order:fomaml"),
    }
    assert {row["outcome"] for claim, row in found.items() if claim not in held} == {NOT_JUDGED}


def test_simulated_ratings_count_for_no_claim():
    found = rows_of(settings=[SIMULATED])
    assert {setting for _, setting in found} == {ALL}
    assert {row["outcome"] for row in found.values()} == {NOT_JUDGED}


def test_a_method_that_failed_in_a_seed_is_not_called_better():
    found = rows_of(settings=[JESTER], failed=[("amaml", JESTER, 0)])
    row = found["best_at_horizon:amaml", JESTER]
    assert (row["outcome"], row["met"], row["why"]) == (NOT_JUDGED, False, SEED_FAILED)
    assert found["best_at_horizon:amaml", ALL]["outcome"] == FAILS
    assert found["best_at_horizon:amaml_rkc", ALL]["outcome"] == HOLDS


def test_a_baseline_that_failed_everywhere_is_left_out():
    failed = [("imaml", JESTER, seed) for seed in (0, 1)]
    found = totals(changed(imaml=0.1), settings=[JESTER], failed=failed)
    assert found["best_at_horizon:amaml"]["outcome"] == HOLDS
    assert found["imaml_second_early"]["outcome"] == NOT_JUDGED


def test_rivals_are_the_papers_methods():
    """Neither a variant of A-MAML nor MAML by a reverse sweep is a baseline of the paper."""
    level = changed(amaml_anytime=0.2, amaml_rkc=0.2, maml_sweep=0.1)
    found = totals(level, methods=[*METHODS, "maml_sweep"], settings=[JESTER])
    assert found["best_at_horizon:amaml"]["outcome"] == HOLDS


@pytest.mark.parametrize(
    ("limit", "least"), [("LEAST_SEEDS", 3), ("LEAST_UPDATES", 5), ("LEAST_TASKS", 21)]
)
def test_too_few_seeds_updates_or_tasks_are_a_smoke_run(monkeypatch, limit, least):
    monkeypatch.setattr(claims, limit, least)
    found = rows_of(settings=[COSMIXTURE])
    assert {row["outcome"] for row in found.values()} == {NOT_JUDGED}
    assert {row.get("met") for row in found.values()} == {None}
    assert found["best_at_horizon:amaml", COSMIXTURE]["why"] == SMOKE_RUN
    assert found["best_at_horizon:amaml", ALL]["why"] == SMOKE_RUN


def test_what_is_enough_to_be_judged():
    assert (LEAST_SEEDS, LEAST_UPDATES, LEAST_TASKS) == (3, 1000, 50)
