"""Our best method against item mean + user offset, or the best of more predictors."""

from dataclasses import replace

import pytest

from pipeline.config.variants import told
from pipeline.paper import claims
from pipeline.paper.accuracy import (
    BESIDE_CLAIM,
    RATING_CLAIM,
    best_claims,
    predictor_claims,
    rating_claims,
)
from pipeline.paper.claims import (
    ALL,
    BETTER,
    FAILS,
    HOLDS,
    IN_PART,
    NO_DIFFERENCE,
    NOT_JUDGED,
    SMOKE_RUN,
    WORSE,
    judge,
)
from pipeline.tables.comparisons import Comparisons
from pipeline.tables.grid import REFERENCE
from tests.known_errors import COSMIXTURE, JESTER, LEVELS, METHODS, SIMULATED, K, compared

OURS = ("amaml", "amaml_anytime", "amaml_rkc")


@pytest.fixture(autouse=True)
def small_is_enough(monkeypatch):
    """The records of these tests are small, and are judged all the same."""
    monkeypatch.setattr(claims, "LEAST_SEEDS", 2)
    monkeypatch.setattr(claims, "LEAST_UPDATES", 4)
    monkeypatch.setattr(claims, "LEAST_TASKS", 6)


def rows_of(settings=(JESTER,), failed=(), **levels):
    def level(label, setting, step):
        return levels.get(label, LEVELS[label])

    return rating_claims(compared(level, settings=settings, failed=failed))


def test_a_row_by_its_comparison():
    found = compared(lambda label, *_: {"amaml_rkc": 0.2}.get(label, LEVELS[label]))
    total, row = rating_claims(found)
    jester = next(setting for setting in found if setting.runs.setting == JESTER)
    source = jester.row(K, "amaml_rkc", "item_user_offset")
    assert (row["setting"], row["reference"], row["outcome"]) == (JESTER, "amaml_rkc", BETTER)
    assert row["p"] == pytest.approx(3 * source["p"]), "of three methods the best was picked"
    assert all(row[name] == source[name] for name in ("difference", "lo", "hi", "n_pairs"))
    assert (total["setting"], total["outcome"], total["held"]) == (ALL, HOLDS, 1)


@pytest.mark.parametrize(("offset", "word"), [(0.6, BETTER), (0.2, WORSE), (0.2991, NO_DIFFERENCE)])
def test_outcomes(offset, word):
    _, row = rows_of(item_user_offset=offset)
    assert (row["outcome"], row["met"]) == (word, word == BETTER)


def test_a_failed_method_is_not_picked():
    _, row = rows_of(failed=[("amaml", JESTER, 0)], amaml=0.1)
    assert row["reference"] != "amaml"
    gone = [(label, JESTER, seed) for label in OURS for seed in (0, 1)]
    assert {row["outcome"] for row in rows_of(failed=gone)} == {NOT_JUDGED}


@pytest.mark.parametrize(("level", "word"), [(0.4, BETTER), (0.2, WORSE), (0.2991, NO_DIFFERENCE)])
def test_where_a_grid_asks_for_predictors_the_best_of_all_is_to_be_beaten(level, word):
    assert predictor_claims(compared(settings=[JESTER, COSMIXTURE])) == []
    total, row = predictor_claims([with_predictor("gaussian_items", level)])
    assert (row["other"], row["outcome"]) == ("gaussian_items", word)
    assert total["claim"] == "better_than_predictors"
    # where another is better still, that one decides
    _, row = predictor_claims([with_predictor("gaussian_items", 0.7)])
    assert (row["other"], row["outcome"]) == ("item_user_offset", BETTER)


@pytest.mark.parametrize(("level", "other"), [(0.35, "joint"), (0.5, "gaussian_items")])
def test_joint_training_is_among_the_predictors_to_beat(level, other):
    found = with_predictor("gaussian_items", 0.4, joint=level)
    _, row = predictor_claims([found])
    assert (row["other"], row["outcome"]) == (other, BETTER)


@pytest.mark.parametrize(
    ("levels", "reference", "other", "word"),
    [
        ({"amaml_rkc": 0.25}, "amaml_rkc", "imaml", BETTER),
        ({"reptile": 0.2}, "amaml_anytime", "reptile", WORSE),
        ({"amaml_rkc": 0.25, "maml_sweep": 0.2505}, "amaml_rkc", "maml_sweep", NO_DIFFERENCE),
        ({"amaml_rkc": 0.25, "joint": 0.28}, "amaml_rkc", "joint", BETTER),
    ],
)
def test_our_best_method_is_judged_against_every_other(levels, reference, other, word):
    assert best_claims(compared(settings=[JESTER])) == [], "a grid without further predictors"
    _, row = best_claims([with_predictor("gaussian_items", 0.4, **levels)])
    assert (row["reference"], row["other"], row["outcome"]) == (reference, other, word)
    assert row["met"] == (word == BETTER)


def test_being_picked_of_several_has_its_price():
    found = with_predictor("gaussian_items", 0.4, amaml_rkc=0.25)
    _, row = best_claims([found])
    source = found.row(K, "amaml_rkc", "imaml")
    assert row["p"] == pytest.approx(3 * source["p_holm"]), "of three methods of ours"


@pytest.mark.parametrize(
    ("varied", "ours"),
    [
        ({"rates": "parameter"}, True),
        ({"rates": "all", "omega": 0.2}, False),
        ({"omega": 1}, False),
    ],
)
def test_our_methods_with_learned_rates_are_ours_and_other_values_are_not(varied, ours):
    label = "amaml_rkc-varied"
    with told({label: {"base": "amaml_rkc", "varied": varied}}):
        found = with_predictor("gaussian_items", 0.4, **{label: 0.2})
        _, row = predictor_claims([found])
        assert (row["reference"] == label) == ours
        # at every step, as our methods are; the best of a step is always compared
        worse = with_predictor("gaussian_items", 0.4, **{label: 0.31})
        assert (worse.row(K, label, "fomaml") is not None) == ours
    with told({label: {"base": "reptile", "varied": {"rates": "all"}}}):
        _, row = predictor_claims([with_predictor("gaussian_items", 0.4, **{label: 0.19})])
        assert row["reference"] != label


def with_predictor(name: str, level: float, **trained: float) -> Comparisons:
    """A rating setting with one more predictor, of that mean error, and more methods."""
    (found,) = compared(
        lambda label, *_: (LEVELS | trained)[label],
        methods=[*dict.fromkeys((*METHODS, *trained))],
        settings=[JESTER],
    )
    runs, errors = found.runs, dict(found.runs.errors)
    for seed in runs.seeds:
        place = (REFERENCE, seed)
        own = errors[place]["item_user_offset", 0] * (level / LEVELS["item_user_offset"])
        errors[place] = errors[place] | {(name, 0): own}
    return Comparisons(replace(runs, trivial=(*runs.trivial, name), errors=errors))


def test_only_ratings_that_people_gave_have_rows():
    (total,) = rows_of(settings=(COSMIXTURE, SIMULATED))
    assert (total["setting"], total["outcome"]) == (ALL, NOT_JUDGED)


def test_a_smoke_run_is_not_judged(monkeypatch):
    monkeypatch.setattr(claims, "LEAST_UPDATES", 5)
    total, row = rating_claims(compared(settings=[JESTER]))
    assert (row["outcome"], row["why"], total["outcome"]) == (NOT_JUDGED, SMOKE_RUN, NOT_JUDGED)


@pytest.mark.parametrize(
    ("won", "of", "outcome"),
    [(2, 3, HOLDS), (1, 3, IN_PART), (0, 2, FAILS), (8, 12, HOLDS), (7, 12, IN_PART)],
)
def test_two_thirds_of_the_settings(won, of, outcome):
    found = judge(RATING_CLAIM, [{"met": place < won} for place in range(of)])
    assert (found["outcome"], found["held"], found["cases"]) == (outcome, won, of)


def test_another_release_stands_beside_the_papers_settings():
    beside = "ml-100k-10shot-15val-50steps"
    found = rows_of(settings=(JESTER, beside))
    by_claim = {(row["claim"], row["setting"]): row for row in found}
    assert by_claim[RATING_CLAIM.name, ALL]["cases"] == 1
    assert by_claim[BESIDE_CLAIM.name, ALL]["cases"] == 1
    assert (RATING_CLAIM.name, beside) not in by_claim
