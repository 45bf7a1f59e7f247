"""Cards of tables and figures: which grid has which."""

import importlib
from pathlib import Path

import pytest

from pipeline.config.figures import FIGURES, figures_of
from pipeline.config.load import read_config
from pipeline.config.measures import MEASURES
from pipeline.config.schema import Params, check_params
from pipeline.config.studies import STUDIES, Studies
from pipeline.config.tables import TABLES, tables_of
from pipeline.figures.draw import DRAW
from pipeline.tables.build import columns_of

RAW = read_config(Path(__file__).parents[3] / "params.yaml")
PARAMS = check_params(RAW)


def shared(params: Params, root: Path = Path()) -> list[str]:
    """Those tables of a grid that companions may show."""
    return [name for name in tables_of(params, root) if TABLES[name].of_companions]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_table_has_a_card_and_columns(measure):
    assert TABLES.keys() == columns_of(measure).keys() | {"claims"}


def test_every_card_has_its_drawing_and_no_other_has():
    assert FIGURES.keys() == DRAW.keys()
    assert {table for card in FIGURES.values() for table in card.tables} <= TABLES.keys()
    assert {table for card in STUDIES.values() for table in card.tables} <= TABLES.keys()
    assert STUDIES.keys() == Studies.model_fields.keys()
    for name, card in STUDIES.items():
        assert callable(getattr(importlib.import_module(card.module), card.function)), name


def test_a_grid_has_what_its_data_and_studies_allow(tmp_path):
    of = {name: check_params(RAW | {"grid": name}) for name in ("ratings", "swept", "paper")}
    tables = {name: tables_of(params, tmp_path) for name, params in of.items()}
    figures = {name: figures_of(params, tmp_path) for name, params in of.items()}
    assert "audit" in tables["ratings"]
    assert "equal_cost" not in tables["ratings"]
    assert "audit" not in tables["swept"]
    assert {"equal_cost", "instances"} <= {*figures["swept"]}
    assert {*STUDIES} <= {*tables["paper"]}
    assert {"ledger", "stiffness", "ratings"} <= {*figures["paper"]}


@pytest.mark.parametrize(
    ("grid", "tables"),
    [
        *((name, []) for name in ("ci", "quickstart", "ratings", "paper", "swept")),
        ("horizons", ["horizons", "early_stopping"]),
        ("choices", ["choices"]),
        ("ablation", ["ablation"]),
        ("ablation-data", ["ablation"]),
    ],
)
def test_tables_that_a_grid_has_by_itself(grid, tables, tmp_path):
    assert shared(check_params(RAW | {"grid": grid}), tmp_path) == tables


def test_paper_shows_what_its_companions_have_committed(tmp_path):
    params = check_params(RAW | {"grid": "paper"})
    for name in ("ablation/tables/ablation", "ci/tables/horizons"):
        path = tmp_path / "results" / f"{name}.csv"
        path.parent.mkdir(parents=True)
        path.touch()
    assert shared(params, tmp_path) == ["ablation"]
    assert "ablation" in figures_of(params, tmp_path)


def test_a_grid_that_replaces_k_has_one_horizon():
    grids = RAW["grids"] | {"horizons": RAW["grids"]["horizons"] | {"inner_steps": 5}}
    assert shared(check_params(RAW | {"grid": "horizons", "grids": grids})) == []
