"""`mlflow server` on PostgreSQL and S3: many writers, a server killed, pages in a browser."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.runs.progress import ProgressFile
from pipeline.runs.recipe import digest
from pipeline.tracking import live
from pipeline.tracking.replay import log_tracking
from tests import run_records
from tests.services import Server, lacking, stored, tracking_server
from tests.workflow.project import Project, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(lacking()), reason=str(lacking())),
]
SETTING = "simulated-10shot-15val-50steps"
LIVE = "meta_loss"  # a metric that is logged while a run trains
METHODS = ["maml", "fomaml", "reptile", "amaml", "amaml_rkc"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tracking_server() as started:
        yield started


def grid(root: Path, name: str, methods: list[str] = METHODS) -> tuple[Path, dict[str, Any]]:
    """Finished runs of a grid, and what `log_tracking` is told of it."""
    given = {"methods": methods, "settings": [SETTING], "seeds": [0]}
    results = root / "results" / name
    run_records.write_grid(results, n_tasks=4, updates=30, steps=(0, 1, 5, 50, 100), **given)
    return results, given | {"grid": name}


def names(address: str, experiment: str) -> dict[str, str]:
    """Status of each run below the grid's, by its name; each is there once."""
    client = MlflowClient(address)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.rule = 'meta_train'")
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {str(run.info.run_name): run.info.status for run in runs}


def test_many_writers_at_once(server: Server, tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path;"
        "from pipeline.tracking.replay import log_tracking;"
        "log_tracking(Path(sys.argv[1]), uri=sys.argv[2], **json.loads(sys.argv[3]))"
    )
    writers = []
    for number in range(4):
        results, given = grid(tmp_path, f"writer_{number}", METHODS[:3])
        command = [sys.executable, "-c", code, str(results), server.address, json.dumps(given)]
        writers.append(subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}))
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0, 0, 0]
    for number in range(4):
        found = names(server.address, f"writer_{number}")
        assert len(found) == 3
        assert set(found.values()) == {"FINISHED"}
    kept = stored(server)
    assert sum(key.endswith("spec.json") for key in kept) == 12, "artifacts lie on S3"


def test_a_server_killed_in_training(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(live, "AWAY_S", 0.0)
    monkeypatch.setattr(live, "LAST_S", 0.1)
    spec = run_records.spec("maml", SETTING, 0, 50)
    of = {key: spec[key] for key in ("label", "setting", "seed")}
    folder = tmp_path / "results/killed/runs/maml" / SETTING / "0"
    file = ProgressFile(folder, {"recipe": digest(spec), **of, "updates": 30, "spec": spec})
    file.open()
    seen = live.Live(
        tmp_path / "results/killed", server.address, "killed", [("maml", SETTING, 0)], 0.0
    )
    curve = run_records.curve("maml", SETTING, 0, 30).to_dict("records")
    for row in curve[:3]:
        file._due = 0.0
        file.note(row)
    seen.step()
    assert set(names(server.address, "killed").values()) == {"RUNNING"}

    server.kill()
    for row in curve[3:6]:
        file._due = 0.0
        file.note(row)
        seen.step()
    assert capsys.readouterr().err.count("Trainings go on") == 1
    results, given = grid(tmp_path, "killed", ["maml"])
    file.close(None)
    seen.end()

    server.start()
    assert log_tracking(results, uri=server.address, **given)["completed"] == 1
    assert set(names(server.address, "killed").values()) == {"FINISHED"}
    assert log_tracking(results, uri=server.address, **given)["unchanged"] == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_pages_that_people_compare_with(server: Server, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    results, given = grid(tmp_path, "pages")
    table = log_tracking(results, uri=server.address, **given)["page"]
    client = MlflowClient(server.address)
    found = client.get_experiment_by_name("pages")
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.rule = 'meta_train'")
    ids, of = json.dumps([run.info.run_id for run in runs]), json.dumps([found.experiment_id])

    with chromium() as page:
        page.goto(table)
        expect(page.get_by_text("5 matching runs")).to_be_visible()
        for column in ("nrmse", "method", "setting", "seed"):
            expect(page.get_by_role("columnheader", name=column, exact=True).first).to_be_visible()
        # in another order MLflow adds the run that they lie below
        by_error = "&orderByKey=metrics.%60nrmse%60&orderByAsc=true"
        page.goto(f"{table}{by_error}&searchFilter=tags.method%20%3D%20'reptile'")
        page.reload()
        expect(page.get_by_text("1 matching run")).to_be_visible()

        page.goto(
            f'{server.address}/#/metric?runs={ids}&metric="nrmse"&experiments={of}'
            '&plot_metric_keys=["nrmse"]&plot_layout={}&x_axis=step&y_axis_scale=linear'
            "&line_smoothness=1&show_point=false&deselected_curves=[]&last_linear_y_axis_range=[]"
        )
        for run in runs:
            expect(page.get_by_text(f"{run.info.run_name} (nrmse)").first).to_be_visible()
        assert page.locator(".js-line").count() >= len(METHODS)
        picture(page, "curves")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_a_run_grows_while_it_trains_is_completed_and_its_champion_opened(
    server: Server, fresh: Project
) -> None:
    from playwright.sync_api import expect

    trained = ["fomaml", "reptile"]
    fresh.set(
        tracking={"uri": server.address},
        grids__ci__methods=trained,
        grids__ci__seeds=[0],
        grids__ci__studies={},
        grids__ci__profile={"inner_steps": [1], "repeats": 1},
        grids__ci__settings=[{"dataset": "simulated", "shots": "10/15", "inner_steps": 50}],
        grids__ci__training={"meta_updates": 5000, "validate_every": 100, "ledger_every": 500},
    )
    command = ["snakemake", "--cores", "1", "champions"]
    log = fresh.path("said.txt").open("w")
    training = subprocess.Popen(
        command, cwd=fresh.root, env=environment(), stdout=log, stderr=subprocess.STDOUT
    )
    client = MlflowClient(server.address)
    try:
        run = the_first_in_training(client, training)
        with chromium() as page:
            overview = f"{server.address}/#/experiments/{run.info.experiment_id}/runs/"
            page.goto(f"{overview}{run.info.run_id}")
            expect(page.get_by_text("Running").first).to_be_visible()
            shown = []
            for _ in range(2):
                known = len(client.get_metric_history(run.info.run_id, LIVE))
                limit = time.monotonic() + 60
                while len(client.get_metric_history(run.info.run_id, LIVE)) <= known + 1:
                    assert time.monotonic() < limit, "nothing was logged for a minute"
                    time.sleep(0.5)
                page.reload()
                row = page.get_by_role("row").filter(has_text=LIVE).first
                expect(row).to_be_visible()
                shown.append(row.inner_text())
            picture(page, "live")
            assert shown[0] != shown[1], "the page shows the newest value"
            assert training.poll() is None, "while it trains"

            server.kill()
            away = fresh.path("logs/log_live/ci.log")
            limit = time.monotonic() + 60
            while "Trainings go on" not in away.read_text():
                assert time.monotonic() < limit
                assert training.poll() is None
                time.sleep(0.5)
            server.start()
            assert training.wait(timeout=900) == 0, fresh.path("said.txt").read_text()[-3000:]
            found = names(server.address, "ci")
            assert found == dict.fromkeys([f"{of}/{SETTING}/0" for of in trained], "FINISHED")
            page.reload()
            expect(page.get_by_text("Finished").first).to_be_visible()
            picture(page, "finished")
            page.goto(f"{server.address}/#/models/ci.{SETTING}")
            expect(page.get_by_text("champion").first).to_be_visible()
            page.get_by_role("link", name="Version 1").first.click()
            expect(page.get_by_text("Inputs (4)").first).to_be_visible()  # of its signature
            picture(page, "champion")
    finally:
        training.terminate()
        training.wait(timeout=60)
        log.close()


def the_first_in_training(client: MlflowClient, training: "subprocess.Popen[bytes]") -> Any:
    """The first run of the grid `ci` that the store shows with a metric."""
    limit = time.monotonic() + 240
    while time.monotonic() < limit and training.poll() is None:
        found = client.get_experiment_by_name("ci")
        runs = (
            client.search_runs([found.experiment_id], "tags.rule = 'meta_train'") if found else []
        )
        for run in runs:
            if run.info.status == "RUNNING" and LIVE in run.data.metrics:
                return run
        time.sleep(0.5)
    raise AssertionError(f"no run was seen in training; Snakemake: {training.poll()}")


@contextmanager
def chromium() -> Iterator[Any]:
    """A page of a browser."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


def picture(page: Any, name: str) -> None:
    """Keep what is seen, where PICTURES names a folder for people to look into."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")
