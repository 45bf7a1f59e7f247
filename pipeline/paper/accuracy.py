"""Claims on test errors, judged by the comparisons of pipeline/tables/comparisons.py.

Baselines are the paper's rivals of A-MAML that are in the grid, not its variants. A baseline
that failed in every seed is left out; a method of ours that failed in any seed is not called
better than anything. SIMULATED ratings count for no claim: their settings are not in the paper.
"""

from collections.abc import Callable, Sequence

import pandas as pd
from scipy import stats

from pipeline.config.methods import METHODS, TO_BEAT
from pipeline.config.predictors import ASKED_FOR
from pipeline.config.titles import OFFSET, SIMULATED, label_title
from pipeline.data.families import FAMILIES
from pipeline.paper.claims import (
    BETTER,
    NO_DIFFERENCE,
    NOT_COMPARED,
    NOT_JUDGED,
    OURS,
    PAPER,
    WORSE,
    Claim,
    by_setting,
    decided,
    decided_by,
)
from pipeline.tables.comparisons import ALPHA, EARLY, Comparisons, is_ours
from pipeline.tables.files import Row
from pipeline.tables.grid import is_failed
from pipeline.tables.main import best_trivial, pooled_error
from pipeline.tables.series import fidelity_points

BASELINES = ("maml", "maml1", "fomaml", "reptile", "imaml")
SYNTHETIC_ALPHA = 0.01
SYNTHETIC_SHARE = 0.75  # of the synthetic settings
LATER = (10, 50, 100, 200, 500)  # test steps at which the anytime objective must not lose
# The paper's "MovieLens-100K" has the 489 tasks of ml-latest-small-2016; this one stands beside.
BESIDE = ("ml-100k",)
RATED = f"The best of our methods is better than item mean + user offset with p < {ALPHA}"
RATING_CLAIM = Claim(
    "better_than_user_offset", OURS, f"{RATED} in two thirds of the paper's rating settings", 2 / 3
)
BESIDE_CLAIM = Claim(
    "better_than_user_offset:beside",
    OURS,
    f"{RATED} in two thirds of the rating settings beside the paper's",
    2 / 3,
)
BEST_CLAIM = Claim(
    "best_of_ours",
    OURS,
    "The best of our methods is better than every method that is not ours at the trained horizon "
    f"with p < {SYNTHETIC_ALPHA} on synthetic families, p < {ALPHA} elsewhere",
)
PREDICTOR_CLAIM = Claim(
    "better_than_predictors",
    OURS,
    f"The best of our methods is better than the best predictor that does not "
    f"meta-learn with p < {ALPHA}",
)
Settings = Sequence[Comparisons]


def accuracy_claims(settings: Settings) -> list[Row]:
    """Rows of the paper's claims, then of ours."""
    real = [setting for setting in settings if setting.runs.dataset not in SIMULATED]
    ours = ("amaml_rkc", "amaml_anytime")
    return [
        *best_at_horizon(real, "amaml", PAPER),
        *best_throughout(real, "amaml", PAPER),
        *worse_than_maml(real, "fomaml"),
        *worse_than_maml(real, "reptile"),
        *imaml_second(real),
        *(row for label in ours for row in best_at_horizon(real, label, OURS)),
        *(row for label in ours for row in best_throughout(real, label, OURS)),
        *(row for label in ours for row in better_on_synthetic(real, label)),
        *anytime_not_worse(real),
        *solvers_agree(real),
    ]


def best_at_horizon(settings: Settings, label: str, source: str) -> list[Row]:
    """Better than every baseline after K steps."""
    text = f"{label_title(label)} is better than every baseline at the trained horizon"
    claim = Claim(f"best_at_horizon:{label}", source, text)
    return _against_baselines(claim, settings, label, lambda s: [s.runs.inner_steps])


def best_throughout(settings: Settings, label: str, source: str) -> list[Row]:
    """Better than every baseline at each measured step after the start."""
    text = f"{label_title(label)} is better than every baseline throughout the test training"
    claim = Claim(f"best_throughout:{label}", source, text)
    return _against_baselines(claim, settings, label, lambda s: [n for n in s.runs.steps if n])


def better_on_synthetic(settings: Settings, label: str) -> list[Row]:
    """Better than every baseline at p < 0.01 on three quarters of the synthetic settings."""
    text = (
        f"{label_title(label)} is better than every baseline at the trained horizon with "
        f"p < {SYNTHETIC_ALPHA} in three quarters of the synthetic settings"
    )
    claim = Claim(f"better_on_synthetic:{label}", OURS, text, SYNTHETIC_SHARE)
    synthetic = [s for s in settings if s.runs.dataset in FAMILIES]
    return _against_baselines(
        claim, synthetic, label, lambda s: [s.runs.inner_steps], alpha=SYNTHETIC_ALPHA
    )


def anytime_not_worse(settings: Settings) -> list[Row]:
    """The anytime objective worse than no baseline at the steps of `LATER` on CosMixture."""
    label = "amaml_anytime"
    text = (
        f"{label_title(label)} is worse than no baseline on CosMixture after "
        f"{', '.join(map(str, LATER))} steps"
    )
    return _against_baselines(
        Claim("anytime_not_worse", OURS, text),
        [s for s in settings if s.runs.dataset == "cosmixture"],
        label,
        lambda s: [step for step in s.runs.steps if step in LATER],
        good=(BETTER, NO_DIFFERENCE),
    )


def _against_baselines(
    claim: Claim,
    settings: Settings,
    label: str,
    steps_of: Callable[[Comparisons], list[int]],
    *,
    alpha: float = ALPHA,
    good: Sequence[str] = (BETTER,),
) -> list[Row]:
    """A method against every baseline, at the steps that `steps_of` gives for a setting."""

    def row_of(setting: Comparisons) -> Row | None:
        others, steps = rivals(setting), steps_of(setting)
        if label not in setting.runs.labels or not others or not steps:
            return None
        cases = {step: [setting.row(step, label, name) for name in others] for step in steps}
        return decided(cases, alpha=alpha, good=good, failed=label not in setting.whole)

    return by_setting(claim, settings, row_of)


def rivals(setting: Comparisons) -> list[str]:
    """The paper's other methods that are in the grid and finished in at least one seed."""
    return [label for label in setting.runs.labels if label in BASELINES and _ran(setting, label)]


def _ran(setting: Comparisons, label: str) -> bool:
    """Whether a method is in the grid and finished in at least one seed."""
    return any(not is_failed(run) for run in setting.runs.runs.get(label, {}).values())


def worse_than_maml(settings: Settings, label: str) -> list[Row]:
    """A first-order method worse than MAML at the trained horizon: MAML better than it."""
    text = f"MAML is better than {label_title(label)} at the trained horizon"

    def row_of(setting: Comparisons) -> Row | None:
        step = setting.runs.inner_steps
        pair = setting.row(step, "maml", label)
        return decided({step: [pair]}) if pair else None

    return by_setting(Claim(f"better_than_first_order:{label}", PAPER, text), settings, row_of)


def imaml_second(settings: Settings) -> list[Row]:
    """Early on, A-MAML better than iMAML, and iMAML better than every other baseline."""
    text = f"iMAML is second, behind A-MAML only, in the first {EARLY} steps"

    def row_of(setting: Comparisons) -> Row | None:
        others = [name for name in rivals(setting) if name != "imaml"]
        steps = [step for step in setting.runs.steps if 0 < step <= EARLY]
        if not others or not steps or not all(_ran(setting, name) for name in ("imaml", "amaml")):
            return None
        pairs = [("amaml", "imaml"), *(("imaml", name) for name in others)]
        return decided({step: [setting.row(step, *pair) for pair in pairs] for step in steps})

    return by_setting(Claim("imaml_second_early", PAPER, text), settings, row_of)


def solvers_agree(settings: Settings) -> list[Row]:
    """A-MAML on either solver: means closer than the smaller of their standard errors.

    `value` is the difference over that standard error, `bound` 1.
    """
    text = "A-MAML and A-MAML RKC differ by less than the standard error at the trained horizon"
    both = "amaml", "amaml_rkc"

    def row_of(setting: Comparisons) -> Row | None:
        runs, step = setting.runs, setting.runs.inner_steps
        if not set(both) <= set(runs.labels):
            return None
        pair = setting.row(step, *both)
        stderr = min(pooled_error(runs, one, step, runs.seeds).stderr for one in both)
        ratio = abs(pair["difference"]) / stderr if pair and stderr > 0 else float("inf")
        word = NO_DIFFERENCE
        if pair and ratio >= 1:
            word = BETTER if pair["difference"] < 0 else WORSE
        row: Row = {"outcome": word, "met": ratio < 1, "step": step, "value": ratio, "bound": 1.0}
        return row | (decided_by(pair) if pair else {})

    return by_setting(Claim("solvers_agree", OURS, text), settings, row_of)


def truer_is_better(settings: Settings, training: pd.DataFrame, main: pd.DataFrame) -> list[Row]:
    """Whether methods with the truer meta-gradient have the smaller test error, by setting.

    `value` is Spearman's rank correlation of the meta-gradient's relative error late in training
    and the test nRMSE: positive where the truer gradient goes with the smaller error. All
    methods, then the baselines alone: ours are alike in both, and would decide it.
    """
    text = "A truer meta-gradient goes with a smaller test error (rank correlation above 0)"
    every = Claim("truer_is_better", OURS, text)
    alone = Claim("truer_is_better:baselines", OURS, f"{text}, among the baselines alone")
    rivals_only = main[main["label"].isin(BASELINES) | (main["kind"] != "method")]
    rows = []
    for claim, table in ((every, main), (alone, rivals_only)):
        points = fidelity_points(training, table)

        def row_of(setting: Comparisons, points: pd.DataFrame = points) -> Row | None:
            own = points[points["setting"] == setting.runs.setting]
            pairs = own[["relative_error", "nrmse"]].dropna()
            if len(pairs) < 3 or any(pairs[name].nunique() < 2 for name in pairs):
                return None
            value = float(stats.spearmanr(pairs["relative_error"], pairs["nrmse"]).statistic)
            word = BETTER if value > 0 else WORSE
            row: Row = {"outcome": word, "met": value > 0, "bound": 0.0, "value": value}
            return row | {"n_pairs": len(pairs)}

        total, *own = by_setting(claim, settings, row_of)
        values = [row["value"] for row in own if "value" in row]
        rows += [total | ({"value": sum(values) / len(values)} if values else {}), *own]
    return rows


def rating_claims(settings: Settings) -> list[Row]:
    """Does a meta-learned start beat item mean + user offset? On ratings that people gave.

    Of our methods the one with the smallest mean nRMSE on the test tasks is taken. Because it is
    picked on the tasks it is then judged by, its p value is multiplied by the number of methods
    it was picked from (Bonferroni), which no rule of picking can make too small.
    """
    rated = [s for s in settings if OFFSET in s.runs.trivial and s.runs.dataset not in SIMULATED]
    beside = [setting for setting in rated if setting.runs.dataset in BESIDE]
    own = [setting for setting in rated if setting not in beside]
    rows = by_setting(RATING_CLAIM, own, _best_of_ours)
    return rows + (by_setting(BESIDE_CLAIM, beside, _best_of_ours) if beside else [])


def predictor_claims(settings: Settings) -> list[Row]:
    """The same against the best of all predictors, where a grid asks for more than the trivial.

    That is the one with the smallest mean error on the very test tasks. Methods that do not
    meta-learn are among them.
    """
    if not (asked := _with_predictors(settings)):
        return []

    def row_of(setting: Comparisons) -> Row:
        name, error = best_trivial(setting.runs, setting.runs.seeds)
        plain = [label for label in setting.runs.labels if label in TO_BEAT]
        trained = {label: setting.mean(setting.runs.inner_steps, label) for label in plain}
        errors = {name: error} | {label: mean for label, mean in trained.items() if mean == mean}
        return _best_of_ours(setting, min(errors, key=lambda label: errors[label]))

    return by_setting(PREDICTOR_CLAIM, asked, row_of)


def best_claims(settings: Settings) -> list[Row]:
    """Our best method against every method of others, where a grid asks for more predictors.

    As above, p values are multiplied by the number of our methods.
    """
    if not (asked := _with_predictors(settings)):
        return []

    def row_of(setting: Comparisons) -> Row:
        step = setting.runs.inner_steps
        method, candidates = _best_here(setting)
        others = [label for label in setting.runs.labels if _is_others(label)]
        others = [label for label in others if _ran(setting, label)]
        if method is None or not others:
            return {"outcome": NOT_JUDGED, "why": NOT_COMPARED}
        pairs = [setting.row(step, method, other) for other in others]
        alpha = SYNTHETIC_ALPHA if setting.runs.dataset in FAMILIES else ALPHA
        return decided({step: [_of_picked(pair, candidates) for pair in pairs]}, alpha=alpha)

    return by_setting(BEST_CLAIM, asked, row_of)


def _of_picked(pair: Row | None, candidates: int) -> Row | None:
    """A comparison whose reference was picked of several."""
    return pair and pair | {"p_holm": min(1.0, pair["p_holm"] * candidates)}


def _is_others(label: str) -> bool:
    return label in METHODS and METHODS[label].role == "baseline"


def _with_predictors(settings: Settings) -> list[Comparisons]:
    """Settings of a grid that asks for more than the trivial predictors; SIMULATED ones aside."""
    return [
        setting
        for setting in settings
        if ASKED_FOR.keys() & {*setting.runs.trivial} and setting.runs.dataset not in SIMULATED
    ]


def _best_of_ours(setting: Comparisons, other: str = OFFSET) -> Row:
    step = setting.runs.inner_steps
    method, candidates = _best_here(setting)
    pair = setting.row(step, method, other) if method else None
    if pair is None:
        return {"outcome": NOT_JUDGED, "why": NOT_COMPARED}
    p = min(1.0, pair["p"] * candidates)
    signs = {pair[name] > 0 for name in ("difference", "rank_biserial")}
    word = NO_DIFFERENCE
    if p < ALPHA and len(signs) == 1:
        word = WORSE if signs == {True} else BETTER
    return decided_by(pair) | {"p": p, "outcome": word, "met": word == BETTER, "step": step}


def _best_here(setting: Comparisons) -> tuple[str | None, int]:
    """Our method with the smallest mean error at K, and of how many it is; None: none finished."""
    means = {
        label: setting.mean(setting.runs.inner_steps, label)
        for label in setting.runs.labels
        if is_ours(label)
    }
    finite = {label: mean for label, mean in means.items() if mean == mean}
    return min(finite, key=lambda label: finite[label], default=None), len(finite)
