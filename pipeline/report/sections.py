"""The sections of the page: which tables and figures stand where.

A table or figure that no section names is shown under "Further results", so that nothing made
for a grid is missing from its page.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from html import escape
from pathlib import Path

from pipeline.config.titles import SIMULATED
from pipeline.report.appendix import anchors, evidence_blocks
from pipeline.report.blocks import Block, Prose, Section
from pipeline.report.claims import claim_blocks
from pipeline.report.evidence import Run
from pipeline.report.figures import figure, figure_names
from pipeline.report.grid_tables import read_table, table_names
from pipeline.report.links import Links
from pipeline.report.main_tables import main_blocks
from pipeline.report.origins import method_blocks, origin_blocks, summary_blocks
from pipeline.report.plain_tables import plain_table
from pipeline.report.prose import to_html
from pipeline.report.texts import prose


@dataclass(frozen=True)
class Shelf:
    """A section made of whatever tables and figures match its patterns, in their order."""

    id: str
    title: str
    intro: str = ""
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


# Series that figures draw, too long to read; their files are linked.
NOT_SHOWN = ("main", "claims", "per_seed", "curves", "training")
SHELVES = (
    Shelf(
        "ratings",
        "Ratings: does a meta-learned initialisation beat trivial predictors?",
        figures=("ratings",),
    ),
    Shelf("curves", "Learning curves", figures=("curves", "training", "instances")),
    Shelf(
        "comparisons",
        "Comparisons, paired by test task",
        "Differences of nRMSE between methods on the same test tasks.",
        tables=("comparisons",),
    ),
    Shelf(
        "fidelity",
        "Fidelity of the meta-gradient",
        "How near each method's meta-gradient is to the converged one of long inner training: as "
        "the horizon grows, during training, and whether a truer one goes with smaller errors. "
        "And how far it keeps from one meta-batch to the next: with steps of a fixed size, "
        "directions that keep travel farther.",
        tables=("fidelity", "noise"),
        figures=("fidelity", "ledger", "fidelity_nrmse", "noise"),
    ),
    Shelf(
        "equal-cost",
        "At equal cost",
        "Errors against what training had cost, rather than against meta-updates.",
        tables=("equal_cost",),
        figures=("equal_cost",),
    ),
    Shelf(
        "horizons",
        "Long horizons",
        "Does longer training of the initialisation pay, and a horizon for each task?",
        tables=("horizons", "early_stopping"),
        figures=("horizons",),
    ),
    Shelf(
        "choices",
        "Values chosen on validation tasks",
        "What an outer rate, a meta-batch or a weight of the running cost of its own would do for "
        "a method. Validation tasks choose; the test errors only stand beside them.",
        tables=("choices",),
    ),
    Shelf(
        "stability",
        "Stability and stiffness",
        "Ways back through the same flow, and the work of its solvers as curvature grows.",
        tables=("stability", "stiffness"),
        figures=("stability", "stiffness"),
    ),
    Shelf(
        "ablation",
        "Ablation: where paper, released code and this project differ",
        tables=("ablation",),
        figures=("ablation",),
        texts=("ablation",),
    ),
    Shelf("audit", "Metric audit", tables=("audit",), texts=("audit",)),
    Shelf(
        "cost",
        "Memory and time of a meta-update",
        tables=("costs",),
        figures=("memory", "time"),
    ),
    Shelf("more", "Further results", tables=("*",), figures=("*",)),
)


def page_sections(results_dir: Path, grid: str, runs: list[Run]) -> list[Section]:
    """The sections that have something to show, in order."""
    main = read_table(results_dir, "main")
    links = Links(results_dir, anchors(main, runs), tuple(runs))
    simulated = list(dict.fromkeys(run.setting for run in runs if run.dataset in SIMULATED))

    def drawn(name: str) -> Block:
        return figure(results_dir, name, simulated)

    def tabled(name: str) -> list[Block]:
        table = read_table(results_dir, name)
        return [plain_table(table, links)] if table.rows else []

    claims = None
    if "claims" in table_names(results_dir):
        claims = read_table(results_dir, "claims")
    tables = [name for name in table_names(results_dir) if name not in NOT_SHOWN]
    figures = figure_names(results_dir)
    shelved = {}
    for shelf in SHELVES:
        shelved[shelf.id] = _shelf(shelf, results_dir, tables, figures, tabled, drawn)
    sections = [
        Section("summary", "Summary", summary_blocks(grid, runs, claims)),
        Section("claims", "Claims", claim_blocks(claims, links) if claims else []),
        Section("main", "Test errors", main_blocks(main, links)),
        *shelved.values(),
        Section("methods", "Methods", method_blocks(runs)),
        Section(
            "origins",
            "How every number was made",
            origin_blocks(results_dir, grid, runs, table_names(results_dir)),
        ),
        Section("glossary", "Glossary", [Prose(to_html(prose("glossary.md")))]),
        Section("evidence", "Evidence", evidence_blocks(main, runs, links)),
    ]
    return [section for section in sections if section.blocks]


def _shelf(
    shelf: Shelf,
    results_dir: Path,
    tables: list[str],
    figures: list[str],
    tabled: Callable[[str], list[Block]],
    drawn: Callable[[str], Block],
) -> Section:
    """Fill a shelf; what it takes is removed from `tables` and `figures`."""
    blocks: list[Block] = []
    for name in shelf.texts:
        path = results_dir / "tables" / f"{name}.md"
        if path.is_file():
            blocks.append(Prose(to_html(path.read_text(encoding="utf-8"))))
    for name in _taken(shelf.figures, figures):
        blocks.append(drawn(name))
    for name in _taken(shelf.tables, tables):
        blocks += tabled(name)
    if blocks and shelf.intro:
        blocks.insert(0, Prose(f"<p>{escape(shelf.intro)}</p>"))
    return Section(shelf.id, shelf.title, blocks)


def _taken(patterns: Iterable[str], names: list[str]) -> list[str]:
    taken = [name for pattern in patterns for name in sorted(names) if fnmatch(name, pattern)]
    taken = list(dict.fromkeys(taken))
    names[:] = [name for name in names if name not in taken]
    return taken
