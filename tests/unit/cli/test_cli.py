"""The command line: help for everything, and bad input ends with status 2 and one message."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from pipeline import cli
from pipeline.config.schema import load_params, on_grid
from pipeline.data import schemas
from pipeline.runs.recipe import canonical
from pipeline.runs.records import read_run
from tests.unit.tiny_runs import RATINGS, ROOT, SYNTHETIC, make_files, recipe

COMMANDS = {command.name: command for command in cli.app.registered_commands}
PARAMS = ["--params", str(ROOT / "params.yaml")]


def call(*arguments: object) -> int:
    """Run a command in this process; its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that ends with status 2."""
    assert call(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    return said.err.removeprefix("error: ").strip()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return make_files(tmp_path)


# --- help


def test_commands_are_the_documented_ones():
    documented = (ROOT / "docs/layout.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^python -m pipeline ([a-z-]+)", documented, re.M)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert call(name, "--help") == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    parameters = typer.main.get_command(cli.app).commands[name].params
    for parameter in parameters:
        shown = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
        assert shown.lower() in text.lower(), f"{name} --help does not name {shown}"
    assert COMMANDS[name].callback.__doc__.split(".")[0].split(":")[0].strip()[:20] in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_wrapped_by_the_terminal_alone(name):
    paragraphs = COMMANDS[name].help.split("\n\n")
    assert all("\n" not in paragraph for paragraph in paragraphs)


def test_help_lists_every_command(capsys):
    assert call("--help") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


def test_help_starts_without_torch():
    code = (
        "import sys\nfrom pipeline.cli import main\nsys.argv = ['pipeline', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# --- bad input, in this process


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (
            ["download", "ml-9k", "o"],
            "data set: found 'ml-9k', not allowed. Did you mean `ml-100k`?",
        ),
        (["download", "alpine", "o"], "data set: found 'alpine', not allowed. Allowed: simulated"),
        (
            ["build-ratings", "ml-9k", "a", "o"],
            "data set: found 'ml-9k', not allowed. Did you mean `ml-100k`?",
        ),
        (["build-ratings", "ml-100k", "a", "o", *PARAMS], "a: found no such file"),
        (
            ["build-tasks", "ml-9k", "o", *PARAMS],
            "found 'ml-9k', not allowed. Did you mean `ml-100k`? Allowed: ",
        ),
        (["build-tasks", "ml-9k", "o", *PARAMS], "cosmixture-released, alpine"),
        (["build-tasks", "ml-100k", "o", *PARAMS], "--source: missing; ml-100k is made from"),
        (["build-tasks", "alpine", "o", "--spec", "{}"], "--spec: found no n_train, n_test, poin"),
        (
            ["freeze-episodes", "t", "o", *PARAMS],
            "--setting: missing; needed one of: cosmixture-50",
        ),
        (
            ["freeze-episodes", "t", "o", "--setting", SYNTHETIC, *PARAMS],
            f"--setting: found '{SYNTHETIC}', not allowed. Did you mean `cosm",
        ),
        (["freeze-episodes", "t", "o", "--spec", '{"seed": 1}'], "found no support, query, valid"),
        (
            [
                *("freeze-episodes", "t", "o", "--spec"),
                '{"seed": 1, "support": 1, "query": 1, "validation_tasks": 1, "standardise": true}',
            ],
            "found no test_tasks or evaluation_points",
        ),
        (["meta-train", "t", "e", "r", *PARAMS], "--method: missing; needed one of: maml, maml1"),
        (["meta-train", "t", "e", "r", "--method", "x", *PARAMS], "--method: found 'x', not all"),
        (
            ["meta-train", "t", "e", "r", "--method", "maml", "--setting", "x", *PARAMS],
            "--setting: found 'x', not allowed. Allowed: cosmixture",
        ),
        (["meta-train", "t", "e", "r", "--spec", "{}"], "recipe: method: missing"),
        (["meta-train", "t", "e", "r", "--spec", "{"], "--spec: found no JSON (Expecting prop"),
        (["meta-train", "t", "e", "r", "--spec", "[]"], "--spec: found list of nothing, needed a"),
        (["meta-train", "t", "e", "r", "--spec", "[1]"], "--spec: found list of int, needed a"),
        (["meta-train", "t", "e", "r", "--spec", "1"], "--spec: found int, needed a recipe object"),
        (["meta-train", "t", "e", "r", "--spec", "[{}]"], "EPISODES: found 'e', needed `{seed}`"),
        (["meta-train", "t", "{seed}", "r", "--spec", "[{}]"], "--spec: found no seed in recipe 0"),
        (["profile-cost", "o", "--spec", "[]"], "--spec: found list, needed a recipe object"),
        (["meta-train", "t", "e", "r", "--spec", "@none"], "--spec: cannot read none: No such fi"),
        (["meta-train", "t", "e", "r", "--spec", canonical(recipe())], "e: found no such file"),
        (["profile-cost", "o", "--method", "x", *PARAMS], "--method: found 'x', not allowed."),
        (["profile-cost", "o", "--spec", "{}"], "recipe: method: missing"),
        (["build-tables", "none", "--spec", '{"grid": "x"}'], "found no methods, settings, seeds"),
        (["reconcile", "--grid", "none", *PARAMS], "--grid: found 'none', no file of grids/"),
        (["plan", "--grid", "ratngs", *PARAMS], "Did you mean `ratings`? Allowed: abl"),
        (["plan", "--no-measure", "--measured", *PARAMS], "--no-measure: found --measured beside"),
        (["plan", "--device", "tpu", *PARAMS], "device: found 'tpu', allowed: auto, cuda, cpu"),
        (["plan", "--params", "none.yaml"], "none.yaml: no such file; run from the pro"),
        (["check-params", "--params", "none.yaml"], "none.yaml: no such file; run from the pro"),
        (["meta-train", "t", "e", "r", "--params", "none.yaml"], "none.yaml: no such file"),
        (["profile-cost", "o", "--params", "none.yaml"], "none.yaml: no such file"),
        (["build-tables", "r", "--params", "none.yaml"], "none.yaml: no such file"),
        (["build-tasks", "alpine", "o", "--params", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_bad_input_ends_with_status_2(arguments, found, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "found"), [("{", "JSON"), ("[1]", "list"), ("5", "int"), ("[" * 9000, "JSON")]
)
def test_values_of_the_command_line_are_an_object(given, found, capsys):
    said = refused(capsys, "restore-runs", "--config", given, *PARAMS)
    assert "--config" in said
    assert found in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["schema", "FILE/out.json"],
        ["schema", "."],
        ["schema", "/proc/none/out.json"],
        ["recipes", "FILE", *PARAMS],
        ["build-tasks", "alpine", "FILE/tasks.parquet", *PARAMS],
        ["check-params", "--params", "FILE/params.yaml"],
    ],
)
def test_a_path_that_the_system_refuses_is_named(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("not a folder")
    said = refused(capsys, *arguments)
    place = next(a for a in arguments if "/" in a or a in ("FILE", "."))
    assert place.split("/")[0] in said
    assert said.count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_the_system_refuses_is_one_line(code, capsys, monkeypatch):
    def refusing(*_: Any) -> None:
        raise OSError(code, os.strerror(code), "some/place")

    monkeypatch.setattr("pipeline.config.schema.load_params", refusing)
    said = refused(capsys, "check-params")
    assert "some/place" in said
    assert os.strerror(code) in said


def test_an_error_of_a_library_keeps_its_traceback(monkeypatch):
    def broken(*_: Any) -> None:
        raise OSError("a library's own, without a number")

    monkeypatch.setattr("pipeline.config.schema.load_params", broken)
    with pytest.raises(OSError, match="library"):
        call("check-params")


@pytest.mark.parametrize("command", ["build-tables", "plot-curves", "keep-evidence"])
@pytest.mark.parametrize("folder", ["results/nonsense", "/nonexistent", "params.yaml"])
def test_a_folder_of_no_grid_is_refused(command, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, command, folder, *PARAMS)
    assert folder in said
    assert "quickstart" in said
    assert list(tmp_path.iterdir()) == []


def test_the_folder_says_which_grid_is_kept(capsys, tmp_path, monkeypatch):
    asked: dict[str, list] = {}

    def keep(_: Path, **of: list) -> int:
        asked.update(of)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.jobs.restore.keep_finished", keep)
    (tmp_path / "results/swept").mkdir(parents=True)
    assert call("keep-evidence", "results/swept", *PARAMS) == 0
    assert "results/swept" in capsys.readouterr().out
    swept = on_grid(load_params(ROOT / "params.yaml"), "swept").active
    for name in ("methods", "settings", "seeds"):
        assert sorted(asked[name]) == sorted(getattr(swept, name))
    assert "'ci'" in refused(capsys, "keep-evidence", "results/swept", "--grid", "ci", *PARAMS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["meta-train"],
        ["meta-train", "t", "e", "r", "--threads", "0"],
        ["meta-train", "t", "e", "r", "--seed", "-1"],
        ["meta-train", "t", "e", "r", "--seed", "99999999999999999999"],
        ["meta-train", "t", "e", "r", "--threads", "99999999999999999999"],
        ["meta-train", "t", "e", "r", "--checkpoint-every", "0"],
        ["profile-cost", "o", "--threads", "many"],
        ["plan", "--cores", "0"],
        ["check-params", "--parms", "x"],
    ],
)
def test_arguments_that_do_not_fit_end_with_status_2(arguments, capsys):
    assert call(*arguments) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err


def test_no_gpu(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = ["meta-train", *files, tmp_path / "run", "--spec", canonical(recipe())]
    assert "torch sees no CUDA device" in refused(capsys, *run, "--device", "cuda")
    assert "found 'tpu', allowed: auto, cuda, cpu" in refused(capsys, *run, "--device", "tpu")
    cost = ["profile-cost", tmp_path / "p.json", "--method", "maml", *PARAMS, "--device", "cuda"]
    assert "torch sees no CUDA device" in refused(capsys, *cost)


@pytest.mark.parametrize(
    ("method", "change", "found"),
    [
        ("amaml", {"horizon": 0}, "recipe: settings: horizon must be positive and finite, found 0"),
        ("amaml", {"omega": 2}, "recipe: settings: omega must lie in [0, 1], found 2"),
        ("fomaml", {"inner_steps": 0}, "recipe: settings: inner_steps must be a whole number"),
        ("fomaml", {"inner_lr": -1}, "recipe: settings: inner_lr must be positive"),
        ("imaml", {"cg_steps": None}, "recipe: settings: cg_steps must be a whole number"),
        ("maml", {"speed": 1}, "recipe: settings: `maml` takes inner_steps, inner_lr; found spee"),
    ],
)
def test_settings_that_the_core_refuses(method, change, found, files, tmp_path, capsys):
    given = recipe(method)
    given["settings"] |= change
    message = refused(
        capsys, "meta-train", *files, tmp_path / "run", "--spec", canonical(given), "--device=cpu"
    )
    assert message.startswith(found)
    assert not (tmp_path / "run").exists()


# --- what works


def test_training_by_command(files, tmp_path, capsys):
    """From a file's recipe; the record's own spec.json repeats the job."""
    spec = tmp_path / "spec.json"
    spec.write_text(canonical(recipe("imaml")))
    run = ["meta-train", *files, tmp_path / "run", "--spec", f"@{spec}", "--device", "cpu"]
    assert call(*run) == 0
    assert "imaml cosmixture-8shot-6val-5steps seed 0: nRMSE" in capsys.readouterr().out
    again = ["meta-train", *files, tmp_path / "again", "--device", "cpu"]
    assert call(*again, "--spec", f"@{tmp_path / 'run/spec.json'}") == 0
    first, second = (read_run(tmp_path / name) for name in ("run", "again"))
    assert first.theta.tobytes() == second.theta.tobytes()


def test_a_divergence_ends_with_status_0(files, tmp_path, capsys):
    given = canonical(recipe("maml", gradient_limit=1e-9))
    assert call("meta-train", *files, tmp_path / "run", "--spec", given, "--device", "cpu") == 0
    assert "failed: meta-update 1" in capsys.readouterr().out
    assert read_run(tmp_path / "run").metrics["status"] == "failed"


def test_data_commands_take_their_recipe_from_the_parameters(tmp_path, capsys):
    tasks, episodes = tmp_path / "tasks.parquet", tmp_path / "episodes.parquet"
    setting = "cosmixture-50shot-50val"
    assert call("build-tasks", "cosmixture", tasks, *PARAMS) == 0
    assert call("freeze-episodes", tasks, episodes, "--setting", setting, "--seed", 3, *PARAMS) == 0
    about = schemas.read_metadata(episodes)
    assert (about["seed"], about["support"], about["evaluation_points"]) == (3, 50, 100)
    from pipeline.jobs.recipes import episodes_recipe

    wanted = episodes_recipe(load_params(ROOT / "params.yaml"), setting, 3)
    assert json.loads(about["spec"]) == wanted


def test_freezing_takes_every_number_of_its_recipe(files, tmp_path):
    """None of them is a default of the function behind the command."""
    given = {"seed": 1, "support": 7, "query": 3, "validation_tasks": 2, "standardise": False}
    given |= {"evaluation_points": 9}
    out = tmp_path / "out.parquet"
    assert call("freeze-episodes", files[0], out, "--spec", json.dumps(given)) == 0
    about = schemas.read_metadata(out)
    assert {name: about[name] for name in given if name in about} == {
        name: value for name, value in given.items() if name != "validation_tasks"
    }
    assert about["tasks"] == {"train": 10, "validation": 2, "test": 4}


def test_freezing_ratings_takes_the_number_of_test_tasks(tmp_path):
    tasks, _ = make_files(tmp_path, RATINGS)
    given = {"seed": 1, "support": 6, "query": 3, "validation_tasks": 2, "standardise": True}
    out = tmp_path / "out.parquet"
    spec = json.dumps(given | {"test_tasks": 4})
    assert call("freeze-episodes", tasks, out, "--spec", spec) == 0
    about = schemas.read_metadata(out)
    assert (about["tasks"]["validation"], about["tasks"]["test"]) == (2, 4)


def test_sound_parameters_are_called_sound(capsys):
    assert call("check-params", *PARAMS) == 0
    assert re.search(r"sound\. Grid 'quickstart': \d+ methods x", capsys.readouterr().out)


def test_a_plan_is_printed_as_tables_or_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("plan", "--grid", "ci", "--no-measure", *PARAMS) == 0
    assert "Grid 'ci': 49 jobs, 0 done, 49 left." in capsys.readouterr().out
    assert call("plan", "--grid", "ci", "--no-measure", "--json", *PARAMS) == 0
    assert json.loads(capsys.readouterr().out)["total"]["jobs"] == 49
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_printed_or_written(tmp_path, capsys):
    assert call("schema") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["title"] == "ParamsFile"
    assert call("schema", tmp_path / "s.json") == 0
    assert (tmp_path / "s.json").read_text() == printed


# --- a real process


def test_a_real_process_says_one_line_and_ends_with_status_2(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "check-params", "--params", str(tmp_path / "no.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'no.yaml'}: no such file")
    assert done.stdout == ""


def test_other_errors_are_not_swallowed(monkeypatch: Any):
    """A fault of ours keeps its traceback (status 1)."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pipeline.config.schema.load_params", broken)
    with pytest.raises(ZeroDivisionError):
        call("check-params")


ASCII = """
import runpy, sys, types
stub = sys.modules["pipeline.cli"] = types.ModuleType("pipeline.cli")
stub.main = lambda: print("1 \\u00b1 2", __import__("os").environ["MPLBACKEND"])
runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
"""


def test_an_odd_environment_stops_no_command():
    """What an encoding lacks is escaped; a notebook's way to draw is not taken over."""
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "MPLBACKEND": "nope"}
    done = subprocess.run(
        [sys.executable, "-c", ASCII], cwd=ROOT, env=os.environ | plain, capture_output=True
    )
    assert done.stdout == b"1 \\xb1 2 agg\n", done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("malloc of size 4194304 failed"), "out of memory (malloc of size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory (Default"),
        (RuntimeError("CUDA out of memory. Tried to"), "out of memory (CUDA"),
    ],
)
def test_where_memory_ends_a_message_is_given(error, said, monkeypatch, capsys):
    def app(**options: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    assert call("check-params") == 1
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_other_faults_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def app(**options: Any) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(RuntimeError, match="shapes differ"):
        call("check-params")
