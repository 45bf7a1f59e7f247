"""What can and cannot explain the paper's rating errors: one paragraph per data set, from rows.

Every number is computed from `audit.csv`; what is said of it follows from whether it lies
within a factor `NEAR` of `paper_numbers.PAPER_EXAMPLE`.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from pipeline.config.titles import DATASETS, TRIVIAL, UNTRAINED, counted, label_title
from pipeline.config.variants import variant_of
from pipeline.paper.numbers import PAPER_EXAMPLE, PAPER_TASKS
from pipeline.tables.audit import READINGS
from pipeline.tables.other_grids import TASK_COUNTS

NEAR = 2.0  # a factor: our numbers and the paper's are of one order of magnitude
RELEASES = {"ml-latest-small-2016": "ml-100k", "ml-100k": "ml-latest-small-2016"}


def is_near(value: float) -> bool:
    """Whether a value lies within a factor `NEAR` of the paper's example."""
    return PAPER_EXAMPLE / NEAR <= value <= PAPER_EXAMPLE * NEAR


def nearness(rows: pd.DataFrame, reading: str) -> str:
    """Whether a reading comes near for `every`, `some` or `no` row that has a number."""
    near = [is_near(value) for value in rows[reading].dropna()]
    return "every" if near and all(near) else "some" if any(near) else "no"


def paragraph(rows: pd.DataFrame, dataset: str, companions: Mapping[str, pd.DataFrame]) -> str:
    """The paragraph of one data set.

    Args:
        rows: `audit.csv` of all data sets (`audit.audited`).
        companions: `main.csv` of companion grids, by grid.
    """
    own = rows[rows["dataset"] == dataset]
    methods = own[(own["kind"] == "method") & own["nrmse"].notna()]
    if methods.empty:
        return f"No method finished on {DATASETS.get(dataset, dataset)}."
    sentences = [
        _gap(own, methods, dataset),
        *_readings(own, methods),
        _scales(own, methods),
        _seen_rows(methods),
        _release(rows, dataset),
        *_thresholds(own, dataset, companions),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def span(values: Iterable[float]) -> str:
    """Least and largest of some numbers as text, one number where they print alike."""
    there = [value for value in values if pd.notna(value)]
    if not there:
        return "unknown"
    low, high = (f"{value:.2g}" for value in (min(there), max(there)))
    return low if low == high else f"{low} to {high}"


def _gap(own: pd.DataFrame, methods: pd.DataFrame, dataset: str) -> str:
    simulated = " The ratings are SIMULATED: the paper has none such." if _simulated(own) else ""
    name, trivial = _best_trivial(own)
    beside = f"; {label_title(name)}, a trivial predictor, has {span(trivial['nrmse'])}"
    return (
        f"{DATASETS.get(dataset, dataset)}: the methods' nRMSE is {span(methods['nrmse'])} over "
        f"{counted(methods['setting'].nunique(), 'setting')}, "
        f"{span(methods['nrmse'] / PAPER_EXAMPLE)} times the {PAPER_EXAMPLE} that stands for the "
        f"paper's order of magnitude{beside if name else ''}.{simulated}"
    )


def _readings(own: pd.DataFrame, methods: pd.DataFrame) -> list[str]:
    found = {name: nearness(methods, name) for name in READINGS}
    sentences = []
    for how, where in (
        ("every", "for every method and setting"),
        ("some", "for some methods or settings only"),
    ):
        names = [name for name, near in found.items() if near == how]
        if names:
            each = "; ".join(f"{READINGS[name].text}: {span(methods[name])}" for name in names)
            sentences.append(f"Within a factor {NEAR:g} of it come, {where}: {each}.")
    far = sum(near == "no" for near in found.values())
    if far == len(found):
        return [f"None of the {len(found)} readings comes within a factor {NEAR:g} of it."]
    if far:
        sentences.append(f"The other {far} readings do not come near for any.")
    name, trivial = _best_trivial(own)
    close = [reading for reading, near in found.items() if near != "no"]
    alike = [reading for reading in close if name and nearness(trivial, reading) != "no"]
    if alike:
        which = "Read so" if len(close) == 1 else f"In {len(alike)} of these {len(close)} readings"
        sentences.append(
            f"{which}, {label_title(name)} comes near as well: such a number would not speak for "
            "meta-learning."
        )
    return sentences


def _scales(own: pd.DataFrame, methods: pd.DataFrame) -> str:
    left_out, tasks = int(own["tasks_without_spread"].max()), int(own["n_tasks"].max())
    parts = [
        f"dividing by the range gives {_with_verdict(methods, 'rmse_over_range')}",
        f"dividing by the task's own sd {_with_verdict(methods, 'rmse_over_own_std')} "
        f"({left_out} of {tasks} test tasks have no spread and are left out)",
    ]
    return f"As for the scale, {', '.join(parts)}."


def _seen_rows(methods: pd.DataFrame) -> str:
    alone = nearness(methods, "seen_rows_nrmse")
    text = (
        "Rows seen in training among the query rows would give "
        f"{span(methods['all_rows_nrmse'])}, and the seen rows alone "
        f"{span(methods['seen_rows_nrmse'])}"
    )
    if alone == "no":
        return f"{text}: a leak of support rows cannot explain the gap."
    return f"{text}: a leak of support rows could explain it {_HOW[alone]}."


def _release(rows: pd.DataFrame, dataset: str) -> str:
    """The best method's nRMSE against that on the other release, setting by setting."""
    other = RELEASES.get(dataset)
    best = rows[(rows["kind"] == "method")].groupby(["dataset", "setting"])["nrmse"].min()
    if other is None or other not in best.index or dataset not in best.index:
        return ""
    here, there = (
        {str(setting).removeprefix(f"{name}-"): value for setting, value in best[name].items()}
        for name in (dataset, other)
    )
    both = sorted(here.keys() & there.keys())
    changes = [100 * (there[name] / here[name] - 1) for name in both]
    changes = [change for change in changes if pd.notna(change)]
    if not changes:
        return ""
    low, high = f"{min(changes):+.1f}", f"{max(changes):+.1f}"
    return (
        f"The release matters little at this scale: on {DATASETS[other]} the lowest nRMSE differs "
        f"by {low if low == high else f'{low} to {high}'} % ({counted(len(changes), 'setting')})."
        if max(map(abs, changes)) < 100 * (NEAR - 1)
        else f"On {DATASETS[other]} the lowest nRMSE differs by {low} to {high} %."
    )


def _thresholds(
    own: pd.DataFrame, dataset: str, companions: Mapping[str, pd.DataFrame]
) -> list[str]:
    sentences = []
    counts = {least: own[f"users_at_{least}"].iloc[0] for least in (10, 20)}
    if all(pd.notna(count) for count in counts.values()):
        each = " and ".join(f"{int(count):,} at least {n}" for n, count in counts.items())
        sentences.append(
            f"Users by their ratings of the 100 most-rated items: {each}{_paper_tasks(dataset)}."
        )
    for label, before, after in _threshold_effects(dataset, companions):
        sentences.append(
            f"Keeping only users with 20 ratings moves the nRMSE of {label_title(label)} from "
            f"{before:.3g} to {after:.3g}: the threshold "
            + ("cannot" if abs(after / before - 1) < (NEAR - 1) / NEAR else "may")
            + " explain a gap of that size."
        )
    return sentences


def _paper_tasks(dataset: str) -> str:
    """Which threshold gives the number of tasks that the paper states, if it states one."""
    said = PAPER_TASKS.get(dataset)
    if said is None:
        return ""
    meant = [least for least, count in TASK_COUNTS[dataset].items() if count == said]
    which = f"the threshold of {meant[0]} gives" if meant else "neither is"
    return f" ({which} the paper's {said:,} tasks, for which it names the threshold 20)"


def _threshold_effects(
    dataset: str, companions: Mapping[str, pd.DataFrame]
) -> list[tuple[str, float, float]]:
    """(method, nRMSE at our threshold, at the paper's) where companion grids have both."""
    if not companions:
        return []
    every = pd.concat(companions.values(), ignore_index=True)
    every = every[(every["dataset"] == dataset) & (every["kind"] == "method")]
    every = every[every["nrmse"].notna()]
    effects = []
    for _, row in every.iterrows():
        variant = variant_of(row["setting"])
        if variant is None or variant.switched != ["threshold"]:
            continue
        base = every[(every["setting"] == variant.base) & (every["label"] == row["label"])]
        if len(base):
            effects.append((row["label"], float(base["nrmse"].iloc[0]), float(row["nrmse"])))
    return effects


def _best_trivial(own: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The trivial predictor with the smallest mean nRMSE over settings, and its rows."""
    trivial = own[own["kind"] == "trivial"]
    means = trivial.groupby("label", sort=True)["nrmse"].mean().dropna()
    name = str(means.idxmin()) if len(means) else ""
    return name, trivial[trivial["label"] == name]


def _with_verdict(methods: pd.DataFrame, reading: str) -> str:
    return f"{span(methods[reading])}, near {_HOW[nearness(methods, reading)]}"


def _simulated(own: pd.DataFrame) -> bool:
    return bool(own["simulated"].iloc[0])


_HOW = {"every": "for every method", "some": "for some", "no": "for none"}


# `audit.md`: the metric audit for people, a paragraph and a table of readings per data set.


def audit_markdown(grid: str, rows: pd.DataFrame, companions: Mapping[str, pd.DataFrame]) -> str:
    """The audit as Markdown.

    Args:
        grid: name of the grid.
        rows: `audit.csv` (`audit.audited`), in the order to show.
        companions: `main.csv` of companion grids, by grid.
    """
    lines = [
        f"# Metric audit, grid `{grid}`",
        "",
        "The paper does not define its nRMSE and prints values of the order of "
        f"{PAPER_EXAMPLE} for rating data. Here every reading of it that we could think of is "
        "computed on the same held-out rows. e is the error and y the target of a task's n query "
        "rows, sd and range are those of the meta-training targets and the rating scale; means "
        "over test tasks and seeds. The paper's numbers are no target, and nothing is tuned "
        "toward them.",
    ]
    for dataset in dict.fromkeys(rows["dataset"]):
        own = rows[rows["dataset"] == dataset]
        simulated = " (SIMULATED data)" if own["simulated"].iloc[0] else ""
        lines += ["", f"## {DATASETS.get(dataset, dataset)}{simulated}", ""]
        lines += [paragraph(rows, dataset, companions), "", *_table(own)]
    return "\n".join(lines) + "\n"


def _table(own: pd.DataFrame) -> list[str]:
    """Readings x predictors: least to largest over settings, `*` where one comes near."""
    trivial = [name for name in TRIVIAL if name in set(own["label"])]
    groups = {
        "methods": own[own["kind"] == "method"],
        **{label: own[own["label"] == label] for label in (UNTRAINED, *trivial)},
    }
    titles = ["reading", *("methods" if g == "methods" else label_title(g) for g in groups)]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for name, reading in READINGS.items():
        cells = [_cell(rows[name]) for rows in groups.values()]
        text = reading.text.replace("|", r"\|")
        lines.append("| " + " | ".join([text, *cells]) + " |")
    settings = ", ".join(f"`{setting}`" for setting in dict.fromkeys(own["setting"]))
    return [
        *lines,
        "",
        f"Least to largest over {settings}; \\* where one lies within a factor 2 of "
        f"{PAPER_EXAMPLE}.",
    ]


def _cell(values: pd.Series) -> str:
    there = values.dropna()
    if there.empty:
        return ""
    return span(there) + (r" \*" if any(is_near(value) for value in there) else "")
