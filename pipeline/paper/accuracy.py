"""Claims on test errors, judged by the comparisons of pipeline/tables/comparisons.py.

Baselines are the paper's rivals of A-MAML that are in the grid, not its variants. A baseline
that failed in every seed is left out; a method of ours that failed in any seed is not called
better than anything. SIMULATED ratings count for no claim: their settings are not in the paper.
"""

from collections.abc import Callable, Sequence

import pandas as pd
from scipy import stats

from pipeline.config.schema import SYNTHETIC_DATASETS
from pipeline.config.titles import SIMULATED, label_title
from pipeline.paper.claims import (
    BETTER,
    NO_DIFFERENCE,
    NOT_JUDGED,
    OURS,
    PAPER,
    SMOKE_RUN,
    WORSE,
    Claim,
    compared,
    decided_by,
    judge,
    named,
    too_small,
)
from pipeline.tables.comparisons import ALPHA, EARLY, Comparisons
from pipeline.tables.files import Row
from pipeline.tables.grid import is_failed
from pipeline.tables.main import pooled_errors
from pipeline.tables.series import fidelity_points

BASELINES = ("maml", "maml1", "fomaml", "reptile", "imaml")
SYNTHETIC_ALPHA = 0.01
SYNTHETIC_SHARE = 0.75  # of the synthetic settings
LATER = (10, 50, 100, 200, 500)  # test steps at which the anytime objective must not lose
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
    synthetic = [s for s in settings if s.runs.dataset in SYNTHETIC_DATASETS]
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
    cosine = [s for s in settings if s.runs.dataset == "cosmixture"]
    return _against_baselines(
        Claim("anytime_not_worse", OURS, text),
        cosine,
        label,
        lambda s: [step for step in s.runs.steps if step in LATER],
        good=(BETTER, NO_DIFFERENCE),
    )


def worse_than_maml(settings: Settings, label: str) -> list[Row]:
    """A first-order method worse than MAML at the trained horizon: MAML better than it."""
    text = f"MAML is better than {label_title(label)} at the trained horizon"
    claim = Claim(f"better_than_first_order:{label}", PAPER, text)
    rows = []
    for setting in settings:
        pair = setting.row(setting.runs.inner_steps, "maml", label)
        if pair is not None:
            rows.append(compared(claim, setting, {setting.runs.inner_steps: [pair]}))
    return [judge(claim, rows), *rows]


def imaml_second(settings: Settings) -> list[Row]:
    """Early on, A-MAML better than iMAML, and iMAML better than every other baseline."""
    text = f"iMAML is second, behind A-MAML only, in the first {EARLY} steps"
    claim = Claim("imaml_second_early", PAPER, text)
    rows = []
    for setting in settings:
        others = [name for name in rivals(setting) if name != "imaml"]
        if not others or not all(finished(setting, name) for name in ("imaml", "amaml")):
            continue
        cases = {
            step: [
                setting.row(step, "amaml", "imaml"),
                *(setting.row(step, "imaml", name) for name in others),
            ]
            for step in setting.runs.steps
            if 0 < step <= EARLY
        }
        if cases:
            rows.append(compared(claim, setting, cases))
    return [judge(claim, rows), *rows]


def solvers_agree(settings: Settings) -> list[Row]:
    """A-MAML on either solver: means closer than the smaller of their standard errors.

    `value` is the difference over that standard error, `bound` 1.
    """
    text = "A-MAML and A-MAML RKC differ by less than the standard error at the trained horizon"
    claim = Claim("solvers_agree", OURS, text)
    rows = []
    for setting in settings:
        runs, step = setting.runs, setting.runs.inner_steps
        if not {"amaml", "amaml_rkc"} <= set(runs.labels):
            continue
        row = named(claim, runs.setting, runs.dataset)
        if too_small(runs):
            rows.append(row | {"outcome": NOT_JUDGED, "why": SMOKE_RUN})
            continue
        pair = setting.row(step, "amaml", "amaml_rkc")
        stderr = min(
            pooled_errors(runs, label, step, runs.seeds)["nrmse"].stderr
            for label in ("amaml", "amaml_rkc")
        )
        ratio = abs(pair["difference"]) / stderr if pair and stderr > 0 else float("inf")
        word = (
            NO_DIFFERENCE if ratio < 1 or not pair else BETTER if pair["difference"] < 0 else WORSE
        )
        row |= {"outcome": word, "met": ratio < 1, "step": step, "value": ratio, "bound": 1.0}
        rows.append(row | (decided_by(pair) if pair else {}))
    return [judge(claim, rows), *rows]


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
    small = {s.runs.setting: too_small(s.runs) for s in settings}
    rows = []
    for claim, table in ((every, main), (alone, rivals_only)):
        own = []
        for setting, points in fidelity_points(training, table).groupby("setting", sort=False):
            pairs = points[["relative_error", "nrmse"]].dropna()
            if len(pairs) < 3 or any(pairs[name].nunique() < 2 for name in pairs):
                continue
            row = named(claim, str(setting))
            if small.get(str(setting), True):
                own.append(row | {"outcome": NOT_JUDGED, "why": SMOKE_RUN})
                continue
            value = float(stats.spearmanr(pairs["relative_error"], pairs["nrmse"]).statistic)
            met = value > 0
            row |= {"outcome": BETTER if met else WORSE, "met": met, "bound": 0.0}
            own.append(row | {"value": value, "n_pairs": len(pairs)})
        total = judge(claim, own)
        values = [row["value"] for row in own if "value" in row]
        rows += [total | ({"value": sum(values) / len(values)} if values else {}), *own]
    return rows


def baselines(setting: Comparisons) -> list[str]:
    """The paper's other methods that are in the grid."""
    return [label for label in setting.runs.labels if label in BASELINES]


def finished(setting: Comparisons, label: str) -> bool:
    """Whether a method is in the grid and finished in at least one seed."""
    return any(not is_failed(run) for run in setting.runs.runs.get(label, {}).values())


def rivals(setting: Comparisons) -> list[str]:
    """Baselines that finished in at least one seed."""
    return [name for name in baselines(setting) if finished(setting, name)]


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
    rows = []
    for setting in settings:
        others, steps = rivals(setting), steps_of(setting)
        if label in setting.runs.labels and others and steps:
            cases = {step: [setting.row(step, label, name) for name in others] for step in steps}
            failed = label not in setting.whole
            rows.append(compared(claim, setting, cases, alpha=alpha, good=good, failed=failed))
    return [judge(claim, rows), *rows]
