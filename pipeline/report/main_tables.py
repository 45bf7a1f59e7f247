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
from pipeline.report.appendix import Links
from pipeline.report.blocks import Block, Cell, Head, Part, Row, Table, anchor, fold
from pipeline.report.columns import heading, meaning
from pipeline.report.grid_tables import GridTable, Values
from pipeline.report.numbers import number, percent, with_error

MARKS = {"best": "★", "close": "≈"}
_GAINS = ("gain_over_untrained", "gain_over_best_trivial")
_NAMES = [Head("method or predictor")]


def main_blocks(main: GridTable, links: Links) -> list[Block]:
    """The main tables, data set by data set; `main` is `main.csv`."""
    by_dataset: dict[str, dict[str, list[Values]]] = {}
    for row in sorted(main.rows, key=_order):
        by_dataset.setdefault(row["dataset"], {}).setdefault(row["setting"], []).append(row)
    blocks: list[Block] = [Part(kind="errors_reading", measure=links.measure)]
    for dataset, by_setting in by_dataset.items():
        badge = "SIMULATED" if dataset in SIMULATED else ""
        title = DATASETS.get(dataset, dataset)
        title = title.removeprefix("SIMULATED ").capitalize() if badge else title
        details = [_measures(setting, rows, badge, links) for setting, rows in by_setting.items()]
        blocks += [
            anchor(f"main-{dataset}", title, badge),
            _matrix(title, dataset, by_setting, badge, links),
            fold("All error measures, gains and seeds of each setting", details),
        ]
    return blocks


def _order(row: Values) -> tuple:
    place = KINDS.index(row["kind"]), label_order(row["label"])
    return setting_order(row["dataset"], row["setting"]), *place


def _matrix(
    title: str, dataset: str, by_setting: Mapping[str, list[Values]], badge: str, links: Links
) -> Table:
    """The primary error with another below it, settings in columns."""
    heads = []
    for setting, rows in by_setting.items():
        about = f"K = {rows[0]['inner_steps']}, {rows[0]['n_tasks']} test tasks"
        name = setting.removeprefix(f"{dataset}-").replace("-", ", ")  # to break at
        heads.append(Head(name, setting, note=about))
    at = {(row["setting"], row["label"]): row for rows in by_setting.values() for row in rows}
    kinds = {row["label"]: row["kind"] for row in at.values()}
    body = [
        Row(
            [_name(label)],
            [_both(at[s, label], links) if (s, label) in at else Cell("") for s in by_setting],
            kinds[label],
        )
        for label in sorted(
            kinds, key=lambda label: (KINDS.index(kinds[label]), label_order(label))
        )
    ]
    measure = links.measure
    caption = f"{title}: {measure.title}, and {measure.metrics[measure.beside]} below it"
    return Table(caption, _NAMES, heads, body, badge)


def _measures(setting: str, rows: list[Values], badge: str, links: Links) -> Table:
    """Every error measure of one setting, with gains and seeds."""
    measure = links.measure
    columns = (*measure.metrics, *_GAINS, "n_seeds")
    body = []
    for row in rows:
        cells = [_error(row, metric, links) for metric in measure.metrics]
        cells += [_cell(row, gain, percent(row[gain]), links) for gain in _GAINS]
        failed = f" (+{row['n_failed']} failed)" if row["n_failed"] not in ("", "0") else ""
        cells.append(_cell(row, "n_seeds", number(row["n_seeds"]) + failed, links))
        body.append(Row([_name(row["label"], row["message"])], cells, row["kind"]))
    return Table(
        f"{setting}: {rows[0]['n_tasks']} test tasks per seed; methods and the untrained start "
        f"after {rows[0]['inner_steps']} training steps, other predictors do not train. Gains "
        f"are in percent of {measure.title}, positive is better.",
        _NAMES,
        [
            Head(heading(column, measure=measure), meaning(column, measure=measure))
            for column in columns
        ],
        body,
        badge,
    )


def _both(row: Values, links: Links) -> Cell:
    """The primary error with its standard error and mark, and another error below it."""
    beside = links.measure.beside
    below = _error(row, beside, links) if row[beside] else None
    return _error(row, links.measure.name, links, below)


def _error(row: Values, metric: str, links: Links, note: Cell | None = None) -> Cell:
    """A mean with its standard error; the primary carries the mark of the paired test."""
    text = with_error(row[metric], row[f"{metric}_stderr"]) or row["status"]
    mark = ""
    if metric == links.measure.name:
        close = "close" if row["not_worse_than_best"] == "true" else ""
        mark = "best" if row["best"] == "true" else close
    return _cell(row, metric, f"{text} {MARKS[mark]}" if mark else text, links, mark, note)


def _cell(
    row: Values, column: str, text: str, links: Links, tone: str = "", note: Cell | None = None
) -> Cell:
    command = links.title("main", f"{row['setting']}/{row['label']}", column)
    return Cell(text, command, links.href("main", row), tone, note=note)


def _name(label: str, message: str = "") -> Cell:
    """A method's or predictor's name, with its label in the tooltip."""
    note = Cell(message) if message else None
    return Cell(label_title(label), title=f"label: {label}", note=note)
