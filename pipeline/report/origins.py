"""What the grid is, and how every number of it was made."""

from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path

from pipeline.config.methods import METHODS
from pipeline.config.titles import DATASETS, SIMULATED, counted, label_title
from pipeline.data.cards import RatingSet
from pipeline.data.sets import SOURCES
from pipeline.report.blocks import Block, Cell, Head, Prose, Row, Table
from pipeline.report.evidence import EVERY, Run
from pipeline.report.grid_tables import GridTable
from pipeline.report.numbers import listed
from pipeline.report.prose import to_html
from pipeline.report.texts import prose

_SYNTHETIC_TERMS = "Drawn by this project's code from a seed; no terms"
_SYNTHETIC_SOURCE = "Li et al. 2023, equations (12) and (13)"


def summary_blocks(grid: str, runs: list[Run], claims: GridTable | None) -> list[Block]:
    """What was run, on what, when it can be told: the first thing a reader needs."""
    failed = sum(run.status != "ok" for run in runs)
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    simulated = [name for name in datasets if name in SIMULATED]
    facts = {
        "Runs": f"{counted(len(runs), 'run')}: {_distinct(runs, 'label', 'method')} × "
        f"{_distinct(runs, 'setting', 'setting')} × {_distinct(runs, 'seed', 'seed')}"
        + (f"; {failed} failed" if failed else "; none failed"),
        "Methods": "; ".join(label_title(label) for label in _values(runs, "label")),
        "Data": ", ".join(DATASETS.get(name, name) for name in datasets),
        "Seeds": ", ".join(sorted({str(run.seed) for run in runs}, key=int)),
        "Training": _training(runs),
        "Code": _commits(runs),
    }
    every = [row for row in claims.rows if row["setting"] == EVERY] if claims else []
    if counts := Counter(row["outcome"] for row in every):
        facts["Claims"] = "; ".join(f"{word}: {counts[word]}" for word in counts)
    items = "".join(
        f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items()
    )
    warning = ""
    if simulated:
        names = [run.setting for run in runs if run.dataset in simulated]
        warning = (
            '<p class="notice"><span class="badge">SIMULATED</span> The ratings of '
            f"{escape(listed(list(dict.fromkeys(names))))} were drawn by a generator. They show "
            "that the path from archive to table runs, not how good a method is on people's "
            "ratings.</p>"
        )
    lead = (
        f"<p class='lead'>Grid <strong>{escape(grid)}</strong>: can the true meta-gradient of "
        "long inner training be had, what does it cost, and does it pay? A-MAML (Li et al., "
        "AISTATS 2023, arXiv:2110.08432) and its descendants beside the usual baselines, all on "
        "the same held-out tasks and rows.</p>"
    )
    reading = (
        "<p>Errors are nRMSE: 1 is about as good as guessing the mean, less is better. Each "
        'number is a link to <a href="#evidence">the runs it came from</a>.</p>'
    )
    return [Prose(f"{lead}<dl class='facts'>{items}</dl>{warning}{reading}")]


def method_blocks(runs: list[Run]) -> list[Block]:
    """The methods of the grid in five lines each, with the settings they had here."""
    cards = []
    for label in _values(runs, "label"):
        own = [run for run in runs if run.label == label]
        card = METHODS.get(own[0].method)
        text = card.text.strip() if card else "- The method has no card any more."
        settings = _common_settings(own)
        if settings:
            text += f"\n- Settings here: {settings}"
        name = f"{escape(label_title(label))} <code>{escape(label)}</code>"
        cards.append(f"<section class='card'><h3>{name}</h3>{to_html(text)}</section>")
    return [
        Prose(to_html(prose("methods.md"))),
        Prose(f"<div class='cards'>{''.join(cards)}</div>"),
    ]


def origin_blocks(results_dir: Path, grid: str, runs: list[Run], tables: list[str]) -> list[Block]:
    """Commands, data with their fingerprints and terms, commits and machines."""
    folder = results_dir.as_posix()
    commands = {
        "everything": f"snakemake --cores 2 --resources gpu=1 --config grid={grid}",
        "this page again": f"snakemake {folder}/report.html --cores 1 --force --config grid={grid}",
        "where a number comes from": "python -m pipeline explain main SETTING/LABEL nrmse "
        f"--results {folder}",
        "what a plan of the work says": f"snakemake --dry-run --config grid={grid}",
    }
    lines = "".join(
        f"<dt>{what}</dt><dd><code>{escape(line)}</code></dd>" for what, line in commands.items()
    )
    files = ", ".join(f'<a href="tables/{name}.csv">{name}.csv</a>' for name in tables)
    return [
        Prose(f"<dl class='commands'>{lines}</dl><p>All tables: {files}.</p>"),
        _data_table(runs),
        Prose(
            "<p>MovieLens may not be passed on: no rating of it is in this repository or page, "
            "only errors and fingerprints. To repeat a run, the archives come from their own "
            "hosts, and are checked against these fingerprints.</p>"
        ),
        _commit_table(runs),
    ]


def _data_table(runs: list[Run]) -> Table:
    rows = []
    for name in dict.fromkeys(run.dataset for run in runs):
        source = SOURCES.get(name)
        found = sorted({r.fingerprint for r in runs if r.dataset == name and r.fingerprint})
        expected = source.fingerprint if source else None
        state = "not here" if not found else ", ".join(found)
        if found and expected:
            state += " (as published)" if found == [expected] else " (NOT the expected one)"
        size = "drawn per seed"
        if source and source.n_ratings:
            size = (
                f"{source.n_ratings:,} ratings, {source.n_users:,} users, {source.n_items:,} items"
            )
        elif source:
            size = "simulated"
        cells = [
            Cell(size, tone="words"),
            Cell(state, tone="code"),
            _terms(source),
        ]
        badge = "SIMULATED" if name in SIMULATED else ""
        title = DATASETS.get(name, name).removeprefix("SIMULATED ")
        rows.append(Row([Cell(title, badge=badge)], cells))
    heads = [
        Head(text, tone="left")
        for text in ("size", "fingerprint (sha256) in the runs", "terms and source")
    ]
    return Table("Data sets, with the fingerprints found in the runs.", [Head("data")], heads, rows)


def _terms(source: RatingSet | None) -> Cell:
    if source is None:
        return Cell(_SYNTHETIC_TERMS, tone="words", note=Cell(_SYNTHETIC_SOURCE))
    return Cell(source.licence, tone="words", note=Cell(source.citation))


def _commit_table(runs: list[Run]) -> Table:
    counts = Counter((run.commit or "unknown", run.machine or "unknown") for run in runs)
    rows = [
        Row([Cell(commit, tone="code")], [Cell(machine, tone="words"), Cell(str(count))])
        for (commit, machine), count in sorted(counts.items())
    ]
    caption = "Code and machines of the runs; + is a commit with changes that were not committed."
    heads = [Head("device, system, torch", tone="left"), Head("runs")]
    return Table(caption, [Head("git commit")], heads, rows)


def _training(runs: list[Run]) -> str:
    updates = listed(_values([run for run in runs if run.status == "ok"], "meta_updates"))
    devices = listed(_values(runs, "device")) or "an unknown device"
    return (
        f"{updates or 'unknown'} meta-updates a run, on {devices}, {listed(_values(runs, 'dtype'))}"
    )


def _commits(runs: Iterable[Run]) -> str:
    commits = sorted(
        {run.commit[:12] + "+" * run.commit.endswith("+") for run in runs if run.commit}
    )
    return f"git commit {listed(commits)}" if commits else "git commit unknown"


def _common_settings(runs: list[Run]) -> str:
    """Settings of a method that are the same in all of its runs."""
    known = [run.settings for run in runs if run.settings]
    if not known:
        return ""
    common = {
        key: value
        for key, value in known[0].items()
        if value is not None and all(other.get(key) == value for other in known)
    }
    return ", ".join(f"{key} {value}" for key, value in sorted(common.items()))


def _values(runs: Iterable[Run], attribute: str) -> list[str]:
    """Distinct known values, in order."""
    values = (getattr(run, attribute) for run in runs)
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _distinct(runs: list[Run], attribute: str, what: str) -> str:
    return counted(len(_values(runs, attribute)), what)
