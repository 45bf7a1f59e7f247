"""Claims on errors: laid-down records under which each holds, holds in part, or fails."""

import pytest

from pipeline.paper.accuracy import accuracy_verdicts
from pipeline.paper.claims import FAILS, HOLDS, IN_PART, UNTESTED
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


def verdicts(level=by_default, **grid):
    found = accuracy_verdicts(compared(level, **grid))
    assert len({verdict.claim for verdict in found}) == len(found)
    return {verdict.claim: verdict for verdict in found}


def changed(**levels):
    """Other mean errors of some methods, wherever `where` says so."""
    where = levels.pop("where", lambda setting, step: True)
    return lambda label, setting, step: (
        levels[label] if label in levels and where(setting, step) else LEVELS[label]
    )


def test_every_claim_holds_where_the_records_say_so():
    found = verdicts()
    assert {verdict.verdict for verdict in found.values()} == {HOLDS}
    best = found["best_at_horizon:amaml"]
    assert (best.held, best.tested) == (3, 3)
    assert "better than every baseline in 3 of 3 settings" in best.figures
    assert found["best_throughout:amaml"].tested == 3
    # the start is no training
    assert "at 9 of 9 pairs of setting" in found["best_throughout:amaml"].figures
    assert found["better_on_synthetic:amaml_rkc"].tested == 2


@pytest.mark.parametrize(
    ("claim", "level", "verdict", "held"),
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
        ("best_throughout:amaml_anytime", changed(amaml_anytime=0.5), FAILS, 0),
        ("first_order_worse", changed(reptile=0.2), IN_PART, 3),
        ("first_order_worse", changed(reptile=0.38, fomaml=0.38), FAILS, 0),
        ("imaml_second_early", changed(maml=0.32), FAILS, 0),
        ("imaml_second_early", changed(imaml=0.25), FAILS, 0),
        ("imaml_second_early", changed(maml=0.32, where=lambda _, n: n == 1), IN_PART, 3),
        ("imaml_second_early", changed(maml=0.32, where=lambda _, n: n == 50), HOLDS, 6),
        (
            "better_on_synthetic:amaml_rkc",
            changed(amaml_rkc=0.5, where=lambda s, _: s == ALPINE),
            *(IN_PART, 1),
        ),
        ("better_on_synthetic:amaml_rkc", changed(amaml_rkc=0.5), FAILS, 0),
        (
            "better_on_synthetic:amaml_rkc",
            changed(amaml_rkc=0.5, where=lambda s, _: s == JESTER),
            *(HOLDS, 2),
        ),
        ("anytime_not_worse", changed(amaml_anytime=0.34), HOLDS, 2),
        ("anytime_not_worse", changed(amaml_anytime=0.36), FAILS, 0),
        ("anytime_not_worse", changed(amaml_anytime=0.36, where=lambda _, n: n == K), IN_PART, 1),
        (
            "anytime_not_worse",
            changed(amaml_anytime=0.36, where=lambda s, _: s != COSMIXTURE),
            *(HOLDS, 2),
        ),
        ("solvers_agree", changed(amaml_rkc=0.36), FAILS, 0),
        ("solvers_agree", changed(amaml_rkc=0.36, where=lambda s, _: s == JESTER), IN_PART, 2),
    ],
)
def test_what_the_records_deny_is_denied(claim, level, verdict, held):
    found = verdicts(level)[claim]
    assert (found.verdict, found.held) == (verdict, held)


def test_three_of_four_synthetic_settings_are_enough():
    settings = [f"{family}-{shots}shot" for family in ("cosmixture", "alpine") for shots in (5, 9)]
    level = changed(amaml_rkc=0.5, where=lambda setting, _: setting == settings[0])
    found = verdicts(level, settings=settings)["better_on_synthetic:amaml_rkc"]
    assert (found.verdict, found.held, found.tested) == (HOLDS, 3, 4)
    assert f"{settings[0]}: worse than maml" in found.figures


def test_figures_name_what_was_not_beaten():
    level = changed(imaml=0.2, where=lambda setting, _: setting == ALPINE)
    figures = verdicts(level)["best_at_horizon:amaml"].figures
    assert f"Holds in: {COSMIXTURE}, {JESTER}." in figures
    assert f"{ALPINE}: worse than imaml." in figures
    assert "smallest mean of it and the baselines in 2" in figures


def test_figures_tell_what_is_worse_from_what_is_not_better():
    level = changed(imaml=0.2, maml=0.3, where=lambda setting, _: setting == ALPINE)
    figures = verdicts(level)["best_at_horizon:amaml"].figures
    assert f"{ALPINE}: worse than imaml; not better than maml." in figures


def test_first_order_methods_that_are_better_than_maml_are_named():
    figures = verdicts(changed(reptile=0.2))["first_order_worse"].figures
    assert f"Reptile is worse in 0 of 3 settings; better in 3: {COSMIXTURE}" in figures
    assert "; better in 0. Reptile" in figures


def test_solvers_that_disagree_have_the_interval_of_their_difference():
    level = changed(amaml_rkc=0.36, where=lambda setting, _: setting == JESTER)
    (setting,) = compared(level, settings=[JESTER])
    row = setting.row(K, "amaml", "amaml_rkc")
    ends = [f"{row[name]:+.2g}" for name in ("difference", "lo", "hi")]
    figures = verdicts(level)["solvers_agree"].figures
    assert figures.endswith(f". {JESTER}: {ends[0]}, 95 % interval {ends[1]} to {ends[2]}.")
    assert "interval" not in verdicts()["solvers_agree"].figures


def test_a_grid_with_few_baselines_names_them():
    found = verdicts(methods=["maml", "imaml", "amaml"], settings=[JESTER])
    for claim in ("best_at_horizon:amaml", "best_throughout:amaml"):
        assert "Baselines of this grid: MAML, unrolled; iMAML." in found[claim].figures
    for verdict in verdicts().values():
        assert "of this grid" not in verdict.figures


def test_empty_lists_are_not_written():
    for level in (by_default, changed(amaml=0.9, amaml_rkc=0.9, amaml_anytime=0.9, maml=0.9)):
        for verdict in verdicts(level).values():
            assert "none." not in verdict.figures
            assert ": ." not in verdict.figures


def test_what_is_not_in_the_grid_is_not_tested():
    found = verdicts(methods=["maml", "fomaml", "amaml"], settings=[JESTER])
    words = {claim: verdict.verdict for claim, verdict in found.items()}
    assert words.pop("best_at_horizon:amaml") == HOLDS
    assert words.pop("best_throughout:amaml") == HOLDS
    assert words.pop("first_order_worse") == HOLDS
    assert set(words.values()) == {UNTESTED}
    assert {found[claim].figures for claim in words} == {""}


def test_simulated_ratings_count_for_no_claim():
    found = verdicts(settings=[SIMULATED])
    assert {verdict.verdict for verdict in found.values()} == {UNTESTED}


def test_a_method_that_failed_in_a_seed_is_not_called_better():
    failed = [("amaml", JESTER, 0)]
    found = verdicts(settings=[JESTER], failed=failed)
    assert found["best_at_horizon:amaml"].verdict == FAILS
    assert found["best_throughout:amaml"].verdict == FAILS
    assert found["best_at_horizon:amaml_rkc"].verdict == HOLDS


def test_a_baseline_that_failed_everywhere_is_left_out():
    failed = [("imaml", JESTER, seed) for seed in (0, 1)]
    level = changed(imaml=0.1)
    found = verdicts(level, settings=[JESTER], failed=failed)
    assert found["best_at_horizon:amaml"].verdict == HOLDS
    assert found["imaml_second_early"].verdict == UNTESTED


def test_rivals_are_the_papers_methods():
    """Neither a variant of A-MAML nor MAML by a reverse sweep is a baseline of the paper."""
    level = changed(amaml_anytime=0.2, amaml_rkc=0.2, maml_sweep=0.1)
    methods = [*METHODS, "maml_sweep"]
    found = verdicts(level, methods=methods, settings=[JESTER])
    assert found["best_at_horizon:amaml"].verdict == HOLDS
