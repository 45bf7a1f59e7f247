"""`explain`: each value with its definition, its runs and the commands that remake them."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.report.explain import explain
from pipeline.report.grid_tables import read_table, table_names
from pipeline.runs.recipe import digest
from pipeline.seals import read_sealed, write_sealed
from tests.unit.report.conftest import SETTINGS

SYNTHETIC, RATINGS = SETTINGS


def say(results: Path, *of: str, **more: bool) -> str:
    return explain(results, *of, database=results / "none.db", **more)


@pytest.mark.parametrize("name", ["main", "per_seed", "curves", "training", "costs"])
def test_values_of_each_table(results, name):
    table = read_table(results, name)
    for place in {0, len(table.rows) // 2, len(table.rows) - 1}:
        for column in table.columns:
            said = say(results, name, table.row_names[place], column).splitlines()
            value = table.rows[place][column]
            assert said[2] == f"value    {value or 'blank: missing, undefined or not finite'}"
            assert said[3].startswith("means    ")
            assert "no definition" not in said[3], "each column of our tables has one"
            path = f"{results}/tables/{name}.csv"
            assert said[0].startswith(f"table    {path}, row {place + 1}: ")
            assert f"remake   snakemake {path} --cores 1 --force --config grid=test" in said


def test_runs_of_a_mean_over_seeds(results):
    said = say(results, "main", f"{SYNTHETIC}/amaml", "nrmse")
    assert "runs     2, seeds 0, 1" in said
    for seed in (0, 1):
        folder = results / "runs/amaml" / SYNTHETIC / str(seed)
        metrics, spec = read_sealed(folder / "metrics.json"), read_sealed(folder / "spec.json")
        assert f"  {folder}  (seed {seed})" in said
        for fact in (digest(spec), metrics["git_commit"], metrics["data"]["fingerprint"]):
            assert fact in said
        assert (
            f"rm -r {folder} && snakemake train_all --cores 1 --resources gpu=1 "
            "--config grid=test" in said
        )
        assert (
            f"python -m pipeline meta-train data/tasks/cosmixture.parquet data/episodes/"
            f"{SYNTHETIC}/{seed}.parquet {folder} --spec @{folder}/spec.json" in said
        )
    assert said.count("not logged yet") == 2
    assert "runs/fomaml" not in said


def test_a_seed_of_its_own_and_the_start_shared_by_methods(results):
    said = say(results, "per_seed", f"{RATINGS}/maml/1", "nrmse")
    assert "runs     1, seeds 1" in said
    assert "SIMULATED" in said
    said = say(results, "main", f"{SYNTHETIC}/untrained", "nrmse")
    assert "runs     2, seeds 0, 1" in said
    assert "runs/maml/" in said, "the first method's"
    said = say(results, "main", f"{SYNTHETIC}/maml", "nrmse_stderr")
    assert "standard error of nRMSE" in said
    assert "message  seed 1: meta-gradient norm" in said
    assert "failed; record here" in said


def test_a_row_that_names_nothing_rests_on_every_run(results):
    (results / "tables/claims.csv").write_text("claim,setting,outcome\nbest,all,holds\n")
    said = say(results, "claims", "best/all", "outcome")
    assert "runs     12, seeds 0, 1" in said
    (results / "tables/pairs.csv").write_text(
        f"setting,reference,other,p\n{SYNTHETIC},amaml,maml,0.01\n"
    )
    said = say(results, "pairs", "#1", "p")
    assert "runs     4, seeds 0, 1" in said
    assert "fomaml" not in said


def test_long_lists_are_cut_unless_all_are_wanted(results, monkeypatch):
    monkeypatch.setattr("pipeline.report.explain.SHOWN", 3)
    (results / "tables/claims.csv").write_text("claim,setting,outcome\nc,all,holds\n")
    said = say(results, "claims", "c/all", "outcome")
    assert said.count("recipe   ") == 3
    assert "and 9 more: give --all" in said
    assert say(results, "claims", "c/all", "outcome", everything=True).count("recipe   ") == 12


def test_costs_come_from_profiles(results):
    said = say(results, "costs", "amaml/50", "seconds")
    assert f"record   {results}/profile/amaml.json (here)" in said
    assert f"snakemake {results}/profile/amaml.json --cores 1 --force --config grid=test" in said
    assert "runs  " not in said


def test_restored_runs_and_their_evidence(results):
    path = results / "runs/amaml" / SYNTHETIC / "0/metrics.json"
    write_sealed(path, read_sealed(path) | {"restored": True})
    evidence = results / "evidence" / f"{SYNTHETIC}.parquet"
    evidence.parent.mkdir()
    evidence.write_bytes(b"")
    said = say(results, "main", f"{SYNTHETIC}/amaml", "nrmse")
    assert said.count("restored from evidence") == 1
    assert str(evidence) in said
    assert str(evidence) not in say(results, "main", f"{RATINGS}/amaml", "nrmse")


def test_runs_that_are_not_here(results):
    (results / "runs/amaml" / SYNTHETIC / "0/spec.json").unlink()
    said = say(results, "per_seed", f"{SYNTHETIC}/amaml/0", "nrmse")
    assert "record not here" in said
    assert f"--method amaml --setting {SYNTHETIC} --seed 0" in said
    assert "rm -r" not in said


def test_rows_of_names_that_no_run_has(results):
    (results / "tables/ablation.csv").write_text("setting,label,nrmse\nelsewhere,amaml,1\n")
    assert "none of the grid's runs" in say(results, "ablation", "elsewhere", "nrmse")


def test_what_is_not_there_is_refused_with_what_is(results):
    names = ", ".join(table_names(results))
    with pytest.raises(BadInput, match=rf"nope\.csv: found no such table; needed one of: {names}"):
        say(results, "nope", "a", "b")
    with pytest.raises(BadInput, match=rf"no row named 'a'.*Rows: {SYNTHETIC}/maml, "):
        say(results, "main", "a", "nrmse")
    with pytest.raises(BadInput, match=r"found no column 'nope'; needed one of: setting, dataset"):
        say(results, "main", f"{SYNTHETIC}/amaml", "nope")
    with pytest.raises(BadInput, match=rf"3 rows named '{SYNTHETIC}/amaml'; .*/amaml/0, "):
        say(results, "curves", f"{SYNTHETIC}/amaml", "nrmse")
