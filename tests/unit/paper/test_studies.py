"""Sentences from constructed tables: they say what the table holds, and change with it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.files import write_json
from pipeline.paper.findings import FINDINGS, write_findings
from pipeline.paper.studies import (
    fidelity_sentence,
    noise_sentence,
    stability_sentence,
    stiffness_sentence,
)
from pipeline.tables.files import write_table
from pipeline.tables.studies import STUDY_COLUMNS, stiffness_slope, study_rows
from tests.study_records import fidelity_record, noise_record, stability_record, stiffness_entries


def tables(root: Path, **records: dict) -> dict[str, pd.DataFrame]:
    """Tables read back from the CSV that `build-tables` would write."""
    for name, record in records.items():
        write_json(root / "studies" / f"{name}.json", record)
    found = {}
    for name, rows in study_rows(root).items():
        write_table(root / "tables", name, STUDY_COLUMNS[name], rows)
        found[name] = pd.read_csv(root / "tables" / f"{name}.csv")
    return found


def test_where_backsolve_fails(tmp_path):
    said = stability_sentence(tables(tmp_path, stability=stability_record())["stability"])
    assert said == (
        "Backward re-integration diverges or errs by more than the meta-gradient itself in 2 of 2 "
        "cases from T = 50 on (in float64 in 2 of 2); up to T = 50 the largest relative error is "
        "0.03 with kept states (modified Euler), 0.01 with the Chebyshev adjoint."
    )


def test_where_it_does_not(tmp_path):
    record = stability_record({"amaml": {1.0: 0.002}, "backsolve": {1.0: 0.5}})
    said = stability_sentence(tables(tmp_path, stability=record)["stability"])
    assert said.startswith("Backward re-integration stays usable up to T = 1;")


def test_kept_states_that_diverge_are_said_to(tmp_path):
    record = stability_record({"amaml": {1.0: None}, "backsolve": {1.0: 0.5}})
    said = stability_sentence(tables(tmp_path, stability=record)["stability"])
    assert "infinite with kept states" in said


def test_fidelity_names_who_is_near_and_the_cosines_of_the_rest(tmp_path):
    said = fidelity_sentence(tables(tmp_path, fidelity=fidelity_record())["fidelity"])
    assert said == (
        "At K = 100 the meta-gradient is met to within 10% by A-MAML RKC (0.02); cosines of the "
        "others: FOMAML 0.25."
    )


def test_fidelity_where_nobody_is_near(tmp_path):
    record = fidelity_record({"fomaml": [2.0], "imaml": [None]})
    said = fidelity_sentence(tables(tmp_path, fidelity=record)["fidelity"])
    assert said.startswith("At K = 100 no method meets the meta-gradient to within 10%;")
    assert "iMAML none" in said


def test_noise_ranks_the_methods_at_the_longest_k(tmp_path):
    record = noise_record({"fomaml": -0.05, "reptile": 0.8, "amaml_rkc": 0.1, "imaml": None})
    said = noise_sentence(tables(tmp_path, noise=record)["noise"])
    assert said == (
        "At K = 100, after a short training, the directions of two meta-batches have these cosines "
        "with one another, steadiest first: on CosMixture Reptile 0.80, A-MAML RKC 0.10, FOMAML "
        "-0.05."
    )


def test_noise_without_directions_says_so(tmp_path):
    said = noise_sentence(tables(tmp_path, noise=noise_record({"imaml": None}))["noise"])
    assert said == "At K = 100 no method has directions to compare."


@pytest.mark.parametrize("slopes", [{"dopri5": 1.0, "rkc": 0.5}, {"dopri5": 0.9, "rkc": 0.62}])
def test_exponents_are_those_of_the_table(slopes):
    table = pd.DataFrame(stiffness_entries(slopes))
    for solver, slope in slopes.items():
        assert stiffness_slope(table, solver) == pytest.approx(slope, abs=2e-3)


def test_solves_that_are_not_stiff_do_not_count():
    table = pd.DataFrame(stiffness_entries())
    table.loc[table["rho_t"] == 10.0, "gradients"] = 10**9
    assert stiffness_slope(table, "rkc") == pytest.approx(0.5, abs=2e-3)
    assert stiffness_slope(table[table["rho_t"] < 50], "rkc") is None


def test_stiffness_in_words():
    said = stiffness_sentence(pd.DataFrame(stiffness_entries()))
    assert said == (
        "RK45 evaluations grow as (rho T)^1.00 and Chebyshev evaluations grow as (rho T)^0.50; at "
        "rho T = 1.6e+02 Chebyshev steps take 12.6 times fewer; solves given up: RK45 1."
    )


def test_the_file_holds_the_figures_that_are_there(tmp_path):
    tables(tmp_path, fidelity=fidelity_record())
    write_findings(tmp_path / "tables")
    found = json.loads((tmp_path / "tables/findings.json").read_text())
    assert found.keys() == {"fidelity"}
    tables(tmp_path, stability=stability_record())
    write_findings(tmp_path / "tables")
    found = json.loads((tmp_path / "tables/findings.json").read_text())
    assert {"stability", "stiffness", "fidelity"} <= found.keys() <= FINDINGS.keys()
    tables(tmp_path, noise=noise_record())
    write_findings(tmp_path / "tables")
    assert "noise" in json.loads((tmp_path / "tables/findings.json").read_text())
