"""Champions are chosen on validation tasks, by errors that their runs' own validation gave."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import app
from pipeline.config.predictors import ASKED_FOR
from pipeline.config.schema import check_params, load_params, on_grid
from pipeline.data import schemas
from pipeline.errors import BadInput
from pipeline.runs.initialisation import KEY, Initialisation
from pipeline.runs.records import read_run, write_run
from pipeline.runs.use import answer_mixed, example
from pipeline.runs.weights import read_arrays, write_arrays
from pipeline.seals import read_sealed, write_sealed
from pipeline.tables.champions import champion_file, champions_text, lacking_text, promote
from tests.unit import promoted
from tests.unit.promoted import METHODS, config, params
from tests.unit.tiny_runs import RATINGS, ROOT, SYNTHETIC, write_config

SETTINGS = (SYNTHETIC, RATINGS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return promoted.make(tmp_path_factory.mktemp("grid"))


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "own")
    return tmp_path / "own"


def folder(root: Path, label: str, setting: str, seed: int) -> Path:
    return root / f"results/tiny/runs/{label}/{setting}/{seed}"


def validated(root: Path, label: str, setting: str) -> list[float]:
    """What each seed's training measured last on its validation tasks."""
    curves = [read_run(folder(root, label, setting, seed)).curve for seed in (0, 1)]
    return [float(curve["validation_nrmse"].dropna().iloc[-1]) for curve in curves]


def test_the_least_validation_error_wins(root: Path) -> None:
    champions, lacking = promote(params(), root)
    assert lacking == []
    for champion in champions:
        about = champion.start.about
        errors = {label: validated(root, label, champion.setting) for label in METHODS}
        best = min(errors, key=lambda label: np.mean(errors[label]))
        assert about["label"] == best
        assert about["seed"] == int(np.argmin(errors[best]))
        validation = about["validation"]
        assert validation["error"] == pytest.approx(np.mean(errors[best]), rel=1e-5)
        others = {o["label"]: o for o in validation["others"]}
        for label in set(METHODS) - {best}:
            assert others[label]["error"] == pytest.approx(np.mean(errors[label]), rel=1e-5)
        assert others["untrained"]["is_method"] is False
        assert {"global_mean", "untrained"} < others.keys()
        record = read_run(folder(root, best, champion.setting, about["seed"]))
        np.testing.assert_array_equal(Initialisation.read(champion.file).theta, record.theta)
        assert about["test"]["nrmse"] == record.metrics["nrmse"]
        assert about["fingerprint"] == record.metrics["data"]["fingerprint"]
        assert champion.file.stat().st_size < 20_000


def test_predictors_that_the_grid_asks_for_are_compared_on_validation_tasks(root: Path) -> None:
    raw = config(["fomaml"])
    raw["grids"]["tiny"]["predictors"] = [*ASKED_FOR]
    champions, _ = promote(check_params(raw), root)
    for champion in champions:
        compared = {one["label"]: one for one in champion.start.about["validation"]["others"]}
        (name,) = compared.keys() & ASKED_FOR.keys()  # the one of its kind of data
        assert compared[name]["is_method"] is False
        assert 0 < compared[name]["error"] < compared["global_mean"]["error"]
        assert 0 <= compared[name]["p"] <= 1


def test_few_validation_tasks_separate_nothing_and_that_is_said(root: Path) -> None:
    champions, _ = promote(params(), root)
    text = champions_text(champions)
    for champion in champions:
        about = champion.start.about
        assert len(champion.not_separated) >= 2, "6 pairs cannot separate five others"
        assert re.search(rf"{champion.setting} +{about['label']} +{about['seed']} ", text)
    assert "3 validation tasks in each of 2 seeds: not separated from" in text.replace("\n", " ")
    assert "without meta-learning" in text


def test_test_tasks_choose_nothing(root: Path) -> None:
    """The best is given the test errors of the worst on those tasks, and the other way round."""
    before = promote(params(), root)[0][0].start.about
    for seed in (0, 1):
        runs = {label: read_run(folder(root, label, SYNTHETIC, seed)) for label in METHODS}
        by_test = sorted(METHODS, key=lambda label: runs[label].metrics["nrmse"])
        swapped = {before["label"]: by_test[-1], by_test[-1]: before["label"]}
        for label, other in swapped.items():
            errors = {
                name: runs[other].metrics[name]
                for name in ("nrmse", "nrmse_stderr", "rmse", "mae", "rmse_over_range")
            }
            errors["relative_l2"] = runs[other].metrics["relative_l2"]
            write_run(
                runs[label].directory,
                spec=runs[label].spec,
                metrics=runs[label].metrics | errors,
                curve=runs[label].curve,
                test_rows=runs[other].test_rows,
                theta=runs[label].theta,
                about={KEY: json.dumps(Initialisation.read(runs[label].directory).about)},
            )
    after = promote(params(), root)[0][0].start.about
    assert after["label"] == before["label"]
    assert after["validation"] == before["validation"]


def test_a_file_stands_for_runs_whose_weights_are_not_here(root: Path) -> None:
    """As long as the grid compares what it was chosen from."""
    champions, _ = promote(params(), root)
    kept = {champion.setting: champion.file.read_bytes() for champion in champions}
    lost = folder(root, "imaml", SYNTHETIC, 1)
    write_arrays(lost / "meta_init.safetensors", {}, {})
    shutil.rmtree(folder(root, "fomaml", RATINGS, 0))
    champions, lacking = promote(params(), root)
    assert lacking == []
    assert {c.setting: c.file.read_bytes() for c in champions} == kept

    shutil.rmtree(folder(root, "imaml", SYNTHETIC, 0))
    champions, lacking = promote(params(METHODS[:2]), root)
    assert [c.setting for c in champions] == [RATINGS], "the lost run of the other is of no grid"
    assert [(of.setting, of.runs) for of in lacking] == [(SYNTHETIC, {"imaml": [0]})]
    said = lacking_text(params(METHODS[:2]), lacking)
    assert said == (
        f"{SYNTHETIC}: runs are missing or stale: `snakemake --cores 2 --config grid=tiny`"
    )


def test_only_the_chosen_run_needs_its_weights(root: Path) -> None:
    """Of the others the curve has the error, as evidence gives it back."""
    before = {c.setting: c.start.about for c in promote(params(), root)[0]}
    weights = {file: file.read_bytes() for file in root.rglob("runs/*/*/*/meta_init.safetensors")}
    for setting, about in before.items():
        champion_file(root / "results/tiny", setting).unlink()
        for file in weights:
            if file.parts[-3] == setting and file.parts[-4] in (METHODS[0], about["label"]):
                write_arrays(file, {}, {})
    champions, lacking = promote(params(evidence=True), root)
    assert champions == []
    said = lacking_text(params(evidence=True), lacking)
    for setting, about in before.items():
        label, seed = about["label"], about["seed"]
        assert f"--grid tiny --method {label} --setting {setting} --seed {seed}\n" in f"{said}\n"
        file = folder(root, label, setting, seed) / "meta_init.safetensors"
        file.write_bytes(weights[file])

    champions, lacking = promote(params(evidence=True), root)
    assert lacking == []
    for champion in champions:
        about, was = champion.start.about, before[champion.setting]
        assert (about["label"], about["seed"]) == (was["label"], was["seed"])
        assert about["validation"]["error"] == pytest.approx(was["validation"]["error"], rel=1e-5)
        others = {o["label"]: o for o in about["validation"]["others"]}
        assert {o["label"] for o in was["validation"]["others"]} == others.keys()
        untested = {label for label, other in others.items() if other["p"] is None}
        assert untested == {METHODS[0]} - {was["label"]}
        for other in was["validation"]["others"]:
            assert others[other["label"]]["error"] == pytest.approx(other["error"], rel=1e-5)
    text = champions_text(champions).replace("\n", " ")
    assert ("whose weights are not here" in text) is any(
        was["label"] != METHODS[0] for was in before.values()
    )


def test_a_damaged_champion_is_made_anew_or_refused(root: Path) -> None:
    champions, _ = promote(params(), root)
    file, whole = champions[0].file, champions[0].file.read_bytes()
    file.write_bytes(whole[:-3])
    promote(params(), root)
    assert file.read_bytes() == whole
    file.write_bytes(whole[:-3])
    shutil.rmtree(root / "results/tiny/runs")
    with pytest.raises(BadInput, match="no readable initialisation"):
        promote(params(), root)


def test_a_failed_run_is_no_candidate(root: Path) -> None:
    best = {
        champion.setting: champion.start.about["label"] for champion in promote(params(), root)[0]
    }
    failed = folder(root, best[SYNTHETIC], SYNTHETIC, 1)
    metrics = read_sealed(failed / "metrics.json")
    write_sealed(failed / "metrics.json", metrics | {"status": "failed", "message": "diverged"})
    again = promote(params(), root)[0][0].start.about
    assert again["label"] != best
    assert best not in again["validation"]["methods"]


def test_a_diverging_start_loses(root: Path) -> None:
    best = promote(params(), root)[0][0].start.about
    own = folder(root, best["label"], SYNTHETIC, best["seed"]) / "meta_init.safetensors"
    theta = read_arrays(own)[0]["theta"]
    about = json.dumps(Initialisation.read(own).about)
    write_arrays(own, {"theta": np.full_like(theta, 1e30)}, {"initialisation": about})
    again = promote(params(), root)[0][0].start.about
    assert again["label"] != best["label"]
    other = next(o for o in again["validation"]["others"] if o["label"] == best["label"])
    assert other["error"] is None


def test_no_validation_tasks_no_choice(root: Path) -> None:
    file = root / f"data/episodes/{SYNTHETIC}/0.parquet"
    rows, about = schemas.read_rows(file, schemas.EPISODES), schemas.read_metadata(file)
    kept = rows["role"] != "validation"
    schemas.write_rows(file, {n: v[kept] for n, v in rows.items()}, schemas.EPISODES, about)
    with pytest.raises(BadInput, match="no validation tasks, by which champions are chosen"):
        promote(params(), root)
    assert not champion_file(root / "results/tiny", SYNTHETIC).exists()


def test_the_command_writes_files_though_no_store_is_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config(root, config())
    monkeypatch.chdir(root)
    command = ["promote", "tiny", "--uri", "http://127.0.0.1:9"]
    with pytest.raises(BadInput, match="written and not registered: `python -m pipeline promote"):
        app(command, standalone_mode=False)
    text = capsys.readouterr().out
    for setting in SETTINGS:
        about = Initialisation.read(champion_file(Path("results/tiny"), setting)).about
        assert re.search(rf"{setting} +{about['label']} +{about['seed']} ", text)
    shutil.rmtree("results")
    with pytest.raises(BadInput, match=r"grid .tiny.: found no weights to choose from.*snakemake"):
        app(command, standalone_mode=False)
    assert not Path("results").exists()


SHIPPED = sorted(ROOT.glob("results/*/champions"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_champions_in_git_are_those_of_their_grid(folder: Path, tmp_path: Path) -> None:
    """A clone, which has no runs, can use and register them."""
    grid = folder.parent.name
    copied = tmp_path / f"results/{grid}/champions"
    shutil.copytree(folder, copied)
    given = on_grid(load_params(ROOT / "params.yaml"), grid)
    champions, lacking = promote(given, tmp_path)
    assert lacking == []
    assert {c.setting for c in champions} == set(given.active.settings)
    for file in folder.iterdir():
        assert (copied / file.name).read_bytes() == file.read_bytes()
        assert file.stat().st_size < 100_000
        start = Initialisation.read(file)
        assert bool(start.theta.isfinite().all())
        assert len(answer_mixed(start, example(start), steps=1)) == 1
