"""A person's own table and ratings through the real workflow, from files to the page."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.workflow.project import Project

SETTINGS = [
    {"dataset": "sensors", "shots": "5/5", "inner_steps": 5},
    {"dataset": "shop", "shots": "5/5", "inner_steps": 5},
]
DATASETS = {
    "sensors": {"table": "sensors.csv", "task": "site", "inputs": ["hour", "kind"], "target": "y"},
    "shop": {
        "ratings": "shop.csv",
        "columns": {"user": "customer", "item": "sku", "rating": "stars"},
    },
}
CLASSES = {"loss": "cross_entropy"}


def write_files(folder: Path) -> None:
    """140 sites whose curves differ by a shift and a factor; 140 customers of 20 articles."""
    draw = np.random.default_rng(0)
    tables, ratings = [], []
    for number in range(140):
        hour = draw.uniform(0, 24, 15).round(3)
        kind = draw.choice(["old", "new"], 15)
        y = number % 7 + np.sin(hour / 4) * (1 + number % 3) + (kind == "old")
        tables.append(pd.DataFrame({"site": f"s{number}", "hour": hour, "kind": kind, "y": y}))
        items = draw.choice(20, 12, replace=False)
        stars = np.clip(np.rint(3 + draw.normal(size=12) + items % 3 - 1), 1, 5).astype(int)
        named = {"customer": f"c{number}", "sku": [f"00{i}" for i in items], "stars": stars}
        ratings.append(pd.DataFrame(named))
    pd.concat(tables).to_csv(folder / "sensors.csv", index=False)
    pd.concat(ratings).to_csv(folder / "shop.csv", index=False, sep=";")


@pytest.fixture
def own(fresh: Project) -> Project:
    write_files(fresh.root)
    fresh.set(
        datasets=DATASETS,
        grids__ci__settings=SETTINGS,
        grids__ci__methods=["fomaml", "amaml_rkc"],
        grids__ci__studies={},
        grids__ci__profile={"inner_steps": [1], "repeats": 1},
    )
    return fresh


def test_from_files_to_the_page_and_what_a_change_makes_stale(own: Project) -> None:
    own.snakemake()
    assert own.planned() == Counter()
    main = pd.read_csv(own.path("results/ci/tables/main.csv"))
    assert set(main["status"].dropna()) == {"ok"}
    labels = main.groupby("dataset")["label"].apply(set)
    assert labels["sensors"] >= {"fomaml", "amaml_rkc", "untrained", "global_mean", "support_mean"}
    assert labels["shop"] >= {"fomaml", "amaml_rkc", "item_mean", "item_user_offset"}
    page = own.path("results/ci/report.html").read_text()
    assert "Your own" in page
    assert "mlflow.db" in {path.name for path in own.root.iterdir()}

    with own.path("sensors.csv").open("a") as file:
        file.write("s0,1,old,2\n")
    planned = own.planned()
    assert planned["build_tasks"] == 1
    assert planned["build_ratings"] == 0
    assert planned["meta_train"] == 2, "those of the shop stay"

    own.path("sensors.csv").unlink()
    said = own.snakemake("--dry-run", rc=2)
    assert "datasets.sensors: found no file sensors.csv" in said
    assert "Traceback" not in said


def test_a_faulty_file_fails_its_job_with_the_line(own: Project) -> None:
    text = own.path("sensors.csv").read_text().splitlines()
    text[41] = text[41].rsplit(",", 1)[0] + ",many"
    own.path("sensors.csv").write_text("\n".join(text))
    own.snakemake("data_all", "--keep-going", rc=1)
    said = own.path("logs/build_tasks/sensors.log").read_text()
    assert "sensors.csv: line 42: column 'y': found 'many', needed a number" in said
    assert "Traceback" not in said
    assert not own.path("data/tasks/sensors.parquet").exists()
    assert own.path("data/tasks/shop.parquet").is_file()


@pytest.mark.slow  # trains another grid
def test_classes_go_to_the_page_and_are_predicted_for_a_new_task(own: Project) -> None:
    frame = pd.read_csv(own.path("sensors.csv"))
    frame["y"] = pd.cut(frame["y"], [-10, 2, 5, 10], labels=["low", "middle", "high"])
    frame.to_csv(own.path("signals.csv"), index=False)
    setting = "signals-5shot-5val-5steps"
    own.set(
        datasets={"signals": DATASETS["sensors"] | {"table": "signals.csv", **CLASSES}},
        grids__ci__settings=[SETTINGS[0] | {"dataset": "signals"}],
        grids__ci__seeds=[0],
        grids__ci__seeds_per_job=1,
    )
    said = own.snakemake()
    assert "log loss" in said
    main = pd.read_csv(own.path("results/ci/tables/main.csv")).set_index("label")
    assert {"train_frequencies", "support_frequencies", "untrained"} <= set(main.index)
    assert main.loc[["fomaml", "amaml_rkc"], "log_loss"].between(0, 1.5).all()
    page = own.path("results/ci/report.html").read_text()
    assert "log loss" in page
    assert not any(word in page for word in ("nRMSE", "RMSE", "100 most", "arXiv", "item mean"))

    rows = own.path("signals.csv").read_text().splitlines()
    own.path("support.csv").write_text("\n".join(rows[:8]))
    run = f"results/ci/runs/amaml_rkc/{setting}/0"
    command = ("python", "-m", "pipeline", "adapt", run, "support.csv", "query.csv")
    own.path("query.csv").write_text(f"{rows[0]}\ns1,3,ancient,low\n")
    said = own.run(*command, rc=2)
    assert "query.csv: line 2: column 'kind': found 'ancient', needed one of new, old" in said
    own.path("query.csv").write_text("\n".join([rows[0], *rows[8:12]]))
    said = own.run(*command)
    assert "hour,kind,y,prediction,p(high),p(low),p(middle)" in said
    assert "trained on 7 rows, 4 predicted: accuracy" in said
