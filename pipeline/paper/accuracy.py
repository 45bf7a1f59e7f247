"""Claims on test errors, judged by the comparisons of pipeline/tables/comparisons.py.

"Better" and "worse" mean: at p < 0.05 after Holm's correction, by the rank test and by the mean.
Baselines are the paper's rivals of A-MAML that are in the grid, not its variants. A baseline
that failed in every seed is left out; a method of ours that failed in any seed is not called
better than anything. SIMULATED ratings count for no claim: their settings are not in the paper.
"""

from collections.abc import Sequence

from pipeline.config.schema import SYNTHETIC_DATASETS
from pipeline.config.titles import SIMULATED, label_title
from pipeline.paper.claims import OURS, PAPER, Verdict, after_colon, clause, judge, listed
from pipeline.tables.comparisons import ALPHA, EARLY, Comparisons, is_better, is_worse
from pipeline.tables.grid import is_failed
from pipeline.tables.main import pooled_errors

BASELINES = ("maml", "maml1", "fomaml", "reptile", "imaml")
SYNTHETIC_ALPHA = 0.01
SYNTHETIC_SHARE = 0.75  # of the synthetic settings
LATER = (10, 50, 100, 200, 500)  # test steps at which the anytime objective must not lose
Settings = Sequence[Comparisons]


def accuracy_verdicts(settings: Settings) -> list[Verdict]:
    """Verdicts on the claims of the paper, then on ours."""
    real = [setting for setting in settings if setting.runs.dataset not in SIMULATED]
    return [
        best_at_horizon(real, "amaml", PAPER),
        best_throughout(real, "amaml", PAPER),
        first_order_worse(real),
        imaml_second(real),
        *(best_at_horizon(real, label, OURS) for label in ("amaml_rkc", "amaml_anytime")),
        *(best_throughout(real, label, OURS) for label in ("amaml_rkc", "amaml_anytime")),
        *(better_on_synthetic(real, label) for label in ("amaml_rkc", "amaml_anytime")),
        anytime_not_worse(real),
        solvers_agree(real),
    ]


def not_beaten(
    setting: Comparisons, step: int, label: str, alpha: float = ALPHA
) -> list[str] | None:
    """Baselines that a method is not better than; None when it or all of them are missing."""
    rivals = [name for name in baselines(setting) if finished(setting, name)]
    if label not in setting.runs.labels or not rivals:
        return None
    if label not in setting.whole:
        return rivals
    rows = {name: setting.row(step, label, name) for name in rivals}
    return [name for name, row in rows.items() if row is None or not is_better(row, alpha)]


def baselines(setting: Comparisons) -> list[str]:
    """The paper's other methods that are in the grid."""
    return [label for label in setting.runs.labels if label in BASELINES]


def finished(setting: Comparisons, label: str) -> bool:
    """Whether a method is in the grid and finished in at least one seed."""
    return any(not is_failed(run) for run in setting.runs.runs.get(label, {}).values())


def best_at_horizon(settings: Settings, label: str, source: str) -> Verdict:
    """Better than every baseline after K steps, in every setting."""
    missed = {s: not_beaten(s, s.runs.inner_steps, label) for s in settings}
    checks = {s.runs.setting: not rivals for s, rivals in missed.items() if rivals is not None}
    smallest = [s for s in settings if s.runs.setting in checks and _is_smallest(s, label)]
    figures = (
        f"better than every baseline in {sum(checks.values())} of {len(checks)} settings; "
        f"smallest mean of it and the baselines in {len(smallest)}."
        + clause("Holds in", _held(checks))
        + _few_baselines(settings)
        + "".join(_missed(s, label, rivals) for s, rivals in missed.items() if rivals)
    )
    text = f"{label_title(label)} is better than every baseline at the trained horizon"
    return judge(
        f"best_at_horizon:{label}", source, f"{text}, in every setting", checks.values(), figures
    )


def best_throughout(settings: Settings, label: str, source: str) -> Verdict:
    """Better than every baseline at each measured step after the start; a case is a setting."""
    checks: dict[tuple[str, int], bool] = {}
    for setting in settings:
        for step in setting.runs.steps:
            rivals = not_beaten(setting, step, label) if step else None
            if rivals is not None:
                checks[setting.runs.setting, step] = not rivals
    names = list(dict.fromkeys(name for name, _ in checks))
    steps = {name: [s for (n, s), ok in checks.items() if n == name and not ok] for name in names}
    whole = {name: not steps[name] for name in names}
    figures = (
        f"better than every baseline at {sum(checks.values())} of {len(checks)} pairs of setting "
        f"and measured step; at every step in {sum(whole.values())} of {len(names)} settings"
        f"{after_colon(_held(whole))}."
        + _few_baselines(settings)
        + "".join(f" {name}: not at {listed(steps[name])}." for name in names if steps[name])
    )
    text = f"{label_title(label)} is better than every baseline throughout the test training"
    return judge(f"best_throughout:{label}", source, text, whole.values(), figures)


def first_order_worse(settings: Settings) -> Verdict:
    """FOMAML and Reptile worse than MAML at the trained horizon."""
    checks: dict[tuple[str, str], bool] = {}
    better: dict[str, list[str]] = {"fomaml": [], "reptile": []}
    for setting in settings:
        for label, names in better.items():
            row = setting.row(setting.runs.inner_steps, "maml", label)
            if row is not None:
                checks[label, setting.runs.setting] = is_better(row)
                names += [setting.runs.setting] if is_worse(row) else []
    figures = " ".join(
        f"{label_title(label)} is worse in {sum(here.values())} of {len(here)} settings"
        f"{after_colon(_held(here))}; better in {len(names)}{after_colon(names)}."
        for label, names in better.items()
        if (here := {name: ok for (method, name), ok in checks.items() if method == label})
    )
    text = "FOMAML and Reptile are worse than MAML at the trained horizon"
    return judge("first_order_worse", PAPER, text, checks.values(), figures)


def imaml_second(settings: Settings) -> Verdict:
    """Early on, iMAML worse than A-MAML and better than every other baseline."""
    checks: dict[tuple[str, int], bool] = {}
    by_mean = 0
    for setting in settings:
        others = [n for n in baselines(setting) if n != "imaml" and finished(setting, n)]
        if not others or not all(finished(setting, n) for n in ("imaml", "amaml")):
            continue
        for step in (step for step in setting.runs.steps if 0 < step <= EARLY):
            rows = [setting.row(step, "imaml", name) for name in others]
            ahead = setting.row(step, "amaml", "imaml")
            checks[setting.runs.setting, step] = bool(
                ahead is not None
                and is_better(ahead)
                and all(row is not None and is_better(row) for row in rows)
            )
            means = [setting.mean(step, name) for name in ("amaml", *others)]
            by_mean += sum(mean < setting.mean(step, "imaml") for mean in means) == 1
    figures = (
        f"so at {sum(checks.values())} of {len(checks)} pairs of setting and step "
        f"(steps 1 to {EARLY}); second smallest mean, whatever is first, at {by_mean}."
    )
    text = f"iMAML is second, behind A-MAML only, in the first {EARLY} steps"
    return judge("imaml_second_early", PAPER, text, checks.values(), figures)


def better_on_synthetic(settings: Settings, label: str) -> Verdict:
    """Better than every baseline at p < 0.01 on three quarters of the synthetic settings."""
    synthetic = [s for s in settings if s.runs.dataset in SYNTHETIC_DATASETS]
    missed = {s: not_beaten(s, s.runs.inner_steps, label, SYNTHETIC_ALPHA) for s in synthetic}
    checks = {s.runs.setting: not rivals for s, rivals in missed.items() if rivals is not None}
    figures = (
        f"{sum(checks.values())} of {len(checks)} settings at p < {SYNTHETIC_ALPHA}"
        f"{after_colon(_held(checks))}."
        + _few_baselines(synthetic)
        + "".join(_missed(s, label, rivals) for s, rivals in missed.items() if rivals)
    )
    text = (
        f"{label_title(label)} is better than every baseline at the trained horizon with "
        f"p < {SYNTHETIC_ALPHA} in three quarters of the synthetic settings"
    )
    claim = f"better_on_synthetic:{label}"
    return judge(claim, OURS, text, checks.values(), figures, share=SYNTHETIC_SHARE)


def anytime_not_worse(settings: Settings) -> Verdict:
    """The anytime objective worse than no baseline at the steps of `LATER` on CosMixture."""
    checks: dict[tuple[str, int], bool] = {}
    worse = []
    label = "amaml_anytime"
    for setting in settings:
        rivals = [name for name in baselines(setting) if finished(setting, name)]
        if setting.runs.dataset != "cosmixture" or label not in setting.runs.labels or not rivals:
            continue
        for step in (step for step in setting.runs.steps if step in LATER):
            rows = {name: setting.row(step, label, name) for name in rivals}
            ahead = [name for name, row in rows.items() if row is None or is_worse(row)]
            checks[setting.runs.setting, step] = label in setting.whole and not ahead
            worse += [f"{name} in {setting.runs.setting} after {step} steps" for name in ahead]
    figures = (
        f"worse than no baseline at {sum(checks.values())} of {len(checks)} pairs of setting and "
        f"step." + clause("Worse than", worse)
    )
    text = (
        f"{label_title(label)} is worse than no baseline after {listed(LATER)} steps on CosMixture"
    )
    return judge("anytime_not_worse", OURS, text, checks.values(), figures)


def solvers_agree(settings: Settings) -> Verdict:
    """A-MAML on either solver: means closer than the smaller of their standard errors.

    Where they are not, the interval of the paired difference tells whether more than the seeds'
    scatter sets them apart.
    """
    checks: dict[str, bool] = {}
    ratios, apart = [], ""
    for setting in settings:
        runs, step = setting.runs, setting.runs.inner_steps
        if not {"amaml", "amaml_rkc"} <= set(runs.labels):
            continue
        row = setting.row(step, "amaml", "amaml_rkc")
        stderr = min(
            pooled_errors(runs, label, step, runs.seeds)["nrmse"].stderr
            for label in ("amaml", "amaml_rkc")
        )
        ratio = abs(row["difference"]) / stderr if row and stderr > 0 else float("inf")
        checks[runs.setting] = ratio < 1
        ratios.append(f"{runs.setting} {ratio:.2g}")
        if row and ratio >= 1:
            ends = (row["difference"], row["lo"], row["hi"])
            change, lo, hi = (f"{end:+.2g}" for end in ends)
            apart += f" {runs.setting}: {change}, 95 % interval {lo} to {hi}."
    figures = (
        f"in {sum(checks.values())} of {len(checks)} settings; difference over standard error: "
        f"{listed(ratios)}.{apart}"
    )
    text = "A-MAML and A-MAML RKC differ by less than the standard error at the trained horizon"
    return judge("solvers_agree", OURS, text, checks.values(), figures)


def _is_smallest(setting: Comparisons, label: str) -> bool:
    step = setting.runs.inner_steps
    rivals = [setting.mean(step, name) for name in baselines(setting)]
    mine = setting.mean(step, label)
    return mine == mine and not any(mean <= mine for mean in rivals)


def _held(checks: dict[str, bool]) -> list[str]:
    return [name for name, held in checks.items() if held]


def _few_baselines(settings: Settings) -> str:
    """Which baselines "every baseline" means, where the grid lacks some of the paper's."""
    here = [n for n in BASELINES if any(n in baselines(setting) for setting in settings)]
    if len(here) in (0, len(BASELINES)):
        return ""
    return f" Baselines of this grid: {'; '.join(label_title(name) for name in here)}."


def _missed(setting: Comparisons, label: str, rivals: list[str]) -> str:
    """Which rivals a method is worse than at the trained horizon, and which it does not beat."""
    rows = {name: setting.row(setting.runs.inner_steps, label, name) for name in rivals}
    compared = rows if label in setting.whole else {}  # a method that failed is called no worse
    worse = [name for name, row in compared.items() if row is not None and is_worse(row)]
    rest = [name for name in rivals if name not in worse]
    parts = [f"worse than {listed(worse)}"] if worse else []
    parts += [f"not better than {listed(rest)}"] if rest else []
    return f" {setting.runs.setting}: {'; '.join(parts)}."
