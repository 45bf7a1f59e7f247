"""Which grids of params.yaml have an ablation or long horizons, and from which files."""

from pathlib import Path

import pytest

from pipeline.config.expand import METHOD_POINTS, SETTING_POINTS, switched_method, switched_setting
from pipeline.config.load import read_config
from pipeline.config.schema import check_params
from pipeline.tables.optional import EXTRAS, extra_inputs, extra_tables

RAW = read_config(Path(__file__).parents[3] / "params.yaml")
PARAMS = check_params(RAW)


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
    assert extra_tables(check_params(RAW | {"grid": grid}), tmp_path) == tables


def test_paper_shows_what_its_companions_have_committed(tmp_path):
    params = check_params(RAW | {"grid": "paper"})
    for name in ("ablation/tables/ablation", "ci/tables/horizons"):
        path = tmp_path / "results" / f"{name}.csv"
        path.parent.mkdir(parents=True)
        path.touch()
    assert extra_tables(params, tmp_path) == ["ablation"]
    assert extra_inputs(params, tmp_path) == [f"{tmp_path}/results/ablation/tables/ablation.csv"]
    assert set(EXTRAS) >= set(extra_tables(params, tmp_path))


def test_points_of_the_data_wait_for_the_evidence_of_ours(tmp_path):
    params = check_params(RAW | {"grid": "ablation-data"})
    for setting in ("cosmixture-50shot-50val", "alpine-50shot-50val"):
        path = tmp_path / "results/ablation/evidence" / f"{setting}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (found,) = extra_inputs(params, tmp_path)
    assert found.endswith("ablation/evidence/cosmixture-50shot-50val.parquet")


def test_a_grid_that_replaces_k_has_one_horizon():
    grids = RAW["grids"] | {"horizons": RAW["grids"]["horizons"] | {"inner_steps": 5}}
    assert extra_tables(check_params(RAW | {"grid": "horizons", "grids": grids})) == []


def test_variants_are_known_by_their_names():
    labels = {label: switched_method(label) for label in PARAMS.methods}
    known = {label: found for label, found in labels.items() if found}
    assert known == {
        "imaml-released": ("imaml", "imaml"),
        **{
            f"amaml-{point}-released": ("amaml", point)
            for point in METHOD_POINTS
            if point != "imaml"
        },
        "amaml-released-all": ("amaml", "all"),
    }
    settings = {name: switched_setting(name) for name in PARAMS.settings}
    found = {pair for pair in settings.values() if pair}
    assert {point for _, point in found} == set(SETTING_POINTS)
    assert {base for base, _ in found} <= set(PARAMS.settings)
    assert switched_setting("cosmixture-50shot-50val-other-released") is None
