"""Table and figure of how the norms of tasks' meta-gradients are spread."""

import numpy as np
import pandas as pd
import pytest

from pipeline.figures.norms import draw_norms
from pipeline.runs.records import NORMS
from pipeline.seals import read_sealed, write_sealed
from pipeline.tables.files import cell
from tests import run_records
from tests.sealed_frames import write_frame
from tests.table_files import SETTING, build, read, row

METHODS = ["fomaml", "amaml"]


@pytest.fixture
def grid(tmp_path):
    """Curves with norms; `amaml` clips."""
    run_records.write_grid(
        tmp_path, methods=METHODS, settings=[SETTING], inner_steps=5, steps=(0, 5), updates=30
    )
    for label in METHODS:
        for folder in (tmp_path / "runs" / label / SETTING).iterdir():
            curve = pd.read_parquet(folder / "curve.parquet")
            scale = (1 + int(folder.name)) * curve["update"].to_numpy(float)
            for place, name in enumerate(NORMS):
                curve[name] = scale * (place + 1)
            write_frame(curve, folder / "curve.parquet")
    return tmp_path


def ask(grid, label, aggregate):
    for folder in (grid / "runs" / label / SETTING).iterdir():
        spec = read_sealed(folder / "spec.json")
        write_sealed(folder / "spec.json", spec | {"training": {"aggregate": aggregate}})


def test_norms_are_means_over_seeds_of_all_methods(grid):
    ask(grid, "amaml", "clip")
    rows = read(build(grid), "norms")
    assert {r["label"] for r in rows} == set(METHODS)
    found = row(rows, label="fomaml", update=7)
    assert found["n_seeds"] == "2"
    assert [found[name] for name in NORMS] == [cell(1.5 * 7 * (k + 1)) for k in range(5)]


def test_a_grid_of_plain_means_has_no_such_table(grid):
    ask(grid, "amaml", "clip")
    folder = build(grid)
    ask(grid, "amaml", "mean")
    build(grid)
    assert not list(folder.rglob("norms.csv"))


def test_runs_of_before_have_no_row(grid):
    ask(grid, "amaml", "unit")
    for folder in (grid / "runs" / "fomaml" / SETTING).iterdir():
        curve = pd.read_parquet(folder / "curve.parquet")
        write_frame(curve.drop(columns=[*NORMS]), folder / "curve.parquet")
    assert {r["label"] for r in read(build(grid), "norms")} == {"amaml"}


def test_the_figure_has_tails_above_and_shares_below():
    norms = pd.DataFrame({"setting": SETTING, "label": "fomaml", "update": [1, 2], "n_seeds": 1})
    norms[list(NORMS)] = np.array([[1, 2, 3, 8, 0.5], [1, 2, 3, 4, 0.25]])
    main = pd.DataFrame({"setting": [SETTING], "dataset": "alpine", "simulated": False})
    figure = draw_norms(norms, main, [SETTING])
    above, below = figure.axes
    assert above.lines[0].get_ydata().tolist() == [4, 2]
    assert below.lines[0].get_ydata().tolist() == [0.5, 0.25]
