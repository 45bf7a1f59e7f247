"""Our best method against item mean + user offset."""

import pytest

from pipeline.paper.claims import FAILS, HOLDS, IN_PART, UNTESTED
from pipeline.paper.ratings import (
    BEATS,
    LOSES,
    NO_DIFFERENCE,
    RATING_COLUMNS,
    rating_claim,
    rating_rows,
)
from tests.known_errors import COSMIXTURE, JESTER, LEVELS, SIMULATED, K, compared

OURS = ("amaml", "amaml_anytime", "amaml_rkc")


def rows_of(settings=(JESTER,), failed=(), **levels):
    def level(label, setting, step):
        return levels.get(label, LEVELS[label])

    return rating_rows(compared(level, settings=settings, failed=failed))


def test_a_row_by_its_comparison():
    found = compared(lambda label, *_: {"amaml_rkc": 0.2}.get(label, LEVELS[label]))
    (row,) = rating_rows(found)
    jester = next(setting for setting in found if setting.runs.setting == JESTER)
    source = jester.row(K, "amaml_rkc", "item_user_offset")
    assert set(row) == set(RATING_COLUMNS)
    assert (row["setting"], row["method"], row["verdict"]) == (JESTER, "amaml_rkc", BEATS)
    assert row["nrmse"] == pytest.approx(jester.mean(K, "amaml_rkc"))
    assert row["rmse"] == pytest.approx(2 * row["nrmse"])
    assert row["difference"] == pytest.approx(row["nrmse"] - row["offset_nrmse"])
    assert row["p_corrected"] == pytest.approx(3 * source["p"])
    assert (row["p"], row["lo"], row["picked_from"]) == (source["p"], source["lo"], 3)


@pytest.mark.parametrize(("offset", "word"), [(0.6, BEATS), (0.2, LOSES), (0.2991, NO_DIFFERENCE)])
def test_words(offset, word):
    (row,) = rows_of(item_user_offset=offset)
    assert row["verdict"] == word


@pytest.mark.parametrize(
    ("ours", "p_corrected", "word"), [(OURS, 6 / 64, NO_DIFFERENCE), (OURS[:1], 2 / 64, BEATS)]
)
def test_the_choice_of_the_best_is_paid_for(ours, p_corrected, word):
    """Six tasks, all won: p = 2/64, times the number of methods to choose from."""
    grid = {"methods": ["maml", *ours], "settings": [JESTER], "seeds": [0], "n_tasks": 6}
    (row,) = rating_rows(compared(**grid))
    assert (row["p"], row["p_corrected"], row["verdict"]) == (2 / 64, p_corrected, word)


def test_a_failed_method_is_not_picked():
    (row,) = rows_of(failed=[("amaml", JESTER, 0)], amaml=0.1)
    assert row["method"] != "amaml"
    assert row["picked_from"] == 2
    gone = [(label, JESTER, seed) for label in OURS for seed in (0, 1)]
    (row,) = rows_of(failed=gone)
    assert row["verdict"] == UNTESTED
    assert rating_claim([row]).verdict == UNTESTED


def test_only_rating_settings_have_rows_and_simulated_ones_do_not_count():
    rows = rows_of(settings=(COSMIXTURE, SIMULATED))
    assert [(row["setting"], row["simulated"]) for row in rows] == [(SIMULATED, True)]
    assert rating_claim(rows).verdict == UNTESTED


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ([BEATS, BEATS, NO_DIFFERENCE], HOLDS),
        ([BEATS, NO_DIFFERENCE, LOSES], IN_PART),
        ([NO_DIFFERENCE, LOSES], FAILS),
        ([BEATS] * 8 + [LOSES] * 4, HOLDS),
        ([BEATS] * 7 + [LOSES] * 5, IN_PART),
    ],
)
def test_two_thirds_of_the_settings(words, verdict):
    rows = [
        {"setting": f"s{i}", "dataset": "ml-1m", "simulated": False, "verdict": word}
        for i, word in enumerate(words)
    ]
    found = rating_claim(rows)
    assert (found.verdict, found.held, found.tested) == (verdict, words.count(BEATS), len(words))
    assert f"{words[0].capitalize()}: s0" in found.figures
    for word in {BEATS, NO_DIFFERENCE, LOSES}.difference(words):
        assert word.capitalize() not in found.figures


def test_another_release_stands_beside_the_papers_settings():
    def row(dataset, word):
        return {"setting": dataset, "dataset": dataset, "simulated": False, "verdict": word}

    rows = [row("ml-1m", BEATS), row("ml-100k", LOSES)]
    found = rating_claim(rows)
    assert (found.verdict, found.held, found.tested) == (HOLDS, 1, 1)
    assert found.figures == "1 of 1 settings. Better: ml-1m. Beside them: ml-100k, worse."
    alone = rating_claim(rows[1:])
    assert (alone.verdict, alone.tested) == (FAILS, 1)
