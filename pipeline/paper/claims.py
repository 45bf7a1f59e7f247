"""What a claim is, and how its rows in `claims.csv` are made and judged.

A claim has one row per setting (or record) that tests it, and one for all of them, `setting` =
`all`. A row of a setting carries the comparison that decides it: the one in which the method
does worst. "Better" and "worse" mean p < 0.05 after Holm's correction, by the rank test and by
the mean (pipeline/tables/comparisons.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from pipeline.tables.comparisons import ALPHA, Comparisons, is_better, is_worse
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference"
HOLDS, IN_PART, FAILS = "holds", "holds in part", "does not hold"
NOT_JUDGED = "not judged"
PAPER, OURS = "paper", "ours"  # whose claim
ALL = "all"  # the setting of a claim's row over all settings

# Below any of these a run shows that the path works, not how good a method is.
LEAST_SEEDS, LEAST_UPDATES, LEAST_TASKS = 3, 1000, 50
SMOKE_RUN = "smoke run"
SEED_FAILED = "a seed failed"
NOT_COMPARED = "not compared"
NOT_MEASURED = "not measured"

CLAIM_COLUMNS = (
    *("claim", "source", "text", "setting", "dataset", "outcome", "met", "held", "cases"),
    *("step", "reference", "other", "difference", "lo", "hi", "p", "n_pairs"),
    *("value", "bound", "why", "record"),
)
_GRAVITY = (BETTER, NO_DIFFERENCE, NOT_JUDGED, WORSE)  # the last decides a setting


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or of this project.

    Attributes:
        name: the same in every grid.
        source: `PAPER` or `OURS`.
        text: what is claimed, in words.
        share: of the settings that test it, in which it has to be so.
    """

    name: str
    source: str
    text: str
    share: float = 1.0


def judge(claim: Claim, rows: Sequence[Row]) -> Row:
    """The row over all settings: a claim holds when at least its share of them meet it.

    It holds in part when any does. Rows whose `met` is missing were not judged.
    """
    met = [row["met"] for row in rows if row.get("met") is not None]
    whys = list(dict.fromkeys(row.get("why") for row in rows)) or [NOT_MEASURED]
    if not met:
        return named(claim, ALL) | {"outcome": NOT_JUDGED, "held": 0, "cases": 0, "why": whys[0]}
    held = sum(met)
    word = HOLDS if held >= ceil(claim.share * len(met)) else IN_PART if held else FAILS
    return named(claim, ALL) | {"outcome": word, "held": held, "cases": len(met)}


def by_setting(
    claim: Claim, settings: Iterable[Comparisons], row_of: Callable[[Comparisons], Row | None]
) -> list[Row]:
    """The claim over all settings, then in each that tests it; `row_of` gives None elsewhere."""
    rows = []
    for setting in settings:
        row = row_of(setting)
        if row is not None and too_small(setting.runs):
            row = {"outcome": NOT_JUDGED, "why": SMOKE_RUN}
        if row is not None:
            rows.append(named(claim, setting.runs.setting, setting.runs.dataset) | row)
    return [judge(claim, rows), *rows]


def named(claim: Claim, setting: str, dataset: str = "") -> Row:
    """The columns that say which row it is."""
    names = {"claim": claim.name, "source": claim.source, "text": claim.text}
    return names | {"setting": setting, "dataset": dataset}


def decided(
    cases: Mapping[int, Iterable[Row | None]],
    *,
    alpha: float = ALPHA,
    good: Sequence[str] = (BETTER,),
    failed: bool = False,
) -> Row:
    """What comparisons say of a claim in one setting: the columns after its names.

    Args:
        cases: by test step, the comparisons that all have to come out `good`; None for one that
            could not be made, which does not.
        alpha: bound of the corrected p value.
        failed: the method failed in a seed, and is then not called better than anything.
    """
    found = [
        (_GRAVITY.index(word), pair["difference"] if pair else 0.0, step, pair)
        for step, pairs in cases.items()
        for pair in pairs
        for word in [NOT_JUDGED if pair is None else outcome_of(pair, alpha)]
    ]
    missed = {step for gravity, _, step, _ in found if _GRAVITY[gravity] not in good}
    row: Row = {"held": 0 if failed else len(cases) - len(missed), "cases": len(cases)}
    if failed:
        return row | {"outcome": NOT_JUDGED, "met": False, "why": SEED_FAILED}
    gravity, _, step, pair = max(found, key=lambda case: case[:2])
    row |= {"outcome": _GRAVITY[gravity], "met": not missed, "step": step}
    return row | (decided_by(pair) if pair else {"why": NOT_COMPARED})


def outcome_of(row: Row, alpha: float = ALPHA) -> str:
    """Of one comparison: whether its reference is better than the other."""
    return BETTER if is_better(row, alpha) else WORSE if is_worse(row, alpha) else NO_DIFFERENCE


def decided_by(pair: Row) -> Row:
    """The columns of the comparison that decides a setting; `p` is Holm's."""
    kept = ("reference", "other", "difference", "lo", "hi", "n_pairs")
    return {name: pair[name] for name in kept} | {"p": pair["p_holm"]}


def measured(
    claim: Claim, place: str, met: bool | None, value: float | None = None, **more: object
) -> Row:
    """A row of a measurement, which needs no test; `met` None: not judged, `why` says so."""
    word = NOT_JUDGED if met is None else BETTER if met else WORSE
    return named(claim, place) | {"outcome": word, "met": met, "value": value} | more


def too_small(runs: SettingRuns) -> bool:
    """Whether a setting's runs are too few or too short to judge a claim by."""
    finished = [
        run for by_seed in runs.runs.values() for run in by_seed.values() if not is_failed(run)
    ]
    updates = [run.metrics.get("meta_updates") or 0 for run in finished]
    tasks = [run.test_rows["task"].nunique() for run in finished]
    return (
        len(runs.seeds) < LEAST_SEEDS
        or min(updates, default=0) < LEAST_UPDATES
        or min(tasks, default=0) < LEAST_TASKS
    )
