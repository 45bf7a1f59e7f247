"""`results/{grid}/report.html`: one self-contained page for people, made from the tables."""

from pathlib import Path

from pipeline.errors import BadInput
from pipeline.files import write_text
from pipeline.report.evidence import read_runs
from pipeline.report.sections import page_sections
from pipeline.report.texts import templates, text_of


def build_report(results_dir: Path, *, grid: str) -> Path:
    """Write `results_dir/report.html` from its tables, figures and run records.

    The bytes depend on these and on the texts of `pipeline/report/` alone. Nothing outside the
    page is loaded by it.

    Args:
        results_dir: such as `results/paper`.
        grid: its name, for headings and commands.

    Returns:
        The page's path.

    Raises:
        BadInput: when a table is missing, or a table or record cannot be read.
    """
    runs = read_runs(results_dir)
    if not runs:
        raise BadInput(
            f"{results_dir}/tables/per_seed.csv: found no run; needed at least one. "
            "Run `snakemake` to make the runs of the grid and their tables."
        )
    page = templates(autoescape=True).get_template("page.html.j2")
    html = page.render(
        grid=grid, style=text_of("page.css"), sections=page_sections(results_dir, grid, runs)
    )
    path = results_dir / "report.html"
    write_text(path, html)
    return path
