"""The command that takes in a person's own file: what it holds, an entry of params, a grid."""

import io
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import ParamsFile, parameters
from pipeline.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from pipeline.config.own_grid import Proposal
    from pipeline.config.own_guess import Guess
    from pipeline.config.schema import Params
    from pipeline.data.own_look import ColumnLook

CLASSES_SHOWN = 10


def add_data(
    file: Annotated[Path, typer.Argument(help="CSV of any delimiter, or Parquet")],
    name: Annotated[str | None, typer.Option(help="of the data set; default: the file's")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="says the task of a row")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="is to be predicted")] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="A,B", help="columns it is predicted from; default: all")
    ] = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B", help="inputs whose numbers are categories")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="train, validation or test of each task")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="binary or cross_entropy: the target holds classes")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="COLUMN", help="of ratings")] = None,
    item: Annotated[str | None, typer.Option(metavar="COLUMN", help="of ratings")] = None,
    rating: Annotated[str | None, typer.Option(metavar="COLUMN", help="of ratings")] = None,
    missing: Annotated[
        str, typer.Option(help="refuse, or drop: leave out rows in which a value is missing")
    ] = "refuse",
    delimiter: Annotated[str | None, typer.Option(help="of a text file; default: found")] = None,
    look: Annotated[bool, typer.Option("--look", help="only print; write nothing")] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Take in a file of many small tasks, or of ratings: print what it holds, and make it a grid.

    Reads the file as the workflow will. Writes an entry under `datasets` of --params and
    grids/NAME.yaml, after which `snakemake --config grid=NAME` does the rest. What columns are
    for is guessed from their names and values; an option says it where that fails.
    """
    from pipeline.config.own_data import LOSSES
    from pipeline.config.own_grid import propose
    from pipeline.config.own_guess import Said, guess
    from pipeline.config.predictors import kind_of
    from pipeline.data.cards import OF_CLASSES
    from pipeline.data.own_look import look_at

    if missing not in ("refuse", "drop"):
        raise BadInput(f"--missing: found {missing!r}, allowed: refuse, drop.")
    if loss not in (None, *(known := (*LOSSES, *OF_CLASSES))):
        raise BadInput(f"--loss: found {loss!r}, allowed: {', '.join(known)}.")
    said = Said(
        task=task,
        target=target,
        inputs=_listed(inputs),
        categories=_listed(categories),
        split=split,
        user=user,
        item=item,
        rating=rating,
        missing="drop" if missing == "drop" else "refuse",
        delimiter=delimiter,
        loss=loss,
    )
    named = name or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "own"
    loaded = parameters(params)
    if not look:
        _refuse_taken(loaded, params, named, file)
    looks = look_at(file, delimiter=delimiter, texts=said.categories)
    found = guess(str(file), looks, said)
    found.entry = {found.kind: _place(file, params.parent)} | found.entry
    about, counts = _tried(file, named, found)
    kind = kind_of(ratings=found.kind == "ratings", loss=found.entry.get("loss", ""))
    has_split = "split" in found.entry
    proposal = propose(str(file), counts, loaded.data, has_split=has_split, kind=kind)
    found.entry |= proposal.own_sizes
    typer.echo(_told(file, looks, found, about, counts, proposal), nl=False)
    if look:
        return
    grid = _write(params, named, found, proposal)
    typer.echo(
        f"Written: datasets.{named} in {params}, and {grid}. Next:\n\n"
        f"    snakemake champions --cores 2 --config grid={named}\n"
    )


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in names.split(",") if part.strip()) if names else ()


def _place(file: Path, folder: Path) -> str:
    """From the project's folder where the file lies in it, else absolute."""
    whole, root = file.resolve(), folder.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


def _refuse_taken(loaded: "Params", params: Path, name: str, file: Path) -> None:
    """Refuse a name that is none, or is one of a data set or grid that is there."""
    from pipeline.config.card import NAME
    from pipeline.config.grids import DATASETS, grid_file
    from pipeline.config.load import parse_yaml
    from pipeline.data.own_files import is_number

    if not re.fullmatch(NAME, name):
        raise BadInput(f"--name: found '{name}'; names have letters, digits, `._-` only.")
    if parse_yaml(name) != name or is_number(name):
        raise BadInput(
            f"{file}: found the name '{name}', which stands for another thing in YAML; needed one "
            f"that is a text. Give another: --name own-{name}."
        )
    grid = grid_file(params.as_posix(), name)
    taken = [f"datasets.{name} in {params}"] * (name in loaded.datasets)
    taken += [f"{name}, a data set that is there"] * (name in DATASETS)
    taken += [grid] * Path(grid).exists()
    if taken:
        raise BadInput(
            f"{file}: found {' and '.join(taken)}, and overwrites nothing. Give another "
            "--name, or delete what is there first."
        )


def _tried(file: Path, name: str, found: "Guess") -> "tuple[dict[str, Any], np.ndarray]":
    """The file read as the workflow will read it: what it tells, and the rows of each task."""
    import numpy as np
    import pyarrow.parquet as pq

    from pipeline.config.own_data import OWN_KINDS
    from pipeline.data.own_tasks import build_own_ratings, build_table_tasks
    from pipeline.data.task_sets import build_rating_tasks

    given: Any = OWN_KINDS[found.kind].model_validate(found.entry | {found.kind: str(file)})
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.parquet"
        if found.kind == "table":
            about = build_table_tasks(given.named(name), tasks, metadata={})
        else:
            ratings = Path(folder) / "ratings.parquet"
            about = build_own_ratings(given.named(name), ratings, metadata={})
            least = given.min_ratings
            try:
                about |= build_rating_tasks(
                    ratings, tasks, n_items=None, min_ratings=least, metadata={}
                )
            except BadInput as error:
                raise BadInput(str(error).replace(str(ratings), str(file))) from None
        rows = pq.read_table(tasks, columns=["task"]).column("task").to_numpy()
    return about, np.unique(rows, return_counts=True)[1]


def _told(
    file: Path,
    looks: "Sequence[ColumnLook]",
    found: "Guess",
    about: dict[str, Any],
    counts: "np.ndarray",
    proposal: "Proposal",
) -> str:
    """What was found and what is made of it, for people."""
    import numpy as np
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for head in ("column", "holds", "missing", "what is done with it"):
        table.add_column(head, justify="right" if head == "missing" else "left")
    for one in looks:
        table.add_row(one.name, _holds(one), str(one.missing or ""), found.roles[one.name])
    out = io.StringIO()
    Console(file=out, width=100, color_system=None, highlight=False).print(table)
    task = found.entry.get("task") or found.entry["columns"]["user"]
    lines = [
        f"{file}: {looks[0].rows:,} rows, {len(looks)} columns",
        *(line.rstrip() for line in out.getvalue().splitlines()),
        f"Tasks ({task}): {len(counts):,}; rows of a task: {counts.min()} at fewest, "
        f"{np.median(counts):g} in the median, {counts.max():,} at most.",
    ]
    if "items" in about:
        lines.append(f"Items: {about['items']:,}; ratings from {about['lo']:g} to {about['hi']:g}.")
    if "classes" in about:
        shown = ", ".join(about["classes"][:CLASSES_SHOWN])
        more = ", ..." if len(about["classes"]) > CLASSES_SHOWN else ""
        lines.append(f"Classes ({about['target']}): {len(about['classes'])}: {shown}{more}.")
    if about["dropped"]:
        lines.append(f"Left out: {about['dropped']:,} rows with missing values.")
    if about.get("repeated"):
        lines.append(f"Rows that stand there once more: {about['repeated']:,}; they are kept.")
    shots = proposal.shots
    lines.append(
        f"Grid: a task is trained on {shots} rows and tested on others; "
        + (
            "the split says which tasks are for what."
            if "split" in found.entry
            else f"{proposal.test_tasks} test and {proposal.validation_tasks} validation tasks."
        )
    )
    return "\n".join(lines) + "\n"


def _holds(one: "ColumnLook") -> str:
    if one.kind == "neither":
        return "neither numbers nor texts"
    if one.kind in ("array", "number") and math.isnan(one.low):
        return "nothing"
    if one.kind == "array":
        return f"array of {'x'.join(map(str, one.shape))}, {one.low:.3g} to {one.high:.3g}"
    if one.kind == "number":
        whole = "whole numbers" if one.is_whole else "numbers"
        return f"{whole}, {one.low:g} to {one.high:g}"
    shown = ", ".join(one.values[:3]) + (", ..." if one.distinct > 3 else "")
    return f"{one.distinct:,} texts" + (f": {shown}" if one.values else "")


def _write(params: Path, name: str, found: "Guess", proposal: "Proposal") -> Path:
    """Add the entry and write the grid, once both are found to be sound together."""
    from pipeline.config.add_entry import with_entry
    from pipeline.config.grids import grid_file
    from pipeline.config.load import parse_yaml, read_config
    from pipeline.config.schema import check_params
    from pipeline.files import replacing

    with params.open(encoding="utf-8", newline="") as opened:
        before = opened.read()
    text = with_entry(before, "datasets", name, found.entry, str(params))
    grid = Path(grid_file(params.as_posix(), name))
    raw = read_config(params)
    raw["datasets"] = parse_yaml(text)["datasets"]
    raw["grids"][name] = parse_yaml(proposal.grid(name))
    check_params(raw | {"grid": name}, where=params.as_posix())
    # renamed from the inside out: a grid alone would name data that are not there
    with replacing(grid) as new_grid, replacing(params) as new_params:
        new_grid.write_text(proposal.grid(name), encoding="utf-8")
        new_params.write_bytes(text.encode())
    return grid


COMMANDS = (add_data,)
