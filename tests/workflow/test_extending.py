"""docs/extending.md and docs/own-model.md as they are written: files added, shown everywhere."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.workflow.project import ROOT, Project

pytestmark = pytest.mark.slow  # minutes of the real engines

GUIDE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
OWN_MODEL = (ROOT / "docs/own-model.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE + OWN_MODEL, re.S))
SCHEMA = "workflow/schemas/params.schema.json"
SETTING = "cosmixture-50shot-50val"


def follow(project: Project, *names: str) -> None:
    """Write the guide's files with these names."""
    files = {path: text for path, text in FILES.items() if Path(path).stem in names}
    assert files
    for path, text in files.items():
        assert not project.path(path).exists()
        project.path(path).write_text(text, encoding="utf-8")


def reduce(project: Project, methods: list[str], settings: list[dict[str, str]]) -> None:
    """The grid `ci` with few runs and no studies."""
    project.set(
        grids__ci__methods=methods,
        grids__ci__settings=settings,
        grids__ci__seeds=[0],
        grids__ci__studies={},
        grids__ci__profile={"inner_steps": [1], "repeats": 1},
    )


@pytest.mark.timeout(300)
def test_a_method_is_a_module_and_a_card(fresh: Project) -> None:
    follow(fresh, "heavy_ball")
    fresh.set(methods__heavy_ball={"momentum": 0.5})
    fresh.run("python", "-m", "pipeline", "schema", SCHEMA)  # what `make schema` does
    reduce(fresh, ["fomaml", "heavy_ball"], [{"dataset": "cosmixture", "shots": "50/50"}])
    fresh.snakemake()
    results = fresh.path("results/ci")
    for table in ("main", "per_seed", "curves", "training", "costs", "equal_cost"):
        text = (results / f"tables/{table}.csv").read_text(encoding="utf-8")
        assert "heavy_ball" in text, table
    assert "MAML, heavy ball" in (results / "tables/main.md").read_text(encoding="utf-8")
    figure = (results / "figures/curves.svg").read_text(encoding="utf-8")
    assert "#332288" in figure
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "gradient descent with momentum" in report
    said = fresh.run(
        "python", "-m", "pipeline", "explain", "main", f"{SETTING}/heavy_ball", "nrmse"
    )
    assert re.search(r"MLflow +[0-9a-f]{32}", said)
    changed = fresh.run("git", "diff", "--name-only", "--", "pipeline", "workflow")
    assert changed.split() == [SCHEMA]


@pytest.mark.timeout(300)
def test_a_family_is_one_file(fresh: Project) -> None:
    follow(fresh, "ripple")
    reduce(fresh, ["fomaml"], [{"dataset": "ripple", "shots": "50/50", "inner_steps": 200}])
    fresh.snakemake()
    results = fresh.path("results/ci")
    assert "ripple-50shot-50val" in (results / "tables/main.csv").read_text(encoding="utf-8")
    assert "Ripple" in (results / "report.html").read_text(encoding="utf-8")
    assert (results / "figures/instances.svg").is_file()
    said = fresh.run(
        "python",
        "-m",
        "pipeline",
        "explain",
        "main",
        "ripple-50shot-50val-200steps/fomaml",
        "nrmse",
    )
    assert re.search(r"MLflow +[0-9a-f]{32}", said)
    assert fresh.run("git", "diff", "--name-only", "--", "pipeline", "workflow") == ""


@pytest.mark.timeout(600)
def test_a_model_and_a_loss_are_files(fresh: Project) -> None:
    """A convolutional network on images of tasks, and a loss, through everything."""
    follow(fresh, "my_models", "my_losses")
    own: dict = {}
    for block in re.findall(r"```yaml\n(.*?)```", OWN_MODEL, re.S):
        own |= yaml.safe_load(block)
    own["datasets"]["images"] |= {"test_tasks": 5, "validation_tasks": 2}
    images().to_parquet(fresh.path("images.parquet"))
    fresh.set(**own)
    reduce(
        fresh, ["fomaml", "amaml_rkc"], [{"dataset": "images", "shots": "5/5", "inner_steps": 5}]
    )
    fresh.set(grids__ci__training={"meta_updates": 5})
    said = fresh.run("python", "-m", "pipeline", "plan", "--grid", "ci")
    assert "images" in said
    fresh.snakemake()
    main = pd.read_csv(fresh.path("results/ci/tables/main.csv"))
    assert set(main["status"].dropna()) == {"ok"}
    network = "my_models.ConvNet(channels=4), loss my_losses.pinball"
    assert network in fresh.path("results/ci/report.html").read_text(encoding="utf-8")
    row = "images-5shot-5val-5steps/amaml_rkc"
    said = fresh.run("python", "-m", "pipeline", "explain", "main", row, "nrmse")
    assert network in said

    def edit(name: str, text: str, other: str) -> None:
        file = fresh.path(name)
        file.write_text(file.read_text(encoding="utf-8").replace(text, other), encoding="utf-8")

    edit("my_models.py", "A small", "A very small")
    assert fresh.planned() == Counter()
    edit("my_models.py", "nn.Tanh", "nn.Sigmoid")
    planned = fresh.planned()
    assert (planned["meta_train"], planned["build_reference"], planned["build_tasks"]) == (2, 1, 0)
    edit("my_models.py", "nn.AvgPool2d(2)", "nn.AvgPool2d(3)")
    said = fresh.snakemake("train_all", rc=1)
    log = fresh.path("logs/build_reference/ci/images-5shot-5val-5steps/0.log")
    assert "models: my_models.ConvNet, loss: my_losses.pinball: " in log.read_text(encoding="utf-8")
    assert "Traceback" not in log.read_text(encoding="utf-8")
    edit("my_models.py", "class ConvNet", "class ConvNet2")
    assert "found no ConvNet in" in fresh.run("python", "-m", "pipeline", "check-params", rc=2)
    edit("my_models.py", "class ConvNet2", "class (")
    assert "my_models.py:7: found no Python" in fresh.snakemake("--dry-run", rc=2)


def images() -> pd.DataFrame:
    """30 cameras that see a spot, and say where it is, each in its own direction."""
    draw = np.random.default_rng(0)
    down, right = np.mgrid[0:8, 0:8]
    frames = []
    for number in range(30):
        place = draw.uniform(1, 6, (14, 2, 1, 1))
        spots = np.exp(-((down - place[:, 0]) ** 2 + (right - place[:, 1]) ** 2) / 2)
        along = place[:, :, 0, 0] @ draw.normal(size=2)
        camera = f"camera {number}"
        frames.append(pd.DataFrame({"camera": camera, "image": list(spots.reshape(14, -1))}))
        frames[-1]["place"] = along
    return pd.concat(frames, ignore_index=True)
