"""A tiny run with weights, for tests of what can be done with them; and files of its test tasks."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.episodes import load_episodes
from pipeline.data.schemas import read_metadata
from pipeline.runs.job import run
from tests.unit.tiny_runs import make_files, recipe

Made = tuple[Path, Path, Path]  # tasks, episodes, folder of the run


def make(root: Path, setting: str) -> Made:
    tasks, episodes = make_files(root, setting)
    given = recipe("reptile", setting) | {"dtype": "float64"}
    run(given, tasks, episodes, root / "run", device="cpu")
    return tasks, episodes, root / "run"


def rows_of(made: Made, place: int) -> tuple[np.ndarray, ...]:
    """Support and query of a test task, in raw units, without padding."""
    episodes = load_episodes(made[0], made[1])
    given, scaling = episodes.test, episodes.scaling
    support, query = given.s_weight[place] > 0, given.q_weight[place] > 0
    x, qx = given.sx[place][support], given.qx[place][query]
    if not episodes.n_items:
        x, qx = (part * scaling.x_std + scaling.x_mean for part in (x, qx))
    y, qy = (scaling.to_raw_y(part) for part in (given.sy[place][support], given.qy[place][query]))
    return x, y, qx, qy


def write(path: Path, header: list[str], *columns: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *zip(*columns, strict=True)])
    return path


def files_of(made: Made, folder: Path, place: int = 0) -> tuple[Path, Path, np.ndarray]:
    """Support and query files of a test task, and what is right there."""
    x, y, qx, qy = rows_of(made, place)
    if x.ndim == 1:
        names = np.array(read_metadata(made[0])["item_ids"])
        parts, asked, header = [names[x]], [names[qx]], ["item"]
        target = "rating"
    else:
        parts, asked, header, target = [*x.T], [*qx.T], ["x0", "x1"], "y"
    support = write(folder / "support.csv", [*header, target], *parts, y)
    query = write(folder / "query.csv", [*header, target], *asked, qy)
    return support, query, qy
