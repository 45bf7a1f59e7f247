"""The look before any job: what is stale, what is lost, what evidence gives back."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.schema import Params
from pipeline.errors import BadInput
from pipeline.jobs.artifacts import carried_recipe, fault_of, grid_artifacts
from pipeline.jobs.look import Look, damage_lines, jobs_left, look
from pipeline.jobs.plan import grid_runs
from pipeline.jobs.restore import keep_finished
from pipeline.runs.evidence import evidence_file
from pipeline.runs.evidence_files import read_files, write_files
from pipeline.runs.records import FILES
from pipeline.seals import read_sealed, write_sealed
from tests import run_records
from tests.unit.jobs.finished_grid import BLOCK, RUN, params, spoil_run
from tests.unit.tiny_runs import RATINGS, ROOT, SYNTHETIC

TABLES = "results/tiny/tables/spec.json"
STEPS = (0, 1, 3, 5)  # of the tiny grid's meta-test, and its K


def seen(root: Path, given: Params | None = None) -> Look:
    return look(given or params(), root)


def files_of(found: Look) -> set[str]:
    """Every file of every artifact, and what Snakemake is asked for."""
    groups = found.artifacts.items()
    files = {path.as_posix() for _, group in groups for a in group for path in a.files}
    return files | set(found.artifacts)


def test_a_finished_grid_has_no_fault(made):
    found = seen(made)
    assert (found.faults, found.stale, found.lost, found.restored) == ({}, set(), set(), ())
    assert jobs_left(found) == set()


def test_nothing_made_is_lost_and_not_stale(tmp_path):
    found = seen(tmp_path)
    assert found.stale == frozenset()
    assert jobs_left(found) == set(found.artifacts)
    assert list(tmp_path.iterdir()) == []


def test_what_carries_another_recipe_is_stale(root):
    spoil_run(root)
    found = seen(root)
    assert found.faults == {BLOCK: "made with another code"}
    assert (found.stale, found.lost) == ({BLOCK}, {Path(RUN, "spec.json")})


def test_a_lost_file_of_a_run_makes_its_block_stale(root):
    (root / RUN / "curve.parquet").unlink()
    assert seen(root).stale == {BLOCK}
    (root / BLOCK).unlink()
    found = seen(root)
    # a missing block is no input of the mark: Snakemake makes what is not there
    assert (set(found.faults), found.stale) == ({BLOCK}, set())


def test_a_missing_block_file_lacks_no_record(root):
    (root / BLOCK).unlink()
    found = seen(root)
    assert (found.restored, found.lost) == ((BLOCK,), set())
    assert BLOCK not in jobs_left(found)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"spec": null}', ""])
def test_a_broken_recipe_is_none(text, root):
    (root / "results/tiny/profile/maml.json").write_text(text)
    assert seen(root).stale == {"results/tiny/profile/maml.json"}
    assert carried_recipe(root / "results/tiny/profile/maml.json") is None


@pytest.mark.parametrize(
    "name", [f"{RUN}/{name}" for name in FILES] + [BLOCK, "results/tiny/profile/maml.json"]
)
def test_a_flipped_bit_of_a_record_is_said_and_makes_its_job_stale(name, root):
    output = BLOCK if RUN in name else name
    flip(root / name)
    found = seen(root)
    assert found.stale == {output}
    assert damage_lines(found) == [f"{name}: damaged: its bytes are not those that were written"]
    assert output in {*jobs_left(found), *found.restored}


def test_damaged_data_are_made_again_and_others_not(root):
    name = "data/tasks/cosmixture.parquet"
    flip(root / name)
    assert name in jobs_left(seen(root))
    (root / name).unlink()
    assert jobs_left(seen(root)) == set()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_times_say_nothing(root):
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        if path.is_file():
            import os

            os.utime(path, (number * 1000, number * 1000))
    assert seen(root).faults == {}


def test_every_single_loss_is_noticed(made, tmp_path):
    """Of results each file; of data those that are gone, as long as the archive is needed."""
    finished = seen(made)
    root = Path(shutil.copytree(made, tmp_path / "grid"))
    for name in sorted(files_of(finished)):
        path = root / name
        path.rename(tmp_path / "aside")
        found = seen(root)
        expected = not name.startswith("data/raw/")  # not needed while its ratings are whole
        assert bool(found.faults) is expected, name
        if name.startswith("data/"):
            assert jobs_left(found) == set(), f"{name}: nothing needs it"
        elif name != BLOCK and not name.endswith("/block_0.json"):
            assert jobs_left(found), name
        (tmp_path / "aside").rename(path)
    assert seen(root).faults == {}


def test_a_parameter_makes_stale_what_holds_it(root):
    given = params()
    other = given.model_copy(
        update={"evaluation": given.evaluation.model_copy(update={"learning_rate": 0.5})}
    )
    found = look(other, root)
    blocks = {name for name in found.artifacts if name.endswith("/block_0.json")}
    references = {name for name in found.artifacts if "/reference/" in name}
    views = {a.output.as_posix() for a in grid_artifacts(other, root)[-4:]}
    assert found.stale == blocks | references | views


def test_content_of_a_link_is_what_counts(root, tmp_path):
    """DVC may check files out as links into its cache."""
    kept, place = tmp_path / "cache.json", root / TABLES
    place.rename(kept)
    place.symlink_to(kept)
    assert seen(root).faults == {}
    write_sealed(kept, read_sealed(kept) | {"code": "old"})
    assert seen(root).stale == {TABLES}
    kept.unlink()
    assert TABLES in seen(root).faults


def test_evidence_gives_back_what_holds(tmp_path):
    """One run was kept with other parameters, so that its reference is not given back either."""
    grid = params().active.model_copy(update={"keep_evidence": True})
    given = params().model_copy(update={"grids": {"tiny": grid}})
    results = tmp_path / "results/tiny"
    of = {"methods": ["imaml"], "settings": [SYNTHETIC, RATINGS], "seeds": [0, 1]}
    run_records.write_grid(
        results, profiles=False, n_tasks=2, updates=10, inner_steps=5,
        steps=STEPS, **of,
    )  # fmt: skip
    for recipe, folder in grid_runs(given, tmp_path):
        if folder.is_dir():
            write_sealed(folder / "spec.json", recipe)
    spoiled = results / f"runs/imaml/{RATINGS}/0/spec.json"
    write_sealed(spoiled, read_sealed(spoiled) | {"dtype": "float64"})
    keep_finished(results, **of)
    shutil.rmtree(results / "runs")
    found = look(given, tmp_path)
    references = {name for name in found.artifacts if "/reference/" in name}
    assert {BLOCK, *references} - set(found.restored) == {
        f"results/tiny/reference/{RATINGS}/0.parquet"
    }
    left = jobs_left(found)
    assert left.isdisjoint(found.restored)
    # what evidence gives back needs no data
    alone = grid.model_copy(update={"methods": ["imaml"], "settings": [SYNTHETIC]})
    given = given.model_copy(update={"grids": {"tiny": alone}})
    left = jobs_left(look(given, tmp_path))
    assert not {name for name in left if name.startswith("data/episodes/")}
    lost = {path.parent.name for path in found.lost if f"imaml/{RATINGS}" in path.as_posix()}
    assert lost == {"0"}
    assert not {path for path in found.lost if f"imaml/{SYNTHETIC}" in path.as_posix()}


@pytest.mark.parametrize("spoil", ["halved", "profile", "rows gone"])
def test_evidence_that_contradicts_itself_is_said_and_not_counted_on(spoil, tmp_path):
    grid = params().active.model_copy(update={"keep_evidence": True})
    given = params().model_copy(update={"grids": {"tiny": grid}})
    results = tmp_path / "results/tiny"
    of = {"methods": ["imaml"], "settings": [SYNTHETIC], "seeds": [0, 1]}
    run_records.write_grid(results, profiles=False, n_tasks=2, inner_steps=5, steps=STEPS, **of)
    for recipe, folder in grid_runs(given, tmp_path):
        if folder.is_dir():
            write_sealed(folder / "spec.json", recipe)
    keep_finished(results, **of)
    shutil.rmtree(results / "runs")
    rows_file = evidence_file(results, SYNTHETIC)
    if spoil == "halved":
        runs, rows = read_files(rows_file)
        write_files(rows_file, runs, rows | {("imaml", 1): rows["imaml", 1].head(3)})
        found = look(given, tmp_path)
        assert len(found.broken) == 1
        assert str(rows_file) in found.broken[0]
        assert BLOCK in jobs_left(found)
        assert Path(RUN, "spec.json") in found.lost
        assert Path(RUN[:-1] + "0", "spec.json") not in found.lost
        return
    if spoil == "profile":
        write_sealed(results / "evidence/profile/maml.json", {"spec": {}, "behaviour": None})
    else:
        rows_file.unlink()
    with pytest.raises(BadInput, match="git checkout"):
        look(given, tmp_path)


def test_the_look_at_a_clone_with_evidence_needs_no_torch():
    """Every start of Snakemake waits for it."""
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.config.schema import load_params; from pipeline.jobs.look import look\n"
        "look(load_params(Path('params.yaml'), {'grid': 'swept'}))\n"
        "print('pipeline.runs.probes' in sys.modules, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.split() == ["True", "False"], said.stderr


def test_a_fault_says_what_differs(root):
    (run,) = (a for a in grid_artifacts(params(), root) if a.files[-1] == Path(RUN, "spec.json"))
    assert fault_of(run, root) is None
    spec = root / RUN / "spec.json"
    write_sealed(spec, read_sealed(spec) | {"seed": 9, "new": 1})
    fault = fault_of(run, root)
    assert fault is not None
    assert {"seed", "new"} <= set(fault.replace(",", "").split())
