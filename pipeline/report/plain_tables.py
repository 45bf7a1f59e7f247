"""Any other table on the page, as it stands: key columns first, errors beside their means."""

from pipeline.config.tables import TABLES
from pipeline.config.titles import DATASETS, SIMULATED, label_title
from pipeline.report.blocks import Block, Cell, Fold, Head, Row, Table
from pipeline.report.columns import heading, meaning
from pipeline.report.evidence import LABEL_COLUMNS
from pipeline.report.grid_tables import GridTable, Values
from pipeline.report.links import Links
from pipeline.report.numbers import as_float, number, with_error

LONGEST_TEXT = 160  # characters of a text that is shown whole
FOLDED = 30  # rows from which a table is behind a fold
MOST_CELLS = 4000  # that one table puts on the page; the rest stays in the CSV
_INTERVAL = {"difference", "effect"}  # columns that `lo` and `hi` belong to
# what a reader wants to see before a wide table has to be moved
_FIRST = ("outcome", "method", "label", "nrmse", "effect", "difference", "p", "p_holm")
_WORDS = 28  # characters from which a value is prose
LONGEST_NAME = 50  # characters from which a row's name is
# columns that mark a table's telling rows, and what these are
_TELLING = {
    "test_nrmse": "the end of training",
    "own": "at the trained horizon",
}


def plain_table(table: GridTable, links: Links) -> Block:
    """A table with its most telling rows and columns; behind a fold when it is long."""
    view, what = _telling_rows(table)
    shown = _shown_columns(table, [row for row, _ in view])
    keys = [column for column in table.keys if column in shown]
    grid = _one_grid(shown, [row for row, _ in view])
    if grid and keys != ["grid"]:  # the same in each row: said in the caption
        shown.remove("grid")
        keys = [column for column in keys if column != "grid"]
    others = [column for column in shown if column not in keys]
    others.sort(key=lambda column: _FIRST.index(column) if column in _FIRST else len(_FIRST))
    limit = max(1, MOST_CELLS // max(1, len(others)))
    rows = [_row(table.name, row, name, keys, others, links) for row, name in view[:limit]]
    if limit < len(view):
        what = f"the first {limit} rows"
    left_out = len(table.rows) - len(rows)
    what_is_left = "row is" if left_out == 1 else f"{left_out} rows are"
    simulated = any(_is_simulated(row) for row, _ in view)
    note = " Rows of simulated data are labelled SIMULATED." if simulated else ""
    if grid:
        note += f" All from runs of grid {grid}."
    title = heading(table.name).capitalize()
    card = TABLES.get(table.name)
    block = Table(
        (card.caption.replace("`", "") if card else f"{title}.") + note,
        [Head(heading(key, table.name), meaning(key, table.name), "left") for key in keys],
        [
            _head(table.name, column, [row.cells[place] for row in rows])
            for place, column in enumerate(others)
        ],
        rows,
        more=f"Shown: {what}; the other {what_is_left} in {table.path.name}." if left_out else "",
    )
    return Fold(f"{title}: {what}", [block]) if len(rows) > FOLDED else block


def _one_grid(shown: list[str], rows: list[Values]) -> str:
    """The grid of all rows; empty where they are of several, or where no column says it."""
    grids = {row["grid"] for row in rows} if "grid" in shown else set()
    return grids.pop() if len(grids) == 1 else ""


def _head(table: str, column: str, below: list[Cell]) -> Head:
    words = any(cell.tone == "words" for cell in below)
    tone = "words" if words else "left" if column == "outcome" else ""
    return Head(heading(column, table), meaning(column, table), tone)


def _telling_rows(table: GridTable) -> tuple[list[tuple[Values, str]], str]:
    """Rows with their names, and what they are.

    Of comparisons at each step, those with the best method at the trained horizon; of other
    long tables, see `_TELLING`.
    """
    rows = list(zip(table.rows, table.row_names, strict=True))
    if {"reference_is_best", "step", "inner_steps"} <= set(table.columns):
        chosen = [
            (row, name)
            for row, name in rows
            if row["step"] == row["inner_steps"] and row["reference_is_best"] == "true"
        ]
        return chosen, "the best method of each setting, at the trained horizon"
    for column, what in _TELLING.items():
        if column in table.columns:
            return [(row, name) for row, name in rows if row[column] not in ("", "false")], what
    return rows, f"{len(rows)} rows"


def _shown_columns(table: GridTable, rows: list[Values]) -> list[str]:
    """Columns that say something of their own."""
    columns = set(table.columns)
    dropped = {f"{column}_stderr" for column in columns}
    dropped |= {column for column in columns if all(row[column] == "" for row in rows)}
    dropped |= {"simulated"}
    if "setting" in columns:
        dropped.add("dataset")
    if {"held", "cases"} <= columns:
        dropped.add("cases")
    if "claim" in columns:
        dropped |= {"text", "record"}
    if "label" in columns and all(row.get("method") == row["label"] for row in rows):
        dropped.add("method")
    if _INTERVAL & columns and {"lo", "hi"} <= columns:
        dropped |= {"lo", "hi"}
    if "p_holm" in columns:
        dropped.add("p")
    if "own" in columns:
        dropped |= {"own", "step"}
    if "reference_is_best" in columns:
        dropped |= {"reference_is_best", "step"}
    return [column for column in table.columns if column not in dropped]


def _row(
    table: str,
    row: Values,
    name: str,
    keys: list[str],
    others: list[str],
    links: Links,
) -> Row:
    badge = "SIMULATED" if _is_simulated(row) else ""
    names = [
        Cell(
            _named(key, row[key]).replace("`", ""),
            title=f"label: {row[key]}" if key in LABEL_COLUMNS else "",
            badge=badge if place == 0 else "",
            tone="words" if len(row[key]) > LONGEST_NAME else "",
        )
        for place, key in enumerate(keys)
    ]
    cells = []
    for column in others:
        text, more = _first_part(_text(column, row).replace("`", ""))
        long = (len(text) > _WORDS and column not in _INTERVAL) or more
        tone = "left" if column == "outcome" else "words" if long else ""
        cells.append(
            Cell(
                text,
                links.title(table, name, column),
                links.href(table, row, column),
                tone,
                more=more,
            )
        )
    return Row(names, cells, names[0].text if len(keys) > 1 else "")


def _first_part(text: str) -> tuple[str, str]:
    """The beginning of a long text, up to a stop, and the rest."""
    if len(text) <= LONGEST_TEXT:
        return text, ""
    for stop in (". ", ": ", "; ", ", "):
        end = text.find(stop, 20, LONGEST_TEXT) + 1
        if end:
            return text[:end], text[end:].strip()
    return text, ""


def _text(column: str, row: Values) -> str:
    value = row[column]
    if row.get(f"{column}_stderr") and value:
        return with_error(value, row[f"{column}_stderr"])
    if column in _INTERVAL and "lo" in row and value:
        return f"{number(value)} [{number(row['lo'])}, {number(row['hi'])}]"
    if column == "held":
        return f"{value} of {row['cases']}" if row.get("cases") not in ("", "0", None) else ""
    if column == "p" or column.startswith("p_"):
        p = as_float(value)
        return value if p is None else f"{p:.2g}"
    if column in ("peak_bytes", "kept_bytes") and value:
        return f"{float(value) / 1e6:,.1f} MB"
    return _named(column, value)


def _named(column: str, value: str) -> str:
    if column in LABEL_COLUMNS or column == "best_trivial":
        return label_title(value)
    return DATASETS.get(value, value) if column in ("dataset", "family") else number(value)


def _is_simulated(row: Values) -> bool:
    named = [row.get(column, "") for column in ("dataset", "setting", "released")]
    return row.get("simulated") == "true" or any(
        value == name or value.startswith(f"{name}-") for value in named for name in SIMULATED
    )
