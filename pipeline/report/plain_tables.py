"""Any other table on the page, as it stands: key columns first, errors beside their means."""

from pipeline.config.tables import TABLES
from pipeline.config.titles import DATASETS, SIMULATED, label_title
from pipeline.report.appendix import Links
from pipeline.report.blocks import Block, Cell, Head, Row, Table, fold
from pipeline.report.columns import heading, meaning
from pipeline.report.evidence import LABEL_COLUMNS
from pipeline.report.grid_tables import GridTable, Values
from pipeline.report.numbers import as_float, number, with_error

FOLDED = 30  # rows from which a table is behind a fold
MOST_ROWS = 500  # of one table on the page; the rest stays in the CSV
_INTERVAL = {"difference", "effect"}  # columns that `lo` and `hi` belong to
# what a reader wants to see before a wide table has to be moved
_FIRST = ("outcome", "method", "label", "effect", "difference", "p", "p_holm")
_WORDS = 28  # characters from which a value is prose
_LONGEST_NAME = 50  # characters from which a row's name is
# columns that mark a table's telling rows, and what these are
_TELLING = {
    "reference_is_best": "the best method of each setting, at the trained horizon",
    "test_nrmse": "the end of training",
    "own": "at the trained horizon",
}
# Columns that go without saying beside another one.
_IMPLIED = {
    "setting": {"dataset"},
    "held": {"cases"},
    "claim": {"text", "record"},
    "p_holm": {"p"},
    "own": {"own", "step"},
    "reference_is_best": {"reference_is_best", "step"},
    "difference": {"lo", "hi"},
    "effect": {"lo", "hi"},
}


def plain_table(table: GridTable, links: Links) -> Block:
    """A table with its most telling rows and columns; behind a fold when it is long."""
    telling, what = _telling_rows(table)
    view = telling[:MOST_ROWS]
    if len(view) < len(telling):
        what = f"the first {len(view)} rows"
    shown = _shown_columns(table, [row for row, _ in view])
    keys = [column for column in table.keys if column in shown]
    grids = {row["grid"] for row, _ in view} if "grid" in shown else set()
    note = ""
    if any(_is_simulated(row) for row, _ in view):
        note = " Rows of simulated data are labelled SIMULATED."
    if len(grids) == 1 and keys != ["grid"]:  # the same in each row: said in the caption
        note += f" All from runs of grid {grids.pop()}."
        shown.remove("grid")
        keys = [column for column in keys if column != "grid"]
    others = [column for column in shown if column not in keys]
    first = [*_FIRST[:3], links.measure.name, *_FIRST[3:]]
    others.sort(key=lambda column: first.index(column) if column in first else len(first))
    rows = [_row(table.name, row, name, keys, others, links) for row, name in view]
    left_out = len(table.rows) - len(rows)
    left = "row is" if left_out == 1 else f"{left_out} rows are"
    title = heading(table.name).capitalize()
    card = TABLES.get(table.name)
    block = Table(
        (links.measure.said(card.caption).replace("`", "") if card else f"{title}.") + note,
        [_head(table.name, key, "left", links) for key in keys],
        [
            _head(table.name, column, _tone(column, [row.cells[k] for row in rows]), links)
            for k, column in enumerate(others)
        ],
        rows,
        more=f"Shown: {what}; the other {left} in {table.path.name}." if left_out else "",
    )
    return fold(f"{title}: {what}", [block]) if len(rows) > FOLDED else block


def _telling_rows(table: GridTable) -> tuple[list[tuple[Values, str]], str]:
    """Rows with their names, and what they are; of tables of series, see `_TELLING`."""
    rows = list(zip(table.rows, table.row_names, strict=True))
    for column, what in _TELLING.items():
        if column in table.columns:
            rows = [(row, name) for row, name in rows if row[column] not in ("", "false")]
            if column == "reference_is_best":
                rows = [(row, name) for row, name in rows if row["step"] == row["inner_steps"]]
            return rows, what
    return rows, f"{len(rows)} rows"


def _shown_columns(table: GridTable, rows: list[Values]) -> list[str]:
    """Columns that say something of their own; machines stand in a table below."""
    columns = table.columns
    dropped = {"simulated", "machine"} | {f"{column}_stderr" for column in columns}
    dropped |= {column for column in columns if all(row[column] == "" for row in rows)}
    for column in columns:
        dropped |= _IMPLIED.get(column, set())
    if "label" in columns and all(row.get("method") == row["label"] for row in rows):
        dropped.add("method")
    return [column for column in columns if column not in dropped]


def _tone(column: str, below: list[Cell]) -> str:
    if any(cell.tone == "words" for cell in below):
        return "words"
    return "left" if column == "outcome" else ""


def _head(table: str, column: str, tone: str, links: Links) -> Head:
    given = (column, table, links.measure)
    return Head(heading(*given), meaning(*given), tone)


def _row(
    table: str, row: Values, name: str, keys: list[str], others: list[str], links: Links
) -> Row:
    badge = "SIMULATED" if _is_simulated(row) else ""
    names = [
        Cell(
            _named(key, row[key]),
            title=f"label: {row[key]}" if key in LABEL_COLUMNS else "",
            badge=badge if place == 0 else "",
            tone="words" if len(row[key]) > _LONGEST_NAME else "",
        )
        for place, key in enumerate(keys)
    ]
    cells = []
    for column in others:
        text = _text(column, row)
        long = len(text) > _WORDS and column not in _INTERVAL
        tone = "left" if column == "outcome" else "words" if long else ""
        command = links.title(table, name, column)
        cells.append(Cell(text, command, links.href(table, row, column), tone))
    return Row(names, cells, names[0].text if len(keys) > 1 else "")


def _text(column: str, row: Values) -> str:
    value = row[column]
    if row.get(f"{column}_stderr") and value:
        return with_error(value, row[f"{column}_stderr"])
    if column in _INTERVAL and "lo" in row and value:
        return f"{number(value)} [{number(row['lo'])}, {number(row['hi'])}]"
    if column == "held":
        return f"{value} of {row['cases']}" if row["cases"] not in ("", "0") else ""
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
