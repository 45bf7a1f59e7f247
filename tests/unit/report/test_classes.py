"""A grid of a person's own data, classes above all: tables, figures and page are of these."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.config.expand import METHOD_POINTS
from pipeline.config.measures import CLASSES
from pipeline.config.variants import told
from pipeline.figures.draw import plot_curves
from pipeline.report.explain import explain
from pipeline.report.page import build_report
from tests import run_records, table_files
from tests.unit.report.conftest import DRAWING
from tests.unit.report.page_reader import of, read_page

SETTING = "signals-10shot-10val-50steps"
CHOICE, SWITCH = "reptile-outer_lr-0.01", "amaml_rkc-released"
METHODS = ["reptile", CHOICE, "amaml_rkc", SWITCH]
VARIANTS = {
    CHOICE: {"base": "reptile", "varied": {"outer_lr": 0.01}},
    SWITCH: {"base": "amaml_rkc", "switched": [next(iter(METHOD_POINTS))]},
}
OF_THE_PAPER = (
    *("the paper", "Li et al. (2023) is", "100 most-rated", "Alpine", "CosMixture", "MovieLens"),
    *("AISTATS", "noise.json", "Runs of other grids"),  # studies and companions of its grids
)
OF_NUMBERS = ("nRMSE", "RMSE", "ratings of", "guessing the mean", "target units")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("classes") / "results" / "signals"
    given = {"methods": METHODS, "settings": [SETTING], "seeds": [0, 1]}
    with told(VARIANTS):
        run_records.write_grid(root, **given, steps=(0, 1, 50), updates=8, measure=CLASSES)
        table_files.build_with_claims(root, grid="signals", **given)
        plot_curves(root, tasks_dir=root, grid="signals", settings=[SETTING])
        build_report(root, grid="signals")
    return root


def test_tables_hold_the_errors_of_classes(made):
    rows = table_files.read(made / "tables", "main")
    records = pd.read_parquet(made / "runs/amaml_rkc" / SETTING / "0/test_rows.parquet")
    other = pd.read_parquet(made / "runs/amaml_rkc" / SETTING / "1/test_rows.parquet")
    method = table_files.row(rows, label="amaml_rkc")
    for name in CLASSES.metrics:
        means = [part.loc[part["step"] == 50, name].mean() for part in (records, other)]
        assert float(method[name]) == pytest.approx(sum(means) / 2, rel=1e-5)
    assert [row["label"] for row in rows if row["kind"] == "trivial"] == [
        *("train_frequencies", "support_frequencies")
    ]
    best = {row["label"]: float(row["log_loss"]) for row in rows if row["kind"] == "method"}
    assert table_files.row(rows, best="true")["label"] == min(best, key=lambda name: best[name])
    seed = table_files.read(made / "tables", "per_seed")[0]
    assert float(seed["best_trivial_log_loss"]) > 0
    assert float(seed["untrained_log_loss"]) > 0
    assert "target_std" not in seed
    training = table_files.read(made / "tables", "training")
    assert any(row["validation_log_loss"] for row in training)
    assert "nrmse" not in (made / "tables/curves.csv").read_text()
    summary = json.loads((made / "tables/summary.json").read_text())
    assert {*summary[SETTING]["reptile"]} == {"log_loss", "accuracy"}
    text = (made / "tables/main.md").read_text()
    assert "| predictor | log loss | accuracy | Brier score | calibration error |" in text
    assert not [word for word in (*OF_THE_PAPER, *OF_NUMBERS) if word in text]


def test_a_grid_has_the_tables_and_figures_that_mean_something(made):
    assert {path.name for path in (made / "tables").iterdir()} == {
        *("main.csv", "main.md", "per_seed.csv", "curves.csv", "training.csv", "costs.csv"),
        *("comparisons.csv", "summary.json", "choices.csv", "ablation.csv", "ablation.md"),
    }
    figures = {path.stem for path in (made / "figures").iterdir()}
    assert figures == {
        *("curves", "training", "memory", "time", "ledger", "fidelity_nrmse", "ablation"),
    }
    drawn = (made / "figures/curves.svg").read_text()
    assert "nRMSE" not in drawn
    assert "log loss" in drawn
    assert "validation log loss" in (made / "figures/training.svg").read_text()
    assert "log loss, released" in (made / "figures/ablation.svg").read_text()
    assert "Effect: log loss with" in (made / "tables/ablation.md").read_text()


def test_variants_are_compared_in_the_errors_of_classes(made):
    choices = {row["label"]: row for row in table_files.read(made / "tables", "choices")}
    main = table_files.read(made / "tables", "main")
    for label in ("reptile", CHOICE):
        assert float(choices[label]["validation_log_loss"]) > 0
        assert choices[label]["log_loss"] == table_files.row(main, label=label)["log_loss"]
    (effect,) = table_files.read(made / "tables", "ablation")
    ours, theirs = (float(effect[f"log_loss_{which}"]) for which in ("ours", "released"))
    assert float(effect["effect"]) == pytest.approx(theirs - ours, rel=1e-4)


def said_by(results: Path) -> str:
    """The page without drawings, and without the section that says whose a method is."""
    page = (results / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"base64,[^\"]+", "", page)
    return re.sub(r'<section id="methods".*?</section>', "", page, flags=re.DOTALL)


def test_nothing_on_the_page_is_of_the_paper_or_of_numbers(made):
    said = said_by(made)
    assert [word for word in (*OF_THE_PAPER, *OF_NUMBERS) if word in said] == []
    assert "nrmse" not in said.replace("figure-fidelity_nrmse", "")
    assert "log loss, and accuracy below it" in said
    sections = of(read_page(made / "report.html"), "section")
    shown = {section.attributes["id"] for section in sections if "id" in section.attributes}
    assert not shown & {"claims", "audit", "equal-cost", "ratings"}


def test_nothing_on_the_page_of_own_numbers_is_of_the_paper(tmp_path):
    given = {"methods": ["reptile", "amaml_rkc"], "settings": [SETTING], "seeds": [0]}
    run_records.write_grid(tmp_path, **given, steps=(0, 50), updates=8)
    table_files.build_with_claims(tmp_path, grid="signals", **given)
    (tmp_path / "figures").mkdir()
    for name in ("curves", "memory", "time"):
        (tmp_path / "figures" / f"{name}.svg").write_bytes(DRAWING)
    build_report(tmp_path, grid="signals")
    said = said_by(tmp_path)
    assert [word for word in OF_THE_PAPER if word in said] == []
    assert "nRMSE, and RMSE below it" in said
    assert not (tmp_path / "tables/claims.csv").exists()
    assert not (tmp_path / "tables/audit.csv").exists()


@pytest.mark.parametrize(
    ("table", "row", "column", "words"),
    [
        ("main", f"{SETTING}/reptile", "calibration", "expected calibration error"),
        ("main", f"{SETTING}/reptile", "log_loss", "-ln p of the true class"),
        ("comparisons", "#1", "difference", "log loss minus the other's"),
        ("training", f"{SETTING}/reptile/8", "validation_log_loss", "log loss on the validation"),
    ],
)
def test_numbers_are_explained(made, table, row, column, words):
    said = " ".join(explain(made, table, row, column, database=made / "none.db").split())
    assert words in said
