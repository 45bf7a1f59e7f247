"""What the grid is, its methods, and the data, code and machines behind every number."""

from collections import Counter

from pipeline.config.measures import Measure
from pipeline.config.methods import METHODS
from pipeline.config.titles import DATASETS, SIMULATED, counted, is_own, label_title
from pipeline.data.cards import RatingSet
from pipeline.data.sets import SOURCES
from pipeline.report.appendix import Links
from pipeline.report.blocks import Block, Cell, Head, Part, Row, Table, prose
from pipeline.report.claims import OVERALL
from pipeline.report.evidence import EVERY, Run
from pipeline.report.grid_tables import GridTable
from pipeline.report.numbers import listed
from pipeline.report.texts import text_of, to_html

_SYNTHETIC = (  # terms and source
    "Drawn by this project's code from a seed; no terms",
    "Li et al. 2023, equations (12) and (13)",
)
_OWN = ("Your own", "an entry of `datasets` in params.yaml")


def summary_block(grid: str, runs: list[Run], claims: GridTable | None, measure: Measure) -> Part:
    """What was run, on what, when it can be told: the first thing a reader needs."""
    finished = [run for run in runs if run.values["status"] == "ok"]
    seeds = sorted(_values(runs, "seed"), key=int)
    commits = [commit[:12] + "+" * commit.endswith("+") for commit in _values(runs, "git_commit")]
    facts = {
        "Runs": f"{counted(len(runs), 'run')}: {counted(len(_values(runs, 'label')), 'method')} × "
        f"{counted(len(_values(runs, 'setting')), 'setting')} × {counted(len(seeds), 'seed')}; "
        f"{len(runs) - len(finished) or 'none'} failed",
        "Methods": "; ".join(label_title(label) for label in _values(runs, "label")),
        "Data": ", ".join(DATASETS.get(name, name) for name in _values(runs, "dataset")),
        "Network": "; ".join(dict.fromkeys(run.network for run in runs if run.network)),
        "Seeds": ", ".join(seeds),
        "Training": f"{listed(_values(finished, 'meta_updates')) or 'unknown'} meta-updates a run, "
        f"on {listed(_values(runs, 'device'))}, {listed(_values(runs, 'dtype'))}",
        "Code": f"git commit {listed(sorted(set(commits))) or 'unknown'}",
    }
    if claims and claims.rows:
        counts = Counter(row["outcome"] for row in claims.rows if row["setting"] == EVERY)
        facts["Claims"] = "; ".join(f"{word}: {counts[word]}" for word in OVERALL if counts[word])
    facts = {name: fact for name, fact in facts.items() if fact}
    simulated = _values([run for run in runs if run.dataset in SIMULATED], "setting")
    return Part(
        kind="summary",
        grid=grid,
        facts=facts,
        simulated=listed(simulated),
        own=all(is_own(run.dataset) for run in runs),
        scale=measure.scale,
    )


def method_blocks(runs: list[Run]) -> list[Block]:
    """The methods of the grid in five lines each, with the settings they had here."""
    cards = []
    for label in _values(runs, "label"):
        own = [run for run in runs if run.label == label]
        text = METHODS[own[0].values["method"]].text.strip()
        if settings := _common_settings(own):
            text += f"\n- Settings here: {settings}"
        cards.append({"title": label_title(label), "label": label, "html": to_html(text)})
    return [prose(to_html(text_of("methods.md"))), Part(kind="methods", cards=cards)]


def origin_blocks(links: Links, grid: str, runs: list[Run], tables: list[str]) -> list[Block]:
    """Commands, data with their fingerprints and terms, commits and machines."""
    folder, error = links.results_dir.as_posix(), links.measure.name
    own = all(is_own(run.dataset) for run in runs)
    return [
        Part(kind="commands", folder=folder, grid=grid, tables=tables, error=error),
        _data_table(runs),
        *([] if own else [Part(kind="terms")]),
        _commit_table(runs),
    ]


def _data_table(runs: list[Run]) -> Table:
    rows = []
    for name in _values(runs, "dataset"):
        source = SOURCES.get(name)
        found = sorted({r.fingerprint for r in runs if r.dataset == name and r.fingerprint})
        state = ", ".join(found) or "not here"
        if found and source and source.fingerprint:
            expected = found == [source.fingerprint]
            state += " (as published)" if expected else " (NOT the expected one)"
        terms, origin = (source.licence, source.citation) if source else _SYNTHETIC
        if is_own(name):
            terms, origin = _OWN
        title = DATASETS.get(name, name).removeprefix("SIMULATED ")
        badge = "SIMULATED" if name in SIMULATED else ""
        size = "own file" if is_own(name) else _size(source)
        cells = [Cell(size, tone="words"), Cell(state, tone="code")]
        cells.append(Cell(terms, tone="words", note=Cell(origin)))
        rows.append(Row([Cell(title, badge=badge)], cells))
    heads = [
        Head(text, tone="left")
        for text in ("size", "fingerprint (sha256) in the runs", "terms and source")
    ]
    return Table("Data sets, with the fingerprints found in the runs.", [Head("data")], heads, rows)


def _size(source: RatingSet | None) -> str:
    if source is None:
        return "drawn per seed"
    if not source.n_ratings:
        return "simulated"
    return f"{source.n_ratings:,} ratings, {source.n_users:,} users, {source.n_items:,} items"


def _commit_table(runs: list[Run]) -> Table:
    counts = Counter((run.values["git_commit"], run.values["machine"]) for run in runs)
    rows = [
        Row([Cell(commit or "unknown", tone="code")], [Cell(machine, tone="words"), Cell(str(n))])
        for (commit, machine), n in sorted(counts.items())
    ]
    caption = "Code and machines of the runs; + is a commit with changes that were not committed."
    heads = [Head("device, system, torch", tone="left"), Head("runs")]
    return Table(caption, [Head("git commit")], heads, rows)


def _common_settings(runs: list[Run]) -> str:
    """Settings of a method that are the same in all of its runs."""
    known = [run.settings for run in runs if run.settings]
    common = {
        key: value
        for key, value in (known[0] if known else {}).items()
        if value is not None and all(other.get(key) == value for other in known)
    }
    return ", ".join(f"{key} {value}" for key, value in sorted(common.items()))


def _values(runs: list[Run], column: str) -> list[str]:
    """Distinct known values of a column of `per_seed.csv`, in order."""
    return list(dict.fromkeys(run.values[column] for run in runs if run.values[column]))
