"""Rows that were computed in another grid lead to its runs, not to those of this one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.variants import told
from pipeline.report.evidence import read_runs_behind, record_files
from pipeline.report.explain import explain
from pipeline.report.grid_tables import read_table
from pipeline.report.page import build_report
from tests import varied_runs
from tests.table_files import build_with_claims
from tests.unit.report.page_reader import of, read_page

BASE = "cosmixture-100shot-100val"
LONG = f"{BASE}-2000steps"
SCALED = f"{BASE}-scaling-released"
VARIANT = "amaml-backward-released"
STEPS = [0, 500, 2000]


def errors(label: str, setting: str, seed: int, step: int) -> Any:
    return 1.0 + np.arange(7) / 10 + seed / 7 + len(label + setting) / 100 + step / 1e4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long horizons and variants in three grids, and one that shows their tables."""
    folder = tmp_path_factory.mktemp("grids") / "results"
    grids: dict[str, tuple[list[str], dict[str, int], list[str]]] = {
        "horizons": (["amaml_rkc", "amaml_rkc-early"], {BASE: 500, LONG: 2000}, []),
        "ablation": (["amaml", VARIANT], {BASE: 500}, []),
        "data": (["amaml"], {SCALED: 500}, ["ablation"]),
        "paper": (["amaml", "amaml_rkc"], {BASE: 500}, ["horizons", "ablation", "data"]),
    }
    variants = {
        "amaml_rkc-early": {"base": "amaml_rkc", "varied": {"early_stopping": True}},
        VARIANT: {"base": "amaml", "switched": ["backward"]},
        SCALED: {"base": BASE, "switched": ["scaling"]},
    }
    for grid, (methods, settings, companions) in grids.items():
        of = {"methods": methods, "settings": settings, "seeds": [0, 1]}
        varied_runs.write(folder / grid, errors, **of, steps=STEPS)  # type: ignore[arg-type]
        with told(variants):
            build_with_claims(
                *(folder / grid,),
                **{"grid": grid, "methods": methods, "seeds": [0, 1], "companions": companions},
                settings=[*settings],
            )
    return folder


def behind(root: Path, table: str, row: str) -> set[str]:
    """Folders of the runs behind a row of the grid `paper`, without the seed."""
    read = read_table(root / "paper", table)
    runs = read_runs_behind(root / "paper", read.rows[read.find(row)])
    assert {run.seed for run in runs} == {0, 1}
    return {run.directory.parent.relative_to(root).as_posix() for run in runs}


def test_horizons_come_from_the_companion_and_the_shorter_setting(root):
    own = f"horizons/runs/amaml_rkc/{BASE}"
    assert behind(root, "horizons", f"horizons/{BASE}/amaml_rkc/500") == {own}
    longer = behind(root, "horizons", f"horizons/{LONG}/amaml_rkc/2000")
    assert longer == {own, f"horizons/runs/amaml_rkc/{LONG}"}


def test_early_stopping_rests_on_both_horizons(root):
    found = behind(root, "early_stopping", f"horizons/{BASE}/amaml_rkc-early/500")
    assert found == {f"horizons/runs/{label}/{BASE}" for label in ("amaml_rkc", "amaml_rkc-early")}


def test_variants_and_what_they_are_compared_with(root):
    method = behind(root, "ablation", f"ablation/{BASE}/backward/amaml")
    assert method == {f"ablation/runs/{label}/{BASE}" for label in ("amaml", VARIANT)}
    data = behind(root, "ablation", f"data/{BASE}/scaling/amaml")
    assert data == {f"data/runs/amaml/{SCALED}", f"ablation/runs/amaml/{BASE}"}


def test_explain_names_the_companions_table_and_its_evidence(root):
    said = explain(
        *(root / "paper", "ablation", f"data/{BASE}/scaling/amaml", "effect"),
        database=root / "none.db",
    )
    assert "taken    from the same table of grid data" in said
    assert f"snakemake {root}/data/tables/ablation.csv --cores 1 --force --config grid=data" in said
    assert "snakemake train_all --cores 1 --resources gpu=1 --config grid=ablation" in said
    assert f"  {root}/ablation/evidence/{BASE}.parquet" in said
    assert f"  {root}/data/evidence/{SCALED}.parquet" in said
    assert f"{root}/paper/" not in said.split("\n\n", 1)[1]


def test_links_of_the_page_do_not_lead_to_runs_of_the_same_label(root):
    elements = read_page(build_report(root / "paper", grid="paper"))
    links = {a.attributes.get("title", ""): a.attributes["href"] for a in of(elements, "a")}
    there = [href for title, href in links.items() if "explain horizons" in title]
    assert set(there) == {"#evidence-companions"}
    assert "evidence-companions" in {e.attributes.get("id") for e in elements}
    own = [href for title, href in links.items() if "explain equal_cost" in title]
    assert f"#e-{BASE}.amaml_rkc" in own


def test_records_of_cells_that_no_run_made(tmp_path: Path) -> None:
    here = tmp_path / "results" / "paper"
    row = {"label": "maml_sweep", "grid": "swept"}
    peak = tmp_path / "results/swept/profile/maml_sweep.json"
    assert record_files(here, "equal_cost", row, "peak_bytes") == [peak]
    assert record_files(here, "equal_cost", row, "test_nrmse") == []
    assert record_files(here, "stiffness", {}) == [here / "studies/stability.json"]
    assert record_files(here, "fidelity", {}) == [here / "studies/fidelity.json"]
    claim = {
        "claim": "memory_below_maml:amaml_rkc",
        "record": "profile/amaml_rkc.json profile/maml.json",
    }
    assert record_files(here, "claims", claim) == [
        here / f"profile/{label}.json" for label in ("amaml_rkc", "maml")
    ]
    assert record_files(here, "claims", {"claim": "best:amaml", "record": ""}) == []
