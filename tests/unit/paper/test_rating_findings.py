"""Gains over item mean + user offset in words, and as a figure."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.config.titles import OFFSET
from pipeline.figures.ratings import draw_ratings
from pipeline.figures.style import house_style, style_of
from pipeline.paper.ratings import (
    BEATS,
    LOSES,
    NO_DIFFERENCE,
    POWER,
    RATING_COLUMNS,
    least_shown,
    rating_reasons,
    rating_rows,
    ratings_finding,
    write_rating_reasons,
)
from pipeline.tables.comparisons import COMPARISON_COLUMNS
from pipeline.tables.files import csv_text
from tests.known_errors import COSMIXTURE, JESTER, LEVELS, SIMULATED, K, compared

LATEST = "ml-latest-small-2016-10shot-15val-50steps"
ML_1M = "ml-1m-10shot-15val-50steps"
ABOUT = ("setting", "dataset", "inner_steps")  # of `main.csv`
OURS = ("amaml", "amaml_anytime", "amaml_rkc")


def level(offsets, later=0.0):
    """Our errors are 0.3 at K; `offsets` are those of the offset by setting."""

    def of(label, setting, step):
        if label == OFFSET:
            return offsets.get(setting, LEVELS[label])
        return LEVELS[label] + (later if label in OURS and step == 50 else 0.0)

    return of


def tables(offsets, settings, later=0.0, failed=()):
    found = compared(level(offsets, later), settings=settings, failed=failed)
    rows = [row for setting in found for row in setting.rows]
    return (
        pd.DataFrame(rating_rows(found)),
        pd.DataFrame(rows, columns=COMPARISON_COLUMNS),
        pd.DataFrame([{name: getattr(s.runs, name) for name in ABOUT} for s in found]),
    )


def write(folder, verdicts, comparisons):
    for name, columns, table in (
        ("rating_verdicts", RATING_COLUMNS, verdicts),
        ("comparisons", COMPARISON_COLUMNS, comparisons),
    ):
        text = csv_text(columns, table.to_dict("records"))
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


OFFSETS = {JESTER: 0.6, LATEST: 0.2993, ML_1M: 0.2}  # better, no difference, worse


def test_the_sentence_counts_by_data_set(tmp_path):
    verdicts, comparisons, _ = tables(OFFSETS, (COSMIXTURE, JESTER, LATEST, ML_1M))
    assert list(verdicts["verdict"]) == [BEATS, NO_DIFFERENCE, LOSES]
    write(tmp_path, verdicts, comparisons)
    said = ratings_finding(tmp_path)
    assert "in 1 of 3 settings" in said
    assert "Jester-1 1 of 1, MovieLens latest-small (Oct. 2016) 0 of 1, MovieLens-1M 0 of 1" in said
    assert said.endswith("and is worse in 1.")


def test_each_setting_without_a_gain_has_its_reasons():
    verdicts, comparisons, _ = tables(OFFSETS, (JESTER, LATEST, ML_1M))
    text = rating_reasons(verdicts, comparisons)
    reasons = [line for line in text.splitlines() if line.startswith("- ")]
    assert [line.split("`")[1] for line in reasons] == [LATEST, ML_1M]
    at = comparisons[
        (comparisons["setting"] == LATEST)
        & (comparisons["step"] == K)
        & (comparisons["other"] == OFFSET)
    ].set_index("reference")
    row = verdicts.set_index("setting").loc[LATEST]
    mine = at.loc[row["method"]]
    assert f"smaller in {mine['wins']} of 40 pairs" in reasons[0]
    needed = least_shown(mine["difference"] / mine["d_z"], 40, 3)
    assert row["lo"] < 0 < row["hi"]
    assert f"as many show a mean of {needed:.2g} with a chance of 80 %" in reasons[0]
    assert "chance" not in reasons[1]  # it is worse: no lack of pairs
    assert "smaller in 0 of 40 pairs" in reasons[1]


@pytest.mark.parametrize(
    ("later", "words"), [(0.2, "lowest at K itself"), (-0.02, "lowest after 50 steps, not after K")]
)
def test_where_the_learning_curve_is_lowest(later, words):
    verdicts, comparisons, _ = tables({LATEST: 0.2}, (LATEST,), later)
    # the first two steps have the errors of K give or take a percent: they are put above it
    early = comparisons["step"] < K
    comparisons.loc[early, "difference"] += 0.1
    assert words in rating_reasons(verdicts, comparisons)


def test_a_mean_that_the_typical_task_does_not_follow_is_said():
    """Few tasks gain much: the interval of the mean is off zero, and the rank test sees nothing."""
    verdicts, comparisons, _ = tables({LATEST: 0.2993}, (LATEST,))
    assert "typical task" not in rating_reasons(verdicts, comparisons)
    text = rating_reasons(
        verdicts.assign(lo=-0.02, hi=-0.01), comparisons.assign(rank_biserial=-0.1)
    )
    assert "the typical task hardly differs (rank-biserial correlation -0.10)" in text
    assert "chance" not in text  # pairs are not what is lacking


def test_without_a_spread_nothing_is_said_of_it():
    verdicts, comparisons, _ = tables({LATEST: 0.2993}, (LATEST,))
    assert "nan" not in rating_reasons(verdicts, comparisons.assign(d_z=float("nan")))


def test_users_and_gains_by_data_set():
    verdicts, comparisons, _ = tables(
        {JESTER: 0.6, LATEST: 0.4, ML_1M: 0.5}, (JESTER, LATEST, ML_1M, SIMULATED)
    )
    text = rating_reasons(verdicts, comparisons)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[1] for row in rows] == ["489", "4,985", "24,983", ""]
    assert rows[-1].startswith("| SIMULATED ratings |")
    assert "Where no gain" not in text


def test_simulated_ratings_do_not_count_beside_real_ones(tmp_path):
    both = {JESTER: 0.6, SIMULATED: 0.6}
    verdicts, comparisons, _ = tables(both, (JESTER, SIMULATED))
    write(tmp_path, verdicts, comparisons)
    assert "in 1 of 1 setting (Jester-1 1 of 1)" in ratings_finding(tmp_path)
    write(tmp_path, verdicts[verdicts["setting"] == SIMULATED], comparisons)
    assert "(SIMULATED ratings 1 of 1)" in ratings_finding(tmp_path)


def test_the_least_difference_that_is_shown_by_simulation():
    """Of as many paired samples as differ by it, about the stated share is significant."""
    pairs, sd, tests = 300, 0.08, 3
    needed = least_shown(sd, pairs, tests)
    samples = needed + sd * np.random.default_rng(0).standard_normal((2000, pairs))
    shown = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05 / tests)
    assert shown == pytest.approx(POWER, abs=0.03)


def test_without_a_finished_method_the_text_says_so_and_without_ratings_it_goes(tmp_path):
    gone = [(label, JESTER, seed) for label in OURS for seed in (0, 1)]
    verdicts, comparisons, _ = tables({}, (JESTER,), failed=gone)
    write(tmp_path, verdicts, comparisons)
    write_rating_reasons(tmp_path)
    assert "None of our methods finished" in (tmp_path / "rating_verdicts.md").read_text()
    assert ratings_finding(tmp_path) is None
    write(tmp_path, verdicts.iloc[:0], comparisons)
    write_rating_reasons(tmp_path)
    assert not (tmp_path / "rating_verdicts.md").exists()


def test_the_figure_shows_our_differences_and_their_intervals():
    _, comparisons, main = tables(OFFSETS, (COSMIXTURE, JESTER, LATEST))
    with house_style():
        figure = draw_ratings(comparisons, main, [JESTER, LATEST])
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == [
        *("Jester-1", "MovieLens latest-small (Oct. 2016)")
    ]
    wanted = comparisons[(comparisons["setting"] == JESTER) & (comparisons["other"] == OFFSET)]
    drawn = {line.get_color(): line for line in figure.axes[0].get_lines()}
    for label in OURS:
        rows = wanted[wanted["reference"] == label]
        line = drawn[style_of(label).color]
        np.testing.assert_allclose(line.get_xydata(), rows[["step", "difference"]])
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert shown == {"A-MAML", "A-MAML anytime", "A-MAML RKC"}  # not the best of one step alone
    low, high = figure.axes[1].get_ylim()
    assert low < 0 < high


def test_the_figure_of_a_grid_whose_methods_failed_is_empty():
    gone = [(label, JESTER, seed) for label in OURS for seed in (0, 1)]
    _, comparisons, main = tables({}, (JESTER,), failed=gone)
    with house_style():
        (axes,) = draw_ratings(comparisons, main, [JESTER]).axes
    assert len(axes.get_lines()) >= 2  # zero, K
