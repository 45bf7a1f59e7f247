"""`main.md`: the main table for people, one section per setting."""

import math

from pipeline.config.measures import Measure
from pipeline.config.titles import DATASETS, KINDS, best_of, kind_said, label_title
from pipeline.tables.files import Row


def main_markdown(grid: str, rows: list[Row], measure: Measure) -> str:
    """The rows of `main.csv` as Markdown.

    Args:
        grid: name of the grid.
        measure: of the grid.
        rows: as `main_table.main_rows` gives them and `comparisons.mark_best` marks them, in the
            order to show.
    """
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    lines = [
        f"# Errors on held-out test tasks, grid `{grid}`",
        "",
        "Mean ± standard error over the test tasks of all seeds (formula: "
        "`pipeline/tables/pooling.py`). "
        f"{measure.definition}; gains are in percent of {measure.title}, positive is better.",
        "",
        f"**Bold** marks the smallest mean {measure.title} among the methods that finished in "
        "every seed. † marks the methods that do not differ from it, or not for the worse: "
        "p ≥ 0.05 by the Wilcoxon signed-rank test over pairs of seed and test task, "
        "Holm-corrected (`comparisons.csv`). Few test tasks can leave real differences unseen.",
    ]
    for setting in settings:
        lines += ["", *_section([row for row in rows if row["setting"] == setting], measure)]
    return "\n".join(lines) + "\n"


def _section(rows: list[Row], measure: Measure) -> list[str]:
    first = rows[0]
    dataset = DATASETS.get(first["dataset"], first["dataset"])
    best = best_of(row["label"] for row in rows)
    header = [
        *("predictor", *measure.metrics.values()),
        *("vs untrained", f"vs {best}", "seeds"),
    ]
    lines = [
        f"## {first['setting']}{' (SIMULATED data)' if first['simulated'] else ''}",
        "",
        f"{dataset}: {first['n_tasks']} test tasks per seed, after {first['inner_steps']} "
        f"training steps on each; {'' if best == 'best predictor' else 'trivial '}predictors do "
        "not train." + (" The ratings are SIMULATED, not collected." if first["simulated"] else ""),
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for kind in KINDS:
        for row in rows:
            if row["kind"] == kind:
                lines.append("| " + " | ".join(_cells(row, measure)) + " |")
    notes = [row for row in rows if row["message"]]
    if notes:
        lines += ["", *(f"- `{row['label']}` {row['status']}: {_plain(row)}" for row in notes)]
    return lines


def _cells(row: Row, measure: Measure) -> list[str]:
    seeds = str(row["n_seeds"])
    if row["n_failed"]:
        seeds += f" (+{row['n_failed']} failed)"
    errors = [
        _with_error(row[name], row[f"{name}_stderr"], row["status"]) for name in measure.metrics
    ]
    if row.get("best"):
        errors[0] = f"**{errors[0]}**"
    elif row.get("not_worse_than_best"):
        errors[0] += " †"
    title = label_title(row["label"])
    name = title if title == row["label"] else f"{title} (`{row['label']}`)"
    gains = [_percent(row.get(f"gain_over_{what}")) for what in ("untrained", "best_trivial")]
    kind = kind_said(row["label"])
    return [f"{name}, {kind}" if kind else name, *errors, *gains, seeds]


def _with_error(mean: float, stderr: float, status: str) -> str:
    if not math.isfinite(mean):
        return status
    return f"{mean:.4g}" + (f" ± {stderr:.2g}" if math.isfinite(stderr) else "")


def _percent(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:+.1f} %"


def _plain(row: Row) -> str:
    """The message on one line, safe inside Markdown."""
    return " ".join(str(row["message"]).replace("|", "/").replace("`", "'").split())
