"""Study records to tables: canonical order, medians, and what cannot be read."""

import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.studies import STUDIES
from pipeline.errors import BadInput
from pipeline.seals import write_sealed
from pipeline.tables.files import csv_text
from pipeline.tables.studies import STUDY_COLUMNS, study_rows
from tests.study_records import fidelity_record, noise_record, stability_record


def write(root: Path, **records: dict[str, Any]) -> Path:
    for name, record in records.items():
        write_sealed(root / "studies" / f"{name}.json", record)
    return root


def shuffled(record: dict[str, Any]) -> dict[str, Any]:
    draw = random.Random(0)
    return {
        name: draw.sample(value, len(value)) if isinstance(value, list) else value
        for name, value in record.items()
    }


def test_order_of_records_changes_no_byte(tmp_path):
    records = {
        **{"stability": stability_record(), "fidelity": fidelity_record()},
        "noise": noise_record(),
    }
    one = study_rows(write(tmp_path / "a", **records))
    other = study_rows(
        write(tmp_path / "b", **{name: shuffled(record) for name, record in records.items()})
    )
    assert set(one) == {name for card in STUDIES.values() for name in card.tables}
    for name in one:
        assert csv_text(STUDY_COLUMNS[name], one[name]) == csv_text(
            STUDY_COLUMNS[name], other[name]
        )


def test_rows_stand_in_canonical_order(tmp_path):
    rows = study_rows(write(tmp_path, stability=stability_record()))["stability"]
    assert tuple(rows[0]) == STUDY_COLUMNS["stability"]
    assert [row["method"] for row in rows][:2] == ["amaml", "amaml_rkc"]
    assert [row["initialisation"] for row in rows] == sorted(
        (row["initialisation"] for row in rows), reverse=True
    )


def test_medians_over_batches_count_divergence_as_the_worst(tmp_path):
    record = fidelity_record(errors={"fomaml": [0.1, 0.3, None], "reptile": [0.1, None, None]})
    rows = study_rows(write(tmp_path, fidelity=record))["fidelity"]
    assert set(rows[0]) == set(STUDY_COLUMNS["fidelity"])
    fomaml, reptile = (
        next(r for r in rows if (r["label"], r["inner_steps"]) == (label, 100))
        for label in ("fomaml", "reptile")
    )
    assert (fomaml["n_batches"], fomaml["n_diverged"]) == (3, 1)
    assert fomaml["relative_error"] == 0.3
    assert (reptile["n_diverged"], reptile["relative_error"], reptile["cosine"]) == (2, None, None)
    assert fomaml["own_cosine"] is None


def test_a_grid_without_studies_has_no_tables(tmp_path):
    assert study_rows(tmp_path) == {}


@pytest.mark.parametrize("broken", [{"records": [{}]}, {}, {"records": None}])
def test_a_broken_record_is_named(tmp_path, broken):
    with pytest.raises(BadInput, match=r"fidelity\.json: unreadable study"):
        study_rows(write(tmp_path, fidelity=broken))


def test_what_has_no_converged_reference_is_not_judged(tmp_path):
    """Neither as an error of 1 nor as a divergence."""
    record = stability_record()
    for entry in record["records"]:
        if entry["initialisation"] == "trained" and entry["horizon"] == 50.0:
            entry["reference_gap"] = 1.0
            if entry["status"] == "ok":
                entry["relative_error"] = 1.0
    write_sealed(tmp_path / "studies" / "stability.json", record)
    rows = study_rows(tmp_path)["stability"]
    unjudged = [row for row in rows if row["status"] == "no reference"]
    assert {(r["initialisation"], r["horizon"]) for r in unjudged} == {("trained", 50.0)}
    assert all(row["relative_error"] is None for row in unjudged)
