"""The claims on the page: settings x claims as a matrix of symbols, and every number below it."""

from pipeline.config.titles import DATASETS, label_title
from pipeline.report.appendix import Links
from pipeline.report.blocks import Block, Cell, Head, Part, Row, Table, fold
from pipeline.report.evidence import EVERY
from pipeline.report.grid_tables import GridTable, Values
from pipeline.report.numbers import number
from pipeline.report.plain_tables import plain_table

# Shape and fill tell the outcomes apart without colour.
SYMBOLS = {"better": "▲", "worse": "▽", "no difference": "–", "not judged": "·"}
OVERALL = {"holds": "▲", "holds in part": "◐", "does not hold": "▽", "not judged": "·"}
_TONES = {"true": "holds", "false": "not"}
_SOURCES = {"paper": "Claims of the paper", "ours": "Claims of this project"}
_SIGNS = {
    "▲": "better, or the claim holds",
    "▽": "worse, or the claim does not hold",
    "–": "no difference shown",
    "◐": "the claim holds in part",
    "·": "not judged",
}


def claim_blocks(table: GridTable, links: Links) -> list[Block]:
    """Outcomes over all settings, the matrix of each source, and the table `claims.csv`."""
    shown = {row["claim"] for row in table.rows if row["cases"] not in ("", "0")}
    if not shown:
        whys = sorted({row["why"] for row in table.rows if row["why"] and row["setting"] != EVERY})
        return [Part(kind="not_judged", why=", ".join(whys) or "nothing was measured")]
    blocks: list[Block] = [Part(kind="signs", signs=_SIGNS)]
    names = {id(row): name for row, name in zip(table.rows, table.row_names, strict=True)}
    for source, title in _SOURCES.items():
        own = [row for row in table.rows if row["source"] == source and row["claim"] in shown]
        if own:
            blocks.append(_outcomes(title, own, names, links))
        if any(row["dataset"] for row in own):
            blocks.append(_matrix(title, own, names, links))
    every = plain_table(table, links)
    return [*blocks, every if every.kind == "fold" else fold("All claims in numbers", [every])]


def _outcomes(title: str, rows: list[Values], names: dict[int, str], links: Links) -> Table:
    """Each claim over all settings, with what was measured."""
    body = []
    for row in (row for row in rows if row["setting"] == EVERY):
        sign = OVERALL[row["outcome"]]
        tone = {"▲": "holds", "◐": "part", "▽": "not"}.get(sign, "")
        told = {
            "outcome": f"{sign} {row['outcome']}" + (f": {row['why']}" if row["why"] else ""),
            "held": f"{row['held']} of {row['cases']}",
            "value": number(row["value"]),
            "bound": number(row["bound"]),
        }
        cells = [
            Cell(
                text,
                links.title(table="claims", row_name=names[id(row)], column=column),
                links.href("claims", row, column),
                tone if column == "outcome" else "",
            )
            for column, text in told.items()
        ]
        body.append(Row([Cell(row["text"], title=row["claim"], tone="words")], cells))
    heads = [Head("outcome", tone="left"), Head("met in"), Head("value"), Head("bound")]
    return Table(
        f"{title}, over all settings", [Head("claim", tone="left")], heads, body, stack=True
    )


def _matrix(title: str, rows: list[Values], names: dict[int, str], links: Links) -> Table:
    """Settings in rows, claims in columns."""
    by_place = {(row["setting"], row["claim"]): row for row in rows}
    settings = list(dict.fromkeys(row["setting"] for row in rows if row["dataset"]))
    claims = [
        row
        for row in rows
        if row["setting"] == EVERY and any((s, row["claim"]) in by_place for s in settings)
    ]
    datasets = {row["setting"]: row["dataset"] for row in rows if row["dataset"]}
    body = []
    for setting in settings:
        found = [by_place.get((setting, claim["claim"])) for claim in claims]
        cells = [_symbol(row, names, links) for row in found]
        dataset = datasets[setting]
        shots = setting.removeprefix(f"{dataset}-").replace("-", ", ")
        name = Cell(DATASETS.get(dataset, dataset), title=setting, note=Cell(shots))
        body.append(Row([name], cells, dataset))
    heads = [Head(claim["text"], claim["claim"], "tall") for claim in claims]
    return Table(f"{title}, setting by setting", [Head("setting", tone="left")], heads, body)


def _symbol(row: Values | None, names: dict[int, str], links: Links) -> Cell:
    if row is None:
        return Cell("")
    return Cell(
        SYMBOLS[row["outcome"]],
        f"{behind(row)}; {links.title('claims', names[id(row)], 'difference')}",
        links.href("claims", row, "difference"),
        f"sign {_TONES.get(row['met'], '')}".strip(),
    )


def behind(row: Values) -> str:
    """The numbers behind a symbol, in a line."""
    parts = [row["outcome"] + (f" ({row['why']})" if row["why"] else "")]
    if row["reference"]:
        pair = f"{label_title(row['reference'])} minus {label_title(row['other'])}"
        interval = f"{number(row['lo'])} to {number(row['hi'])}"
        parts.append(f"{pair} after {row['step']} steps: {number(row['difference'])} ({interval})")
        parts.append(f"p = {float(row['p']):.2g}, {row['n_pairs']} pairs")
    if row["value"]:
        bound = f", bound {number(row['bound'])}" if row["bound"] else ""
        parts.append(f"value {number(row['value'])}{bound}")
    return "; ".join(parts)
