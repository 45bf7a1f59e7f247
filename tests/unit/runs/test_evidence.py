"""Evidence: small, the same bytes in any order, and the tables again without the records."""

import json
import os
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.measures import CLASSES, MEASURES, NUMBERS, Measure
from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.jobs.restore import keep_finished
from pipeline.runs.evidence import Restored, add_reference, add_runs, evidence_file, restore
from pipeline.runs.evidence_files import read_files, runs_file, runs_schema, write_files
from pipeline.runs.records import REFERENCE_PARAMETERS, read_reference, read_run, reference_file
from pipeline.seals import read_sealed, summed_bytes, sums_file, write_sealed
from tests import run_records
from tests.table_files import SETTING, build

METHODS = ("fomaml", "amaml")
GRID = {"methods": list(METHODS), "settings": [SETTING], "seeds": [0, 1]}


def write(root: Path, measure: Measure, setting: str = SETTING) -> Path:
    """350 updates, so that curves are thinned; one run that failed."""
    return run_records.write_grid(
        root, methods=METHODS, settings=[setting], updates=350, measure=measure,
        failed=[("fomaml", setting, 1)],
    )  # fmt: skip


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return write(tmp_path / "grid", NUMBERS)


@pytest.fixture(params=MEASURES, ids=lambda measure: measure.name)
def each_grid(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One of each measure."""
    return write(tmp_path / "grid", request.param)


def number(recipe: dict) -> dict[str, float | None]:
    """What the code does, laid down by hand."""
    return {"number": 1.0, "target_std": 2.0}


def folders(root: Path, setting: str = SETTING) -> list[Path]:
    return [root / "runs" / m / setting / str(s) for m in METHODS for s in (0, 1)]


def carriers(root: Path, setting: str = SETTING) -> list[Path]:
    return [folder / "spec.json" for folder in folders(root, setting)]


def wanted(root: Path, setting: str = SETTING) -> list[tuple[Path, dict]]:
    return [(path, read_sealed(path)) for path in carriers(root, setting)]


def written(rows_file: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in rows_file.parent.glob("*.parquet")}


@pytest.mark.parametrize(
    ("measure", "setting"), [(NUMBERS, SETTING), (CLASSES, "signals-10shot-15val-50steps")]
)
def test_tables_made_of_restored_records_are_the_same_bytes(
    measure: Measure, setting: str, tmp_path: Path
) -> None:
    grid = write(tmp_path / "grid", measure, setting)
    keep_finished(grid, **GRID | {"settings": [setting]})
    tables = build(grid, settings=[setting])
    before = {path.name: path.read_bytes() for path in tables.iterdir()}
    assert measure.name.encode() in before["main.csv"]
    runs = wanted(grid, setting)
    shutil.rmtree(grid / "runs")
    assert restore(evidence_file(grid, setting), runs, number).files == carriers(grid, setting)
    shutil.rmtree(grid / "tables")
    build(grid, settings=[setting])
    assert {path.name: path.read_bytes() for path in tables.iterdir()} == before


def test_restored_test_rows_are_those_of_the_record(each_grid: Path) -> None:
    keep_finished(each_grid, **GRID)
    before = {folder: read_run(folder) for folder in folders(each_grid)}
    runs = wanted(each_grid)
    shutil.rmtree(each_grid / "runs")
    restore(evidence_file(each_grid, SETTING), runs, number)
    order = ["predictor", "step", "task"]
    for folder, run in before.items():
        found = read_run(folder)
        assert found.theta is None
        assert (found.spec, found.metrics) == (run.spec, run.metrics | {"restored": True})
        pd.testing.assert_frame_equal(
            found.test_rows.sort_values(order, ignore_index=True),
            run.test_rows.sort_values(order, ignore_index=True),
            check_exact=True,
        )


def test_restored_runs_may_be_kept_again(each_grid: Path) -> None:
    rows_file = evidence_file(each_grid, SETTING)
    keep_finished(each_grid, **GRID)
    before = written(rows_file)
    runs = wanted(each_grid)
    shutil.rmtree(each_grid / "runs")
    restore(rows_file, runs, number)
    keep_finished(each_grid, **GRID)
    assert written(rows_file) == before


def test_the_order_of_jobs_changes_no_byte(grid: Path, tmp_path: Path) -> None:
    one, other = (evidence_file(tmp_path / name, SETTING) for name in ("one", "other"))
    jobs = [folders(grid)[:2], folders(grid)[2:]]
    for job in jobs:
        add_runs(one, job, number)
    for job in reversed(jobs):
        add_runs(other, job[::-1], number)
    assert written(one) == written(other)


def test_a_reference_may_come_before_the_runs(each_grid: Path, tmp_path: Path) -> None:
    one, other = (evidence_file(tmp_path / name, SETTING) for name in ("one", "other"))
    spec = read_sealed(carriers(each_grid)[0])
    reference = read_reference(reference_file(each_grid, SETTING, 0))
    add_runs(one, folders(each_grid), number)
    add_reference(one, spec, reference, number)
    add_reference(other, spec, reference, number)
    add_runs(other, folders(each_grid), number)
    assert written(one) == written(other)


def test_jobs_that_end_together_lose_nothing(grid: Path) -> None:
    rows_file = evidence_file(grid, SETTING)
    with ProcessPoolExecutor(4) as pool:
        jobs = [[folder] for folder in folders(grid)]
        list(pool.map(add_runs, [rows_file] * 4, jobs, [number] * 4))
    runs = wanted(grid)
    shutil.rmtree(grid / "runs")
    assert restore(rows_file, runs, number).files == carriers(grid)


def test_another_recipe_is_not_restored(grid: Path) -> None:
    keep_finished(grid, **GRID)
    runs = [(folder, spec | {"support": 11}) for folder, spec in wanted(grid)]
    shutil.rmtree(grid / "runs")
    found = restore(evidence_file(grid, SETTING), runs, number)
    assert (found.files, found.refused) == ([], {})
    assert not (grid / "runs").exists()


def test_code_that_behaves_as_it_did_restores_under_the_new_recipe(grid: Path) -> None:
    keep_finished(grid, **GRID)
    runs = [(folder, spec | {"code": "of today"}) for folder, spec in wanted(grid)]
    shutil.rmtree(grid / "runs")
    assert restore(evidence_file(grid, SETTING), runs, number).files == carriers(grid)
    assert read_sealed(folders(grid)[0] / "spec.json")["code"] == "of today"


def test_code_that_gives_another_number_is_refused_with_its_name(grid: Path) -> None:
    keep_finished(grid, **GRID)
    runs = [(folder, spec | {"code": "of today"}) for folder, spec in wanted(grid)]
    shutil.rmtree(grid / "runs")
    found = restore(
        evidence_file(grid, SETTING), runs, lambda recipe: {"number": 1.01, "target_std": 2.0}
    )
    assert found.files == []
    assert set(found.refused) == set(carriers(grid))
    assert "number is 1 in the evidence and 1.01" in found.refused[carriers(grid)[0]]


def test_a_record_that_is_there_is_left_alone(grid: Path) -> None:
    keep_finished(grid, **GRID)
    mine = folders(grid)[0]
    write_sealed(mine / "metrics.json", read_sealed(mine / "metrics.json") | {"mine": 1})
    assert restore(evidence_file(grid, SETTING), wanted(grid), number).files == []
    assert read_sealed(mine / "metrics.json")["mine"] == 1


def test_a_run_made_anew_takes_the_place_of_the_old_one(grid: Path) -> None:
    rows_file = evidence_file(grid, SETTING)
    keep_finished(grid, **GRID)
    mine = folders(grid)[2]
    rows = read_run(mine).test_rows
    better = rows["predictor"] == "meta_init"
    rows.loc[better, "rmse"] /= np.float32(2)
    metrics = read_run(mine).metrics
    rows.loc[better, "nrmse"] /= np.float32(2)
    rows.loc[better, ["rmse_over_range", "relative_l2"]] /= np.float32(2)
    reference = read_reference(reference_file(grid, SETTING, 0))
    both = pd.concat([rows, reference])
    run_records.write_one(grid, "amaml", SETTING, 0, updates=350, rows=both)
    add_runs(rows_file, [mine], number)
    runs = wanted(grid)
    shutil.rmtree(grid / "runs")
    restore(rows_file, runs, number)
    found = read_run(mine).test_rows
    at = (found["predictor"] == "meta_init") & (found["step"] == 50)
    assert found.loc[at, "nrmse"].mean() == pytest.approx(metrics["nrmse"] / 2, rel=1e-6)


def reference_of(spec: dict) -> dict:
    """The recipe of the reference of a run."""
    return {name: spec[name] for name in REFERENCE_PARAMETERS if name in spec} | {
        "kind": "reference",
        "code": "of today",
    }


def full_grid(root: Path) -> dict:
    """A grid whose runs say all that their reference depends on; the recipe of one run."""
    given = {"hidden": [4], "evaluation": {"steps": [0]}, "dtype": "float32", "data": {}}
    for path in carriers(root):
        write_sealed(path, read_sealed(path) | given)
    return read_sealed(carriers(root)[0])


def test_a_reference_comes_back_as_it_was(each_grid: Path) -> None:
    spec, file = full_grid(each_grid), reference_file(each_grid, SETTING, 0)
    before = read_reference(file)
    keep_finished(each_grid, **GRID)
    kept = written(evidence_file(each_grid, SETTING))
    file.unlink()
    wanted = [(file, reference_of(spec))]
    done = restore(evidence_file(each_grid, SETTING), wanted, lambda recipe: {"target_std": 2.0})
    assert done.files == [file]
    order = ["predictor", "step", "task"]
    pd.testing.assert_frame_equal(
        read_reference(file).sort_values(order, ignore_index=True),
        before.sort_values(order, ignore_index=True),
        check_exact=True,
    )
    keep_finished(each_grid, **GRID)
    assert written(evidence_file(each_grid, SETTING)) == kept


def test_predictors_that_a_grid_asks_for_come_back_while_they_do_what_they_did(
    grid: Path,
) -> None:
    """Evidence of a reference keeps what they do; a run's says nothing of them."""
    name, spec, file = "gaussian_items", full_grid(grid), reference_file(grid, SETTING, 0)
    run_records.ask_for(grid, SETTING, name, 0.5)
    before = read_reference(file)
    rows_file, asked = evidence_file(grid, SETTING), reference_of(spec) | {"predictors": [name]}

    def does(number: float, recipe: dict) -> dict[str, float | None]:
        predicted = {f"test.{one}.0.nrmse": number for one in recipe.get("predictors", ())}
        return {"target_std": 2.0} | predicted

    for seed in (0, 1):
        own = asked | {"seed": seed}
        add_reference(rows_file, own, before, lambda recipe: does(0.5, recipe))
    add_runs(rows_file, folders(grid), lambda recipe: {"target_std": 2.0})
    file.unlink()
    changed = restore(rows_file, [(file, asked)], lambda recipe: does(0.6, recipe))
    assert (changed.files, [*changed.refused]) == ([], [file])
    assert "test.gaussian_items.0.nrmse" in changed.refused[file]
    others = asked | {"predictors": [name, "gaussian_process"]}
    assert restore(rows_file, [(file, others)], lambda recipe: does(0.5, recipe)) == Restored()
    restore(rows_file, [(file, asked)], lambda recipe: does(0.5, recipe))
    order = ["predictor", "step", "task"]
    pd.testing.assert_frame_equal(
        read_reference(file).sort_values(order, ignore_index=True),
        before.sort_values(order, ignore_index=True),
        check_exact=True,
    )
    restore(rows_file, [(file, reference_of(spec))], lambda recipe: does(0.6, recipe))
    assert name not in set(read_reference(file)["predictor"])  # nobody asks for it any more


def test_a_grid_that_asks_for_no_predictor_keeps_nothing_of_them(grid: Path) -> None:
    keep_finished(grid, **GRID)
    names = pq.read_schema(evidence_file(grid, SETTING)).metadata or {}
    assert b"predictors" not in names


def test_a_reference_of_another_meta_test_is_not_given_back(grid: Path) -> None:
    recipe = reference_of(full_grid(grid)) | {"evaluation": {"steps": [0, 1]}}
    keep_finished(grid, **GRID)
    file = reference_file(grid, SETTING, 0)
    assert restore(evidence_file(grid, SETTING), [(file, recipe)], number).files == []


def test_rows_that_a_run_once_kept_for_itself_are_its_reference(grid: Path) -> None:
    """As of a machine that rounded otherwise: the first run's own are what tables show."""
    spec = full_grid(grid)
    keep_finished(grid, **GRID)
    rows_file = evidence_file(grid, SETTING)
    runs, rows = read_files(rows_file)
    shared = rows["", 0]
    moved = shared.assign(mae=np.nextafter(shared["mae"].to_numpy(), np.float32(np.inf)))
    rows["fomaml", 0] = pd.concat([rows["fomaml", 0], moved])
    write_files(rows_file, runs, rows)
    file = reference_file(grid, SETTING, 0)
    restore(rows_file, [(file, reference_of(spec))], lambda recipe: {"target_std": 2.0})
    assert sorted(read_reference(file)["mae"]) == sorted(moved["mae"])


def test_a_setting_of_the_paper_is_small(tmp_path: Path) -> None:
    """8 methods, 3 seeds, 10 steps, 100 test tasks: at most 400 kB of rows."""
    draw = np.random.default_rng(0)
    methods = ("maml", "maml1", "fomaml", "reptile", "imaml", "amaml", "amaml_anytime", "amaml_rkc")
    for label in methods:
        for seed in range(3):
            rows = run_records.test_rows(
                label, SETTING, seed, steps=run_records.STEPS, n_tasks=100, failed=False
            )
            own = rows["predictor"] == "meta_init"
            for name in ("rmse", "mae", "support_rmse"):  # all bits of the mantissa in use
                rows.loc[own, name] *= draw.uniform(0.9, 1.1, own.sum()).astype(np.float32)
            folder = run_records.write_one(tmp_path, label, SETTING, seed, rows=rows, updates=5000)
            add_runs(evidence_file(tmp_path, SETTING), [folder], number)
    sizes = {
        name: len(content) for name, content in written(evidence_file(tmp_path, SETTING)).items()
    }
    assert sizes[f"{SETTING}.parquet"] <= 400_000
    assert sum(sizes.values()) <= 600_000


def halved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[: len(rows) // 2]


def of_another_recipe(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(rmse=rows["rmse"] * np.float32(1.01))


@pytest.mark.parametrize("spoil", [halved, of_another_recipe])
def test_rows_that_are_not_those_of_the_run_are_not_restored(spoil, grid: Path) -> None:
    rows_file, mine = evidence_file(grid, SETTING), ("amaml", 1)
    keep_finished(grid, **GRID)
    runs, rows = read_files(rows_file)
    write_files(rows_file, runs, rows | {mine: spoil(rows[mine])})
    asked = wanted(grid)
    shutil.rmtree(grid / "runs")
    done = restore(rows_file, asked, number)
    left = grid / "runs/amaml" / SETTING / "1/spec.json"
    assert done.files == [path for path in carriers(grid) if path != left]
    assert [*done.broken] == [rows_file]
    assert len(done.broken[rows_file]) == 1
    assert "amaml seed 1" in done.broken[rows_file][0]
    assert not left.exists()


@pytest.mark.parametrize("spoil", ["gone", "halved"])
def test_a_reference_that_does_not_agree_is_not_restored(spoil: str, grid: Path) -> None:
    recipe, file = reference_of(full_grid(grid)), reference_file(grid, SETTING, 0)
    keep_finished(grid, **GRID)
    rows_file = evidence_file(grid, SETTING)
    runs, rows = read_files(rows_file)
    kept = rows.pop(("", 0))
    write_files(rows_file, runs, rows if spoil == "gone" else rows | {("", 0): halved(kept)})
    file.unlink()
    done = restore(rows_file, [(file, recipe)], lambda recipe: {"target_std": 2.0})
    assert (done.files, [*done.broken]) == ([], [rows_file])
    assert not file.exists()


def test_a_run_made_anew_mends_its_evidence(each_grid: Path) -> None:
    rows_file = evidence_file(each_grid, SETTING)
    keep_finished(each_grid, **GRID)
    whole = written(rows_file)
    runs, rows = read_files(rows_file)
    write_files(rows_file, runs, {key: halved(part) for key, part in rows.items()})
    assert written(rows_file) != whole
    keep_finished(each_grid, **GRID)
    assert written(rows_file) == whole


@pytest.mark.parametrize("column", ["spec", "behaviour", "metrics"])
@pytest.mark.parametrize("content", [None, "", "null", "[1]", "{", "[" * 9000])
def test_an_entry_that_is_no_object_is_named(column: str, content: str, grid: Path) -> None:
    rows_file = evidence_file(grid, SETTING)
    keep_finished(grid, **GRID)
    asked = wanted(grid)
    file = rows_file.with_name(f"{SETTING}.runs.parquet")
    entries = pq.read_table(file).to_pylist()
    entries[1][column] = content
    pq.write_table(pa.Table.from_pylist(entries, schema=runs_schema(NUMBERS)), file)
    sums_file(file).unlink()  # as of evidence of before
    shutil.rmtree(grid / "runs")
    with pytest.raises(BadInput, match=r"git checkout") as refused:
        restore(rows_file, asked, number)
    assert column in str(refused.value)
    assert not (grid / "runs").exists()


@pytest.mark.parametrize("change", [{"target_std": None}, {"target_std": 0}, {"nrmse": "0.1"}])
def test_metrics_without_their_numbers_are_not_used(change: dict, grid: Path) -> None:
    rows_file, mine = evidence_file(grid, SETTING), ("amaml", 1)
    keep_finished(grid, **GRID)
    runs, rows = read_files(rows_file)
    metrics = json.dumps(json.loads(runs[mine]["metrics"]) | change)
    write_files(rows_file, runs | {mine: runs[mine] | {"metrics": metrics}}, rows)
    asked = wanted(grid)
    shutil.rmtree(grid / "runs")
    assert len(restore(rows_file, asked, number).broken[rows_file]) == 1


@pytest.mark.parametrize("content", [b"garbage", None])
@pytest.mark.parametrize("name", [f"{SETTING}.parquet", f"{SETTING}.runs.parquet"])
def test_broken_evidence_is_named(name: str, content: bytes | None, grid: Path) -> None:
    keep_finished(grid, **GRID)
    runs = wanted(grid)
    shutil.rmtree(grid / "runs")
    if content is None:
        (grid / "evidence" / name).unlink()
    else:
        (grid / "evidence" / name).write_bytes(content)
    with pytest.raises(BadInput, match=r"unreadable evidence .*git checkout"):
        restore(evidence_file(grid, SETTING), runs, number)


def test_a_label_that_varies_a_method_follows_it(grid: Path) -> None:
    rows_file = evidence_file(grid, SETTING)
    add_runs(rows_file, folders(grid), number)
    runs, rows = read_files(rows_file)
    (first, seed), of = next((key, run) for key, run in runs.items() if key[0] == METHODS[0])
    varied = f"{first}-outer_lr-0.1"
    runs[varied, seed] = of | {"label": varied}
    write_files(rows_file, runs, rows | {(varied, seed): rows[first, seed]})
    assert list(dict.fromkeys(label for label, _ in read_files(rows_file)[0])) == [
        first, varied, METHODS[1],
    ]  # fmt: skip


# --- digests beside it


def test_digests_are_those_that_other_tools_read(grid: Path) -> None:
    keep_finished(grid, **GRID)
    sums = sums_file(evidence_file(grid, SETTING))
    lines = dict(line.split("  ")[::-1] for line in sums.read_text().splitlines())
    assert lines == {path.name: file_digest(path) for path in sums.parent.glob("*.parquet")}
    assert len(lines) == 2


@pytest.mark.parametrize("of", ["rows", "runs"])
def test_a_flipped_bit_is_found(of: str, grid: Path) -> None:
    keep_finished(grid, **GRID)
    rows_file = evidence_file(grid, SETTING)
    file = rows_file if of == "rows" else runs_file(rows_file)
    whole, draw = file.read_bytes(), np.random.default_rng(0)
    for at in draw.integers(0, len(whole), 200):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(draw.integers(8))
        file.write_bytes(changed)
        with pytest.raises(BadInput, match="its bytes are not those that were written"):
            read_files(rows_file)
    file.write_bytes(whole)
    read_files(rows_file)


@pytest.mark.parametrize("renames", range(4))
def test_a_kill_between_the_files_loses_nothing(renames: int, grid: Path) -> None:
    """Two kills, one after the other; then the same job again puts its runs in."""
    rows_file = evidence_file(grid, SETTING)
    add_runs(rows_file, folders(grid)[:2], number)
    for _ in range(2):
        if (pid := os.fork()) == 0:
            kill_after(renames)
            add_runs(rows_file, folders(grid)[2:], number)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        read_files(rows_file)  # known by their digests, whichever they are
    add_runs(rows_file, folders(grid)[2:], number)
    files = {*rows_file.parent.glob("[!.]*")}
    assert files == {rows_file, runs_file(rows_file), sums_file(rows_file)}
    before = written(rows_file)
    for file in files:
        file.unlink()
    add_runs(rows_file, folders(grid), number)
    assert written(rows_file) == before


def kill_after(renames: int) -> None:
    """Let this process be killed when it gives a file its name for the next time."""
    rename, left = Path.replace, [renames]

    def replace(self: Path, target: Path) -> Path:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return rename(self, target)

    Path.replace = replace  # type: ignore[method-assign]


def test_all_evidence_in_git_has_digests_that_hold() -> None:
    root = Path(__file__).parents[3] / "results"
    files = [*root.glob("*/evidence/**/*.parquet"), *root.glob("*/evidence/**/*.json")]
    assert files
    for file in files:
        assert sums_file(file).is_file(), file
        summed_bytes(file)
