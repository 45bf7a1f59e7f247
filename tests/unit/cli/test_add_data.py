"""`add-data`: what it finds in a file, what it writes, and what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli import own
from pipeline.config.schema import load_params, on_grid
from pipeline.errors import BadInput
from tests.unit.cli.test_cli import call, refused
from tests.unit.tiny_runs import ROOT

VARIANTS = 20  # faulty files of each kind


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one grid; `add-data` starts there."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "grids").mkdir()
    shutil.copy(ROOT / "grids/quickstart.yaml", tmp_path / "grids")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sensors(tasks: int = 30, rows: int = 24, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    site = np.repeat([f"s{number}" for number in range(tasks)], rows)
    hour, kind = draw.uniform(0, 24, len(site)).round(2), draw.choice(["old", "new"], len(site))
    load = (np.sin(hour) + (kind == "old") + draw.normal(size=len(site))).round(3)
    return pd.DataFrame({"site": site, "hour": hour, "kind": kind, "load": load})


def shop(users: int = 30, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    pairs = [(f"u{u}", f"00{i}") for u in range(users) for i in draw.permutation(40)[:25]]
    frame = pd.DataFrame(pairs, columns=["Customer ID", "sku"])
    return frame.assign(stars=draw.integers(1, 6, len(frame)), day=draw.integers(0, 9, len(frame)))


def test_from_a_file_to_a_sound_grid(project: Path, capsys) -> None:
    sensors().to_csv("sensors.csv", index=False)
    before = Path("params.yaml").read_text()
    assert call("add-data", "sensors.csv") == 0
    said = capsys.readouterr().out
    assert "Tasks (site): 30; rows of a task: 24 at fewest, 24 in the median, 24 at most." in said
    assert "7 test and 3 validation tasks" in said
    assert "snakemake champions --cores 2 --config grid=sensors" in said
    after = Path("params.yaml").read_text()
    assert after.startswith(before.rstrip()), "comments and layout stay"
    params = on_grid(load_params(Path("params.yaml")), "sensors")
    assert params.active.settings == ["sensors-10shot-10val-100steps"]
    assert yaml.safe_load(after)["datasets"]["sensors"] == {
        "table": "sensors.csv",
        "task": "site",
        "inputs": ["hour", "kind"],
        "target": "load",
        "test_tasks": 7,
        "validation_tasks": 3,
    }
    assert params.role_tasks("sensors") == {"test_tasks": 7, "validation_tasks": 3}


def test_ratings_are_known_by_their_names(project: Path, capsys) -> None:
    shop(users=300).to_csv("shop.csv", index=False, sep=";")
    assert call("add-data", "shop.csv", "--name", "store") == 0
    entry = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["store"]
    columns = {"user": "Customer ID", "item": "sku", "rating": "stars"}
    assert entry == {"ratings": "shop.csv", "columns": columns}, "300 tasks need no own sizes"
    assert "Items: 40; ratings from 1 to 5." in capsys.readouterr().out


def test_a_target_of_texts_holds_classes(project: Path, capsys) -> None:
    frame = sensors().rename(columns={"load": "label"})
    high = frame["label"] > 0.5
    frame.assign(label=np.where(high, "high", "low")).to_csv("own.csv", index=False)
    assert call("add-data", "own.csv") == 0
    said = capsys.readouterr().out
    assert "target, by its name: 2 classes" in said
    assert "Classes (label): 2: high, low." in said
    frame.assign(label=high.astype(int)).to_csv("numbers.csv", index=False)
    assert call("add-data", "numbers.csv", "--loss", "binary") == 0
    assert call("add-data", "numbers.csv", "--name", "plain") == 0
    entries = yaml.safe_load(Path("params.yaml").read_text())["datasets"]
    losses = {name: entry.get("loss") for name, entry in entries.items()}
    assert losses == {"own": "cross_entropy", "numbers": "binary", "plain": None}
    assert load_params(Path("params.yaml")).loss_of("own") == "cross_entropy"


def test_a_look_writes_nothing(project: Path, capsys) -> None:
    sensors().to_csv("sensors.csv", index=False)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert call("add-data", "sensors.csv", "--look") == 0
    assert "Tasks (site): 30" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_what_is_there_is_not_overwritten(project: Path, capsys) -> None:
    sensors().to_csv("sensors.csv", index=False)
    assert call("add-data", "sensors.csv") == 0
    capsys.readouterr()
    said = refused(capsys, "add-data", "sensors.csv")
    assert "found datasets.sensors in params.yaml and grids/sensors.yaml" in said
    assert "is there, and overwrites" in refused(
        capsys, "add-data", "sensors.csv", "--name", "alpine"
    )
    assert call("add-data", "sensors.csv", "--name", "again") == 0
    assert set(load_params(Path("params.yaml")).datasets) == {"sensors", "again"}


def test_columns_are_put_to_use_by_what_they_hold(project: Path, capsys) -> None:
    frame = sensors()
    frame.insert(0, "row", range(len(frame)))
    frame.insert(2, "note", [f"text {number}" for number in range(len(frame))])
    frame.insert(3, "unit", "kW")
    frame["role"] = np.where(frame["site"].isin(["s1", "s2", "s3"]), "test", "train")
    frame["y"] = frame["load"] * 2
    frame["hour"] = frame["hour"].astype(int)
    frame.to_parquet("own.parquet")
    assert call("add-data", "own.parquet", "--categories", "hour", "--missing", "drop") == 0
    entry = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["own"]
    assert entry == {
        "table": "own.parquet",
        "task": "site",
        "inputs": ["hour", "kind", "load"],
        "target": "y",
        "categories": ["hour"],
        "split": "role",
        "missing": "drop",
    }
    said = capsys.readouterr().out
    for told in ("it numbers the rows", "720 different texts", "the same in all rows", "split"):
        assert told in said


@pytest.mark.parametrize(
    ("frame", "options", "wanted"),
    [
        (lambda: sensors(), [], ["gaussian_process"]),
        (lambda: sensors(), ["--loss", "huber"], ["gaussian_process"]),
        (lambda: sensors().assign(load=lambda f: f["kind"]), ["--target", "load"], None),  # classes
        (lambda: shop(), [], ["gaussian_items"]),
    ],
)
def test_the_grid_asks_for_the_predictor_of_its_kind_of_data(
    project: Path, frame, options, wanted
) -> None:
    frame().to_csv("own.csv", index=False)
    assert call("add-data", "own.csv", *options) == 0
    grid = yaml.safe_load(Path("grids/own.yaml").read_text())
    assert grid.get("predictors") == wanted


def test_a_target_of_few_whole_numbers_may_be_one_of_classes(project: Path, capsys) -> None:
    frame = sensors()
    frame["load"] = np.resize([1, 2, 3], len(frame))
    frame.to_csv("own.csv", index=False)
    assert call("add-data", "own.csv", "--look") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the last column: numbers (if they are classes: --loss cross_entropy)" in said
    assert call("add-data", "own.csv", "--look", "--loss", "cross_entropy") == 0
    assert "3 classes" in capsys.readouterr().out


def pictures(shape: tuple[int, ...] = (3, 2, 2), seed: int = 0) -> pd.DataFrame:
    """30 cameras of 24 pictures; their lists are nested as deep as the shape is."""
    frame, draw = sensors(seed=seed), np.random.default_rng(seed)
    picture = draw.normal(size=(len(frame), *shape)).round(3).tolist()
    return frame.assign(picture=picture)[["site", "hour", "kind", "picture", "load"]]


@pytest.mark.parametrize("shape", [(4,), (3, 2, 2), (1, 1)])
def test_a_column_of_lists_is_the_input(project: Path, capsys, shape: tuple[int, ...]) -> None:
    pictures(shape).to_parquet("own.parquet")
    assert call("add-data", "own.parquet") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"picture array of {'x'.join(map(str, shape))}, " in said
    assert "left out: picture is the input" in said
    entry = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["own"]
    assert (entry["inputs"], entry["shape"]) == (["picture"], list(shape))
    assert load_params(Path("params.yaml")).datasets["own"].shape == list(shape)
    assert call("add-data", "own.parquet", "--name", "plain", "--inputs", "hour,kind") == 0
    entry = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["plain"]
    assert "shape" not in entry


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda f: f.assign(picture=[[1.0] * (2 + r % 2) for r in range(len(f))]), [],
         "found lists of 2 and of 3 values, needed one length in all rows"),
        (lambda f: f.assign(picture=[[[1.0] * 2, None]] * len(f)), [], "no value in the place of"),
        (lambda f: f.assign(picture=[["a", "b"]] * len(f)), [], "needed lists of numbers"),
        (lambda f: f.assign(picture=[None, *f["picture"][1:]]), [], "row 1: column 'picture': fo"),
        (lambda f: f.assign(other=f["picture"]).iloc[:, [0, 3, 5, 4]], [],
         "found arrays in column 'picture' and 'other' beside other inputs"),
        (lambda f: f, ["--inputs", "hour,picture"], "in column 'picture' beside other inputs"),
        (lambda f: f, ["--categories", "kind"], "in column 'picture' beside other inputs"),
        (lambda f: f, ["--target", "picture"], "column 'picture' holds list"),
        (lambda f: f, ["--task", "picture"], "column 'picture' holds list"),
    ],
)  # fmt: skip
def test_faulty_lists_end_with_one_message(project, capsys, change, options, said) -> None:
    before = Path("params.yaml").read_bytes()
    change(pictures()).to_parquet("own.parquet")
    found = refused(capsys, "add-data", "own.parquet", *options)
    assert said in found
    assert len(found.splitlines()) == 1
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize("value", [None, [], [0.5, 0.5]])
def test_lists_that_tell_nothing_are_left_out(project: Path, capsys, value) -> None:
    frame = sensors()
    lists = pa.array([value] * len(frame), pa.list_(pa.float64()))
    table = pa.Table.from_pandas(frame).add_column(1, "picture", lists)
    pq.write_table(table, "own.parquet")
    assert call("add-data", "own.parquet") == 0
    assert "left out: the same in all rows" in " ".join(capsys.readouterr().out.split())
    entry = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["own"]
    assert entry["inputs"] == ["hour", "kind"]


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"site": "where"}, [], None),  # thirty texts, and no other column has so many
        ({"site": "person", "kind": "device"}, [], "to which task a row belongs: person or device"),
        ({"load": "y", "hour": "label"}, [], "is to be predicted: label, y. Name it: --target"),
        ({}, ["--task", "sight"], "--task: found 'sight', no column. Did you mean `site`?"),
        ({}, ["--inputs", "hour,kinds"], "Did you mean `kind`?"),
        ({}, ["--target", "kind", "--loss", "huber"], "column 'kind': found '"),
        (
            {},
            ["--loss", "entropy"],
            "--loss: found 'entropy', allowed: squared, huber, binary, cross_entropy.",
        ),
        ({}, ["--user", "site"], "cannot tell which column is the item and the rating"),
        ({}, ["--user", "site", "--task", "site"], "Give those of one kind"),
        ({}, ["--task", "load", "--inputs", "hour"], "is to be predicted"),
        ({}, ["--missing", "guess"], "--missing: found 'guess', allowed: refuse, drop"),
        ({}, ["--name", "a b"], "names have letters, digits"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(project, capsys, change, options, said) -> None:
    sensors().rename(columns=change).to_csv("own.csv", index=False)
    if said is None:
        assert call("add-data", "own.csv", *options) == 0
    else:
        assert said in refused(capsys, "add-data", "own.csv", *options)


def with_value(column: str, value: object):
    def change(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[draw.integers(len(frame)), column] = value
        return frame

    return change


def one_task(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    return frame[frame["site"] == draw.choice(frame["site"])]


def shortened(rows: int):
    return lambda frame, draw: frame.sample(frac=1, random_state=draw).groupby("site").head(rows)


TEXT = {
    "wrong delimiter": lambda text, draw: text.replace(",", draw.choice([":", "^", "~", "/"])),
    "a line too long": lambda text, draw: cut(text, draw, lambda line: line + ",1"),
    "a line too short": lambda text, draw: cut(text, draw, lambda line: line.rpartition(",")[0]),
    "no rows": lambda text, draw: text[: text.index("\n") + 1] + "\n" * draw.integers(9),
    "nothing": lambda text, draw: "\n" * draw.integers(9),
    "a column twice": lambda text, draw: text.replace("kind", draw.choice(["site", "load"]), 1),
}
FRAMES = {
    "no task column": lambda frame, draw: frame.drop(columns="site"),
    "tasks of one row": shortened(1),
    "tasks too short": shortened(5),
    "text among numbers": with_value("load", "many"),
    "text among inputs": with_value("hour", "noon"),
    "a number among texts": with_value("kind", 5),
    "no value": with_value("hour", None),
    "NaN": with_value("load", "NaN"),
    "infinity": with_value("load", np.inf),
    "one task": one_task,
    "two tasks": lambda frame, draw: frame[frame["site"].isin(draw.permutation(30)[:2])],
    "a constant target": lambda frame, draw: frame.assign(load=float(draw.integers(9))),
}


def cut(text: str, draw: np.random.Generator, change) -> str:
    lines = text.splitlines()
    place = draw.integers(1, len(lines))
    return "\n".join([*lines[:place], change(lines[place]), *lines[place + 1 :]])


def refusals(capsys, monkeypatch: pytest.MonkeyPatch, make) -> list[str]:
    """Messages for files that `make` writes: the first by the command line, all by its function."""
    loaded = load_params(Path("params.yaml"))
    make(0)
    said = [refused(capsys, "add-data", "own.csv")]
    monkeypatch.setattr(own, "parameters", lambda _: loaded)  # reading them takes most of the time
    for seed in range(1, VARIANTS):
        make(seed)
        with pytest.raises(BadInput) as fault:
            own.add_data(Path("own.csv"))
        said.append(str(fault.value))
    return said


@pytest.mark.parametrize("kind", [*TEXT, *FRAMES])
def test_faulty_tables_end_with_one_message(project, capsys, monkeypatch, kind: str) -> None:
    before = Path("params.yaml").read_bytes()

    def make(seed: int) -> None:
        draw, frame = np.random.default_rng(seed), sensors(seed=seed)
        if kind in FRAMES:
            frame = FRAMES[kind](frame, draw)
        text = frame.to_csv(index=False)
        Path("own.csv").write_text(TEXT[kind](text, draw) if kind in TEXT else text)

    for said in refusals(capsys, monkeypatch, make):
        assert said.startswith("own.csv: ")
        assert len(said.splitlines()) == 1
    assert Path("params.yaml").read_bytes() == before
    assert {path.name for path in project.rglob("*") if path.is_file()} == {
        "params.yaml",
        "quickstart.yaml",
        "own.csv",
    }


RATINGS = {
    "twice": lambda f, draw: pd.concat([f, f.sample(1, random_state=draw)]),
    "constant": lambda f, _: f.assign(stars=3),
    "text": with_value("stars", "good"),
    "no value": with_value("stars", None),
    "no item": with_value("sku", ""),
}


@pytest.mark.parametrize("kind", RATINGS)
def test_faulty_ratings_end_with_one_message(project, capsys, monkeypatch, kind: str) -> None:
    before = Path("params.yaml").read_bytes()

    def make(seed: int) -> None:
        frame = RATINGS[kind](shop(seed=seed), np.random.default_rng(seed))
        frame.to_csv("own.csv", index=False)

    for said in refusals(capsys, monkeypatch, make):
        assert said.startswith("own.csv: ")
        assert len(said.splitlines()) == 1
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\ns", "\n00"),  # ids that look like numbers
    ],
    ids=["bom", "crlf", "tab", "numbers"],
)
def test_harmless_forms_are_read(project: Path, capsys, change) -> None:
    frame = sensors().rename(columns={"site": "task"}).assign(kind=1.5)
    frame["kind"] += frame["hour"]
    Path("own.csv").write_bytes(change(frame.to_csv(index=False)).encode())
    assert call("add-data", "own.csv") == 0
    assert "Tasks (task): 30" in capsys.readouterr().out


def _with(frame: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    changed = frame.astype({column: object})
    changed.loc[row, column] = value
    return changed


GUESSED = {  # what is told of a fault though nobody named the column
    "text in a target": (_with(sensors(), "load", 40, "many"), "line 42: column 'load'"),
    "infinity in a target": (_with(sensors(), "load", 40, "inf"), "line 42: column 'load'"),
    "text in a rating": (_with(shop(), "stars", 40, "many"), "line 42: column 'stars'"),
    "one task": (sensors(tasks=1), "column 'site': found one task, needed several"),
    "tasks of a row": (sensors(tasks=300, rows=1), "column 'site': found another task in each row"),
    "decimal commas": (
        sensors()
        .astype({"load": str})
        .assign(load=lambda f: f["load"].str.replace(".", ","))
        .rename(columns={"load": "y"}),
        "Are they numbers with decimal commas? Write points.",
    ),
}


@pytest.mark.parametrize("fault", GUESSED)
def test_a_column_that_nobody_named_is_told_of_too(project: Path, capsys, fault: str) -> None:
    frame, words = GUESSED[fault]
    frame.to_csv("own.csv", index=False, sep=";")
    assert words in refused(capsys, "add-data", "own.csv")


def test_users_of_one_rating_each_are_told_of_the_file(project: Path, capsys) -> None:
    shop().drop_duplicates("Customer ID").to_csv("own.csv", index=False)
    said = refused(capsys, "add-data", "own.csv")
    assert "own.csv: found at most 1 ratings per user" in said
    assert "tmp" not in said


@pytest.mark.parametrize("name", ["yes", "null", "1e5", "12"])
def test_a_name_that_yaml_reads_otherwise_is_refused(project: Path, capsys, name: str) -> None:
    sensors().to_csv(f"{name}.csv", index=False)
    said = refused(capsys, "add-data", f"{name}.csv")
    assert f"--name own-{name}" in said
    assert call("add-data", f"{name}.csv", "--name", f"own-{name}") == 0


def test_a_column_whose_name_looks_like_a_number_is_quoted(project: Path) -> None:
    sensors().rename(columns={"hour": "1e5"}).to_csv("own.csv", index=False)
    assert call("add-data", "own.csv") == 0
    assert "inputs: ['1e5', kind]" in Path("params.yaml").read_text()


def test_a_packed_file_is_named_so(project: Path, capsys) -> None:
    sensors().to_csv("own.csv", index=False, compression="gzip")
    assert "packed by gzip" in refused(capsys, "add-data", "own.csv")
