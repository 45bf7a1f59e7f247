"""The main comparison on the page: per data set, methods in rows and settings in columns."""

from collections.abc import Mapping

from pipeline.config.titles import (
    DATASETS,
    KINDS,
    SIMULATED,
    label_order,
    label_title,
    setting_order,
)
from pipeline.report.blocks import Anchor, Block, Cell, Fold, Head, Prose, Row, Table
from pipeline.report.columns import heading, meaning
from pipeline.report.grid_tables import GridTable, Values
from pipeline.report.links import Links
from pipeline.report.numbers import number, percent, with_error
from pipeline.runs.records import METRICS

MARKS = {"best": "★", "close": "≈"}
_INTRO = (
    "<p>Mean ± standard error over the test tasks of all seeds, after K training steps on each "
    "task: nRMSE, and below it RMSE in the units of the targets. {} Below the methods stand what "
    "needs no meta-training: the untrained network, adapted alike, and predictors without a "
    "network.</p>"
)
_TESTED = (
    "★ marks the smallest mean nRMSE of a setting, ≈ the methods that are not significantly "
    "worse (paired by test task, corrected)."
)
_UNTESTED = (
    "★ marks the smallest mean nRMSE among the methods of a setting; no significance is claimed "
    "by it."
)


def main_blocks(main: GridTable, links: Links) -> list[Block]:
    """The main tables, data set by data set; `main` is `main.csv`."""
    tested = {"best", "not_worse_than_best"} <= set(main.columns)
    by_dataset: dict[str, list[Values]] = {}
    for row in sorted(main.rows, key=lambda r: setting_order(r["dataset"], r["setting"])):
        by_dataset.setdefault(row["dataset"], []).append(row)
    blocks: list[Block] = [Prose(_INTRO.format(_TESTED if tested else _UNTESTED))]
    for dataset, given in by_dataset.items():
        badge = "SIMULATED" if dataset in SIMULATED else ""
        title = DATASETS.get(dataset, dataset)
        title = title.removeprefix("SIMULATED ").capitalize() if badge else title
        blocks.append(Anchor(f"main-{dataset}", title, badge))
        settings = list(dict.fromkeys(row["setting"] for row in given))
        marks = {s: marks_of([r for r in given if r["setting"] == s], tested) for s in settings}
        blocks.append(_matrix(title, dataset, settings, given, marks, links))
        details = [
            _measures(setting, [r for r in given if r["setting"] == setting], marks[setting], links)
            for setting in settings
        ]
        blocks.append(Fold("All error measures, gains and seeds of each setting", details))
    return blocks


def short_setting(dataset: str, setting: str) -> str:
    """A setting's name without its data set, with spaces to break at."""
    return setting.removeprefix(f"{dataset}-").replace("-", ", ")


def marks_of(rows: list[Values], tested: bool) -> dict[str, str]:
    """`best` or `close` by label, of the methods of one setting.

    Without a test in the table, `best` is the smallest mean of the runs that all finished.
    """
    if tested:
        marks = {row["label"]: "close" for row in rows if row["not_worse_than_best"] == "true"}
        return marks | {row["label"]: "best" for row in rows if row["best"] == "true"}
    whole = [r for r in rows if r["kind"] == "method" and r["status"] == "ok" and r["nrmse"]]
    first = min(whole, key=lambda row: (float(row["nrmse"]), row["label"]), default=None)
    return {first["label"]: "best"} if first else {}


def _matrix(
    title: str,
    dataset: str,
    settings: list[str],
    rows: list[Values],
    marks: Mapping[str, Mapping[str, str]],
    links: Links,
) -> Table:
    at = {(row["setting"], row["label"]): row for row in rows}
    kinds = {row["label"]: row["kind"] for row in rows}
    labels = sorted(kinds, key=lambda label: (KINDS.index(kinds[label]), label_order(label)))
    heads = []
    for setting in settings:
        first = next(row for row in rows if row["setting"] == setting)
        about = f"K = {first['inner_steps']}, {first['n_tasks']} test tasks"
        heads.append(Head(short_setting(dataset, setting), setting, note=about))
    body = [
        Row(
            [name_cell(label)],
            [_both(at.get((s, label)), marks[s].get(label, ""), links) for s in settings],
            kinds[label],
        )
        for label in labels
    ]
    return Table(
        f"{title}: nRMSE, and RMSE below it",
        [Head("method or predictor")],
        heads,
        body,
        badge="SIMULATED" if dataset in SIMULATED else "",
    )


def _both(row: Values | None, mark: str, links: Links) -> Cell:
    """nRMSE with its error and mark, and RMSE below it."""
    if row is None:
        return Cell("")
    below = _cell(row, "rmse", links)
    upper = _cell(row, "nrmse", links, mark)
    return Cell(upper.text, upper.title, upper.href, mark, note=below if row["rmse"] else None)


def _cell(row: Values, metric: str, links: Links, mark: str = "") -> Cell:
    text = with_error(row[metric], row.get(f"{metric}_stderr", "")) or row["status"]
    name = f"{row['setting']}/{row['label']}"
    shown = f"{text} {MARKS[mark]}" if mark else text
    return Cell(shown, links.title("main", name, metric), links.href("main", row), mark)


def _measures(setting: str, rows: list[Values], marks: Mapping[str, str], links: Links) -> Table:
    first = rows[0]
    gains = ("gain_over_untrained", "gain_over_best_trivial")
    others = [*gains, "n_seeds"]
    body = []
    ordered = sorted(rows, key=lambda r: (KINDS.index(r["kind"]), label_order(r["label"])))
    for row in ordered:
        name = f"{setting}/{row['label']}"
        cells = [
            _cell(row, metric, links, marks.get(row["label"], "") if metric == "nrmse" else "")
            for metric in METRICS
        ]
        for column in others:
            text = percent(row[column]) if column in gains else number(row[column])
            if column == "n_seeds" and row["n_failed"] not in ("", "0"):
                text += f" (+{row['n_failed']} failed)"
            cells.append(Cell(text, links.title("main", name, column), links.href("main", row)))
        note = Cell(row["message"]) if row["message"] else None
        body.append(Row([name_cell(row["label"], note)], cells, row["kind"]))
    return Table(
        f"{setting}: {first['n_tasks']} test tasks per seed; methods and the untrained start "
        f"after {first['inner_steps']} training steps, trivial predictors do not train. Gains "
        "are in percent of nRMSE, positive is better.",
        [Head("method or predictor")],
        [Head(heading(column), meaning(column)) for column in (*METRICS, *others)],
        body,
        badge="SIMULATED" if first["simulated"] == "true" else "",
    )


def name_cell(label: str, note: Cell | None = None) -> Cell:
    """A method's or predictor's name, with its label in the tooltip."""
    return Cell(label_title(label), title=f"label: {label}", note=note)
