"""The champions on the page: which initialisation of each setting is ready for use."""

import json
from pathlib import Path
from typing import Any

from pipeline.config.titles import label_title
from pipeline.errors import BadInput
from pipeline.report.blocks import Block, Cell, Head, Row, Table
from pipeline.report.numbers import number
from pipeline.runs.weights import read_arrays

_NAMES = [Head("setting", tone="left")]
_HEADS = [
    Head("champion", tone="left"),
    Head("validation", "mean over validation tasks and seeds, by which it was chosen"),
    Head("best other", tone="left"),
    Head("p", "Wilcoxon signed-rank test on validation tasks, Holm-corrected"),
    Head("test", "mean over the test tasks of its seed"),
]


def champion_blocks(results_dir: Path) -> list[Block]:
    """A table of the champions that lie below `results/{grid}`, [] without any."""
    files = sorted((results_dir / "champions").glob("*.safetensors"))
    if not files:
        return []
    rows = [_row(file, _description(file)) for file in files]
    return [
        Table(
            "The best initialisation of each setting by its error on validation tasks, which no "
            "run trains on; where p is 0.05 or more, it is not separated from the best other. Its "
            "name is a link to its file.",
            _NAMES,
            _HEADS,
            rows,
        )
    ]


def _row(file: Path, about: dict[str, Any]) -> Row:
    validation = about["validation"]
    other = validation["others"][0]
    file_name = f"champions/{file.name}"
    error = "diverged" if other["error"] is None else f"{other['error']:.4f}"
    cells = [
        Cell(
            label_title(about["label"]),
            title=file_name,
            href=file_name,
            tone="left",
            note=Cell(f"seed {about['seed']}"),
        ),
        Cell(f"{validation['error']:.4f}"),
        Cell(label_title(other["label"]), tone="left", note=Cell(error)),
        Cell("not tested" if other["p"] is None else f"{other['p']:.2g}"),
        Cell(number(str(about["test"][about["measure"]]))),
    ]
    return Row([Cell(about["setting"])], cells)


def _description(file: Path) -> dict[str, Any]:
    """What a champion's file says of it."""
    try:
        about: dict[str, Any] = json.loads(read_arrays(file)[1]["initialisation"])
        return about | {"validation": about["validation"], "test": about["test"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(
            f"{file}: found no readable champion ({str(error)[:80]}); needed a file of `python -m "
            "pipeline promote`. Delete it, or choose again with that command."
        ) from error
