"""The evidence appendix: per setting and method, the runs behind its cells."""

from pipeline.config.titles import DATASETS, SIMULATED, label_title
from pipeline.report.blocks import Anchor, Block, Cell, Evidence, EvidenceGroup, Fold, Prose
from pipeline.report.evidence import Run, evidence_file, runs_behind
from pipeline.report.grid_tables import GridTable
from pipeline.report.links import Links, group_anchor, setting_anchor
from pipeline.report.records import RECORDS

SHORT = 12  # hexadecimal digits of a commit or fingerprint; in full in the tooltip
_INTRO = (
    "<p>A number in a table leads here: to the runs it was computed from. The command of a row, "
    "with another column's name in place of <code>nrmse</code>, prints definition, folders, "
    "MLflow ids and the commands that make each run anew. Pointing at a number shows its own.</p>"
)

_COMPANIONS = (
    "<p>A row that names another grid was computed from runs in "
    "<code>{parent}/GRID/runs/</code>, GRID the name in its column <code>grid</code>; in an "
    "ablation, runs of ours are those of <code>grid_ours</code>. The command of a cell, shown "
    "when one points at it, lists these runs.</p>"
)


def evidence_blocks(main: GridTable, runs: list[Run], links: Links) -> list[Block]:
    """One fold per setting; `main` is `main.csv`."""
    blocks: list[Block] = [Prose(_INTRO)]
    rows = main.rows
    for setting in dict.fromkeys(run.setting for run in runs):
        given = [run for run in runs if run.setting == setting]
        groups = []
        for row in (row for row in rows if row["setting"] == setting):
            command = links.title("main", f"{setting}/{row['label']}", "nrmse")
            behind = runs_behind(row, given)
            note = ""
            if row["kind"] != "method":
                note = f"Alike in every run of a seed; read from those of {behind[0].label}."
            groups.append(
                EvidenceGroup(
                    group_anchor(setting, row["label"]),
                    label_title(row["label"]),
                    row["label"],
                    command,
                    note,
                    [_cells(run) for run in behind] if row["kind"] == "method" else (),
                )
            )
        file = evidence_file(links.results_dir, setting)
        kept = f"; errors of each test task: {file.as_posix()}" if file else ""
        badge = "SIMULATED" if given[0].dataset in SIMULATED else ""
        dataset = DATASETS.get(given[0].dataset, given[0].dataset)
        blocks.append(Anchor(setting_anchor(setting), setting, badge))
        evidence = Evidence(setting, groups)
        summary = f"{dataset}: {len(given)} runs, seeds {_seeds(given)}{kept}"
        blocks.append(Fold(summary, [evidence], printed=False))
    records = ", ".join(
        f"{table}: {links.results_dir.as_posix()}/{pattern}" for table, pattern in RECORDS.items()
    )
    blocks.append(Anchor("evidence-records", "Records that are no runs"))
    blocks.append(Prose(f"<p>Read from measurements of their own: <code>{records}</code>.</p>"))
    blocks.append(Anchor("evidence-companions", "Runs of other grids"))
    blocks.append(Prose(_COMPANIONS.format(parent=links.results_dir.parent.as_posix())))
    return blocks


def anchors(main: GridTable, runs: list[Run]) -> frozenset[str]:
    """Ids that `evidence_blocks` gives."""
    settings = {run.setting for run in runs}
    found = {setting_anchor(setting) for setting in settings}
    for row in main.rows:
        if row["setting"] in settings:
            found.add(group_anchor(row["setting"], row["label"]))
    return frozenset(found)


def _cells(run: Run) -> list[Cell]:
    state = "not here" if not run.here else "restored" if run.restored else "here"
    return [
        Cell(str(run.seed)),
        Cell(run.status or ""),
        Cell(_short(run.commit), title=run.commit or ""),
        Cell(run.recipe or "not here"),
        Cell(_short(run.fingerprint) or "not here", title=run.fingerprint or ""),
        Cell(run.directory.as_posix(), badge="" if state == "here" else state),
    ]


def _short(text: str | None) -> str:
    """The first digits; a `+` at the end (changes not committed) is kept."""
    if not text or len(text) <= SHORT:
        return text or ""
    return text[:SHORT] + ("+" if text.endswith("+") else "")


def _seeds(runs: list[Run]) -> str:
    return ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
