"""Tables and ratings of one's own: what is read, and every fault with its place and remedy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data import schemas
from pipeline.data.cards import OwnRatings, OwnTable
from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.data.own_files import column_names, frame_columns, read_columns
from pipeline.data.own_tasks import build_own_ratings, build_table_tasks
from pipeline.errors import BadInput

SENSORS = """site,hour,wind,kind,load
b,0,1.5,old,10
a,1,2.5,new,11
b,2,3.5,new,12.5
a,3,0.5,old,9
"""
SHOP = """customer;sku;stars
ann;007;5
bob;007;3
ann;8;1
"""


def table(file: Path, **changes) -> OwnTable:
    given = {"task": "site", "inputs": ("hour", "wind", "kind"), "target": "load"} | changes
    return OwnTable("sensors", file, **given)


def ratings(file: Path, **changes) -> OwnRatings:
    given = {"user": "customer", "item": "sku", "rating": "stars"} | changes
    return OwnRatings("shop", file, **given)


def written(tmp_path: Path, content: str | bytes, name: str = "own.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def built(tmp_path: Path, file: Path, **changes) -> tuple[pd.DataFrame, dict]:
    out = tmp_path / "tasks.parquet"
    build_table_tasks(table(file, **changes), out, metadata={"spec": "{}"})
    return pd.read_parquet(out), schemas.read_metadata(out)


def test_rows_by_task_and_inputs_as_numbers(tmp_path: Path) -> None:
    rows, about = built(tmp_path, written(tmp_path, SENSORS))
    assert about["task_ids"] == ["a", "b"]
    assert about["inputs"] == ["hour", "wind", "kind=new", "kind=old"]
    assert rows["task"].tolist() == [0, 0, 1, 1]
    assert rows.drop(columns="task").to_numpy().tolist() == [
        [1, 2.5, 1, 0, 11],
        [3, 0.5, 0, 1, 9],
        [0, 1.5, 0, 1, 10],
        [2, 3.5, 1, 0, 12.5],
    ]
    assert (about["tasks"], about["rows"], about["dropped"], about["repeated"]) == (2, 4, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", "|"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("site", '"site"').replace("old", '"old"'),
        lambda text: text.replace(",", ", ").replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
    ],
    ids=["semicolon", "tab", "bar", "crlf", "bom", "quotes", "spaces", "no last newline"],
)
def test_the_form_of_the_file_changes_nothing(tmp_path: Path, change) -> None:
    plain = built(tmp_path, written(tmp_path, SENSORS))
    other = built(tmp_path, written(tmp_path, change(SENSORS), "other.csv"))
    pd.testing.assert_frame_equal(plain[0], other[0])
    assert plain[1] == other[1]


def test_parquet_and_columns_in_another_order_are_the_same_content(tmp_path: Path) -> None:
    plain = built(tmp_path, written(tmp_path, SENSORS))
    frame = pd.read_csv(tmp_path / "own.csv")[["load", "kind", "wind", "hour", "site"]]
    frame.astype({"kind": "category"}).to_parquet(tmp_path / "own.parquet")
    other = built(tmp_path, tmp_path / "own.parquet")
    pd.testing.assert_frame_equal(plain[0], other[0])
    assert plain[1] == other[1]


def test_ids_that_look_like_numbers_stay_texts(tmp_path: Path) -> None:
    text = SENSORS.replace("\na,", "\n007,").replace("\nb,", "\n7,")
    _, about = built(tmp_path, written(tmp_path, text))
    assert about["task_ids"] == ["007", "7"]
    out = tmp_path / "ratings.parquet"
    about = build_own_ratings(ratings(written(tmp_path, SHOP)), out, metadata={})
    assert about["item_names"] == ["007", "8"]
    assert about["user_names"] == ["ann", "bob"]
    assert pd.read_parquet(out).to_numpy().tolist() == [[0, 0, 5], [1, 0, 3], [0, 1, 1]]
    assert (about["lo"], about["hi"], about["ratings"]) == (1, 5, 3)


NAMES = {
    "truths": [True, False, True],
    "truths with a gap": [True, None, False],
    "numpy truths": [np.True_, np.False_, "?"],
    "whole numbers": [3, 12, 7],
    "whole numbers with a gap": [3, None, 7],
    "great numbers": [123456789012.0, 1.0, 2.0],
    "numbers": [0.5, -1.0, 1e-7],
    "texts": ["007", "1.0.0", "Truth"],
    "texts of truths": ["True", "false", "TRUE"],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_the_same_in_every_kind_of_file_and_in_memory(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"id": NAMES[name], "n": 1})
    frame.to_csv(tmp_path / "own.csv", index=False)
    clean = [None if value == "?" else value for value in frame["id"].tolist()]
    pq.write_table(pa.table({"id": pa.array(clean, from_pandas=True)}), tmp_path / "own.parquet")
    found = [
        read_columns(tmp_path / "own.csv", {"id": "text"}),
        read_columns(tmp_path / "own.parquet", {"id": "text"}),
        frame_columns(frame, {"id": "text"}, name="rows"),
        frame_columns(frame.astype(object), {"id": "text"}, name="rows"),
        frame_columns(pd.read_csv(tmp_path / "own.csv", dtype=str), {"id": "text"}, name="rows"),
        frame_columns(pd.read_parquet(tmp_path / "own.parquet"), {"id": "text"}, name="rows"),
    ]
    for one in found:
        assert one.values["id"] == found[0].values["id"]
        assert one.codes["id"].tolist() == found[0].codes["id"].tolist()
    assert (
        (found[0].codes["id"] < 0) == [value is None or value != value for value in clean]
    ).all()
    if "truths" in name:
        assert found[0].values["id"] == ["false", "true"]


def test_truths_are_no_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [True, False]})
    frame.to_csv(tmp_path / "own.csv", index=False)
    frame.to_parquet(tmp_path / "own.parquet")
    for read in (
        lambda: read_columns(tmp_path / "own.csv", {"n": "number"}),
        lambda: read_columns(tmp_path / "own.parquet", {"n": "number"}),
        lambda: frame_columns(frame, {"n": "number"}, name="rows"),
    ):
        with pytest.raises(BadInput, match=r"column 'n'.* needed (a number|numbers)"):
            read()


def test_numbers_may_be_categories(tmp_path: Path) -> None:
    rows, about = built(tmp_path, written(tmp_path, SENSORS), categories=("hour",))
    assert about["inputs"][:4] == ["hour=0", "hour=1", "hour=2", "hour=3"]
    assert rows["x1"].tolist() == [1, 0, 0, 0]


def test_missing_values_are_dropped_where_it_is_said(tmp_path: Path) -> None:
    text = SENSORS + "a,,2,old,7\nb,5,NA,old,7\na,4,1,,7\nb,6,1,old,nan\n,6,1,old,8\n"
    file = written(tmp_path, text)
    rows, about = built(tmp_path, file, missing="drop")
    assert about["dropped"] == 5
    assert len(rows) == 4
    with pytest.raises(BadInput, match=r"line 6: column 'hour': found no value, and 5 rows"):
        built(tmp_path, file)


def test_repeated_rows_are_counted(tmp_path: Path) -> None:
    _, about = built(tmp_path, written(tmp_path, SENSORS + "a,3,0.5,old,9\n"))
    assert about["repeated"] == 1


def test_a_split_of_its_own(tmp_path: Path) -> None:
    lines = SENSORS.splitlines()
    roles = ["role", "test", "train", "test", "train"]
    text = "\n".join(f"{line},{role}" for line, role in zip(lines, roles, strict=True))
    rows, _ = built(tmp_path, written(tmp_path, text), split="role")
    assert rows["split"].tolist() == ["train", "train", "test", "test"]
    with pytest.raises(BadInput, match=r"line 5: column 'role': found 'test', but other rows of"):
        built(tmp_path, written(tmp_path, text.replace("9,train", "9,test")), split="role")
    with pytest.raises(BadInput, match=r"line 2: column 'role': found 'tset', needed one of"):
        built(tmp_path, written(tmp_path, text.replace("10,test", "10,tset")), split="role")


FAULTY = [
    ("", {}, r"own\.csv: found an empty file"),
    ("\n\n", {}, r"own\.csv: found an empty file"),
    ("site,hour,wind,kind,load\n", {}, "found no rows"),
    (SENSORS.replace(",", ":"), {}, r"found no column 'hour'.*one column, split at ','"),
    (SENSORS, {"delimiter": ";"}, r"found no column 'hour'.*one column, split at ';'"),
    (SENSORS, {"target": "laod"}, r"found no column 'laod'\. Did you mean `load`\?"),
    (SENSORS, {"task": "Site"}, r"found no column 'Site'\. Did you mean `site`\?"),
    (SENSORS.replace("load", "hour"), {}, "line 1: names the column 'hour' twice"),
    (SENSORS.replace("12.5", "12.5,3"), {}, "line 4: found 6 values, needed 5"),
    (SENSORS.replace(",new,12.5", ""), {}, "line 4: found 3 values, needed 5"),
    (SENSORS.replace("12.5", "12,5"), {}, "line 4: found 6 values"),
    (SENSORS.replace("12.5", "twelve"), {}, "line 4: column 'load': found 'twelve', needed a num"),
    (SENSORS.replace("3.5", "fast"), {}, "line 4: column 'wind': found 'fast', needed a number"),
    (SENSORS.replace("\nb,2,3.5,new", "\nb,2,3.5,5"), {}, "line 4: column 'kind': found the numb"),
    (SENSORS.replace("12.5", "inf"), {}, "line 4: column 'load': found infinity"),
    (SENSORS.replace("12.5", "1e999"), {}, "line 4: column 'load': found infinity"),
    (SENSORS.replace("12.5", "1e300"), {}, "line 4: column 'load': found a number beyond 1e\\+38"),
    (SENSORS.replace("12.5", ""), {}, "line 4: column 'load': found no value, and 1 row"),
    (SENSORS.replace("12.5", "NaN"), {}, "line 4: column 'load': found no value"),
    (SENSORS.replace("\nb", "\na"), {}, "found 1 task in column 'site', the largest of 4 rows"),
    (SENSORS, {"task": "load", "target": "wind", "inputs": ("hour",)}, "found 4 tasks in column"),
    (SENSORS, {"target": "hour", "inputs": ("one",)}, "found no column 'one'"),
    (
        SENSORS.replace("10\n", "9\n").replace("11\n", "9\n").replace("12.5\n", "9\n"),
        {},
        "found the same load in all 4 rows",
    ),
    (SENSORS.replace("old", "new"), {}, "column 'kind': found the same value in all 4 rows"),
    (SENSORS.replace("new", "\xe9t\xe9").encode("latin-1"), {}, "line 3: is not UTF-8"),
    (SENSORS.replace("site", "s\xefte").encode("latin-1"), {}, "line 1: is not UTF-8"),
    (SENSORS.encode("utf-16"), {}, "line 1: is not UTF-8"),
    (SENSORS.encode("utf-16-le"), {}, "found no text"),
    (b"PAR1 nonsense", {}, "found no column 'hour'"),
    (
        "site,hour,load\n" + "".join(f"{i % 3},id{i},{i}\n" for i in range(300)),
        {"inputs": ("hour",)},
        "column 'hour': found 300 different texts, needed at most 200",
    ),
    ("site,hour,load\n,1,2\na,,3\n", {"inputs": ("hour",), "missing": "drop"}, "found no row in"),
]


@pytest.mark.parametrize(("content", "changes", "said"), FAULTY)
def test_faulty_tables_are_refused(tmp_path: Path, content, changes, said) -> None:
    file = written(tmp_path, content)
    with pytest.raises(BadInput, match=said) as refused:
        built(tmp_path, file, **changes)
    assert str(refused.value).startswith(str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"], "nothing half-written"


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        (SHOP + "ann;007;4\n", {}, r"line 5: user 'ann' rates item '007' again, as in line 2"),
        (SHOP, {"lo": 2.0, "hi": 5.0}, r"line 4: found the rating 1, needed one from 2 to 5"),
        (SHOP.replace(";1", ";5").replace(";3", ";5"), {}, "found the rating 5 in all 3 rows"),
        (SHOP.replace(";3", ";three"), {}, "line 3: column 'stars': found 'three'"),
        (SHOP.replace(";3", ";"), {}, "line 3: column 'stars': found no value"),
        (SHOP.replace("bob", ""), {}, "line 3: column 'customer': found no value"),
        (SHOP, {"user": "costumer"}, r"found no column 'costumer'\. Did you mean `customer`\?"),
    ],
)
def test_faulty_ratings_are_refused(tmp_path: Path, content, changes, said) -> None:
    file = written(tmp_path, content)
    with pytest.raises(BadInput, match=said) as refused:
        build_own_ratings(ratings(file, **changes), tmp_path / "out.parquet", metadata={})
    assert str(refused.value).startswith(str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder.csv", "found a folder"),
        ("gone.csv", "found no such file"),
        ("own.xlsx", r"found the ending '\.xlsx'"),
        ("own.parquet", "found no readable Parquet"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    written(tmp_path, SENSORS, "own.xlsx")
    written(tmp_path, SENSORS, "own.parquet")
    for read in (lambda p: read_columns(p, {"load": "number"}), column_names):
        with pytest.raises(BadInput, match=said):
            read(tmp_path / name)


@pytest.mark.parametrize("column", ["when", "parts"])
def test_parquet_columns_that_are_no_numbers(tmp_path: Path, column: str) -> None:
    frame = pd.read_csv(written(tmp_path, SENSORS))
    frame["when"] = pd.Timestamp("2026-01-01")
    frame["parts"] = [[1, 2]] * len(frame)
    frame.to_parquet(tmp_path / "own.parquet")
    with pytest.raises(BadInput, match=rf"column '{column}' holds .*, needed numbers"):
        built(tmp_path, tmp_path / "own.parquet", inputs=(column,))


def test_lines_are_counted_over_empty_ones_and_breaks_in_quotes(tmp_path: Path) -> None:
    text = SENSORS.replace("new,11", '"n\new",11\n').replace("12.5", "inf")
    with pytest.raises(BadInput, match="line 6: column 'load': found infinity"):
        built(tmp_path, written(tmp_path, text))


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    """Only the columns that are wanted are kept: here 40 of 44 MB are other text."""
    file = tmp_path / "large.csv"
    with file.open("w") as handle:
        handle.write("site,note,hour,load\n")
        for row in range(200_000):
            handle.write(f"s{row % 50},{'x' * 200},{row % 24},{row % 7}\n")
    columns = read_columns(file, {"site": "text", "hour": "any", "load": "number"})
    kept = sum(values.nbytes for values in (*columns.numbers.values(), *columns.codes.values()))
    assert len(columns) == 200_000
    assert kept == 200_000 * (8 + 8 + 4)
    assert np.unique(columns.codes["site"]).size == 50


def made_tasks(tmp_path: Path, *, roles: bool) -> Path:
    """30 tasks of 12 rows; by roles, 6 of them are for the test and 3 of those are too short."""
    draw = np.random.default_rng(0)
    frames = []
    for number in range(30):
        role = "test" if number < 6 else "train"
        rows = 8 if number < 3 else 12
        x = draw.normal(size=rows)
        frames.append(
            pd.DataFrame({"site": f"s{number:02}", "hour": x, "load": x * number, "role": role})
        )
    file = tmp_path / "made.csv"
    pd.concat(frames).to_csv(file, index=False)
    built(tmp_path, file, inputs=("hour",), split="role" if roles else None)
    return tmp_path / "tasks.parquet"


@pytest.mark.parametrize("roles", [False, True])
def test_roles_are_drawn_or_those_of_the_table(tmp_path: Path, roles: bool) -> None:
    tasks = made_tasks(tmp_path, roles=roles)
    out = tmp_path / "episodes.parquet"
    given = {"support": 5, "query": 5, "test_tasks": 4, "validation_tasks": 3, "metadata": {}}
    summary = freeze_episodes(tasks, out, seed=1, **given)
    episodes = load_episodes(tasks, out)
    test, validation, train = (
        set(part.tasks.tolist()) for part in (episodes.test, episodes.validation, episodes.train)
    )
    assert not (test & validation | test & train | validation & train)
    assert summary["tasks"] == {
        "train": len(train),
        "validation": len(validation),
        "test": len(test),
    }
    assert len(validation) == 3
    if roles:
        assert test == {3, 4, 5}, "those of 12 rows"
        assert train | validation == set(range(6, 30)), "short test tasks train nothing"
    else:
        assert len(test) == 4
        assert len(train) == 23
    assert episodes.test.sx.shape == (len(test), 5, 1)
    assert episodes.n_items == 0
    rows = pd.read_parquet(tasks)
    of_training = rows[rows["task"].isin(train)]
    assert episodes.scaling.y_mean == pytest.approx(of_training["y"].mean())
    assert episodes.train.x.std() == pytest.approx(1)


def test_a_category_that_no_training_task_has_is_no_fault(tmp_path: Path) -> None:
    lines = ["site,kind,hour,load,role"]
    for number in range(12):
        role = "test" if number < 2 else "train"
        kind = "rare" if number < 2 else "usual"
        lines += [f"s{number},{kind},{row},{row * number},{role}" for row in range(12)]
    file = written(tmp_path, "\n".join(lines))
    built(tmp_path, file, inputs=("kind", "hour"), split="role")
    tasks, out = tmp_path / "tasks.parquet", tmp_path / "episodes.parquet"
    freeze_episodes(tasks, out, seed=0, support=5, query=5, validation_tasks=2, metadata={})
    assert np.isfinite(load_episodes(tasks, out).test.sx).all()


def test_too_few_tasks_of_a_role_are_refused(tmp_path: Path) -> None:
    tasks = made_tasks(tmp_path, roles=True)
    out = tmp_path / "episodes.parquet"
    with pytest.raises(BadInput, match="found no test task with at least 14 rows"):
        freeze_episodes(tasks, out, seed=0, support=9, query=1, validation_tasks=2, metadata={})
    assert not out.exists()


# --- inputs that are arrays


def pictures(rows: int = 40) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 6)) * np.repeat([1.0, 10.0], 3) + np.repeat([0.0, 5.0], 3)
    sites = [f"s{row % 4}" for row in range(rows)]
    return pd.DataFrame({"site": sites, "picture": list(x), "load": draw.normal(size=rows)})


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """A column for each number."""
    x = np.stack(frame["picture"].tolist())
    numbers = pd.DataFrame({f"p{place}": x[:, place] for place in range(x.shape[1])})
    return pd.concat([frame.drop(columns="picture"), numbers], axis=1)


def nested(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(picture=[x.reshape(2, 3).tolist() for x in frame["picture"]])


def test_arrays_are_the_same_in_lists_and_in_columns(tmp_path: Path) -> None:
    frame, given = pictures(), {"shape": (2, 1, 3)}
    frame.to_parquet(tmp_path / "lists.parquet")
    nested(frame).to_parquet(tmp_path / "nested.parquet")
    spread(frame).to_csv(tmp_path / "columns.csv", index=False)
    found = []
    for name, inputs in {
        "lists.parquet": ("picture",),
        "nested.parquet": ("picture",),
        "columns.csv": ("p*",),
    }.items():
        _, about = built(tmp_path, tmp_path / name, inputs=inputs, **given)
        sizes = {"support": 3, "query": 3, "test_tasks": 1, "validation_tasks": 1}
        episodes = tmp_path / "episodes.parquet"
        freeze_episodes(tmp_path / "tasks.parquet", episodes, seed=0, **sizes, metadata={})
        found.append(load_episodes(tmp_path / "tasks.parquet", episodes))
        assert about["shape"] == [2, 1, 3]
    for other in found[1:]:
        np.testing.assert_allclose(other.train.x, found[0].train.x)
        np.testing.assert_allclose(other.test.qx, found[0].test.qx)
    train = found[0].train.x
    assert train.shape == (20, 2, 1, 3)
    assert found[0].test.sx.shape == (1, 3, 2, 1, 3)
    np.testing.assert_allclose(train.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=(0, 2, 3)), 1, atol=1e-12)
    raw = found[0].scaling.scale_x(np.stack(frame["picture"].tolist()).reshape(-1, 2, 1, 3))
    assert {x.tobytes() for x in train} < {x.tobytes() for x in raw}, "in the order of flatten()"


@pytest.mark.parametrize(
    "given",
    [
        [np.arange(4.0).reshape(2, 2), np.ones((2, 2))],
        [[[0, 1], [2, 3]], ((1, 1), (1, 1))],
        [np.array([np.array([0, 1]), np.array([2, 3])], dtype=object), [[1, 1], [1, 1]]],
    ],
    ids=["arrays", "lists", "as pandas reads them"],
)
def test_arrays_in_memory(given: list) -> None:
    def read(values: list) -> np.ndarray:
        frame = pd.DataFrame({"picture": pd.Series(values, dtype=object)})
        return frame_columns(frame, {"picture": "array"}, name="rows").numbers["picture"]

    assert read(given).tolist() == [[[0, 1], [2, 3]], [[1, 1], [1, 1]]]
    assert np.isnan(read([None, *given])[0]).all()
    assert np.isnan(read([None])).all()
    for odd, said in (
        (3.0, "needed lists"),
        ("many", "needed lists"),
        ([1.0], "needed"),
        ([["a", "b"]] * 2, "needed lists"),
        ([[1.0, 2.0], [1.0]], "of one|one len"),
    ):
        with pytest.raises(BadInput, match=f"rows: .*'picture': .*{said}|holds .*{said}"):
            read([*given, odd])


def test_arrays_without_scaling_and_repeated_rows(tmp_path: Path) -> None:
    frame = pictures()
    pd.concat([frame, frame[:2]], ignore_index=True).to_parquet(tmp_path / "own.parquet")
    _, about = built(tmp_path, tmp_path / "own.parquet", inputs=("picture",), shape=(6,))
    assert about["repeated"] == 2
    out = tmp_path / "episodes.parquet"
    sizes = {"support": 3, "query": 3, "test_tasks": 1, "validation_tasks": 1, "metadata": {}}
    freeze_episodes(tmp_path / "tasks.parquet", out, seed=0, standardise=False, **sizes)
    x = load_episodes(tmp_path / "tasks.parquet", out).train.x
    assert {row.tobytes() for row in x} <= {row.tobytes() for row in frame["picture"]}


@pytest.mark.parametrize(
    ("change", "changes", "said"),
    [
        (lambda f: f, {"shape": (2, 2)}, r"found 6 numbers in an input \(picture\), needed 4 for"),
        (lambda f: f, {"shape": None}, "column 'picture' holds list<.*>, needed numbers or text"),
        (lambda f: f.assign(picture=1.5), {}, "column 'picture' holds double, needed lists of num"),
        (lambda f: f.assign(picture=[["a"]] * len(f)), {}, "needed lists of numbers"),
        (
            lambda f: f.assign(picture=[[1.0] * (5 + (row == 7)) for row in range(len(f))]),
            {},
            "found lists of 5 and of 6 values, needed one length",
        ),
        (lambda f: f.assign(picture=[[2.0] * 6] * len(f)), {}, "found the same number in all inp"),
        (lambda f: f.assign(picture=[[None] * 6, *f["picture"][1:]]), {}, "row 1: .*: found no v"),
        (lambda f: f.assign(picture=[[np.inf] * 6] * len(f)), {}, "row 1: .*: found infinity"),
        (lambda f: f.assign(picture=[None, *f["picture"][1:]]), {}, "row 1: .*: found no value"),
        (
            lambda f: f.assign(
                picture=[[[1.0] * 3, None if row else [2.0] * 3] for row in range(len(f))]
            ),
            {},
            "found a list that has no value in the place of a list",
        ),
        (spread, {"inputs": ("q*",)}, r"found no column that begins as `inputs` say: q\*"),
        (spread, {"inputs": ("p0", "p1")}, r"found 2 numbers in an input \(p0, p1\), needed 6"),
    ],
)
def test_faulty_arrays_are_refused(tmp_path: Path, change, changes, said) -> None:
    file = tmp_path / "own.parquet"
    change(pictures()).to_parquet(file)
    with pytest.raises(BadInput, match=said) as refused:
        built(tmp_path, file, **{"inputs": ("picture",), "shape": (6,)} | changes)
    assert str(refused.value).startswith(str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["own.parquet"]


def test_text_has_no_lists(tmp_path: Path) -> None:
    pictures().to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(BadInput, match=r"needed lists of numbers, which text cannot have"):
        built(tmp_path, tmp_path / "own.csv", inputs=("picture",), shape=(6,))


LABELS = SENSORS.replace(",10\n", ",low\n").replace(",11\n", ",high\n")
LABELS = LABELS.replace(",12.5\n", ",low\n").replace(",9\n", ",middle\n")


def test_classes_are_numbered_by_name(tmp_path: Path) -> None:
    rows, about = built(tmp_path, written(tmp_path, LABELS), loss="cross_entropy")
    assert about["classes"] == ["high", "low", "middle"]
    assert about["loss"] == "cross_entropy"
    assert rows["y"].tolist() == [0, 2, 1, 1]  # task a: high, middle; b: low, low
    other = LABELS.replace("middle", "medium")
    assert (
        built(tmp_path, written(tmp_path, other), loss="cross_entropy")[1]["fingerprint"]
        != (about["fingerprint"])
    )


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["1", "0", "1", "0"], ["0", "1"]),
        (["01", "1", "1", "01"], ["01", "1"]),
        (["true", "false", "true", "true"], ["false", "true"]),
        (["yes", "7", "yes", "7"], ["7", "yes"]),
    ],
    ids=["numbers", "a zero before", "bool", "texts and numbers"],
)
def test_labels_are_texts_whatever_they_look_like(tmp_path: Path, labels, names) -> None:
    lines = SENSORS.strip().split("\n")
    rows = [line.rsplit(",", 1)[0] for line in lines[1:]]
    text = "\n".join(
        [lines[0], *(f"{row},{label}" for row, label in zip(rows, labels, strict=True))]
    )
    _, about = built(tmp_path, written(tmp_path, text), loss="binary")
    assert about["classes"] == names


def test_labels_of_parquet_may_have_a_type(tmp_path: Path) -> None:
    frame = pd.read_csv(written(tmp_path, SENSORS))
    for values, names in (
        ([True, False, True, True], ["false", "true"]),
        ([3, 4, 3, 3], ["3", "4"]),
    ):
        frame.assign(load=values).to_parquet(tmp_path / "own.parquet")
        _, about = built(tmp_path, tmp_path / "own.parquet", loss="cross_entropy")
        assert about["classes"] == names


@pytest.mark.parametrize(
    ("content", "loss", "said"),
    [
        (SENSORS.replace(",10\n", ",low\n"), "squared", r"line 2: .*load.*low.*number"),
        (LABELS, "binary", r"column 'load': found 3 different values \(high, low, middle\)"),
        (
            LABELS.replace(",high\n", ",\n"),
            "cross_entropy",
            r"line 3: column 'load': found no value",
        ),
        (
            LABELS.replace("high", "low").replace("middle", "low"),
            "cross_entropy",
            "found the same load in all 4 rows",
        ),
        (
            "site,hour,wind,kind,load\n"
            + "".join(f"{k % 9},{k},{k},a{k % 2},{k}\n" for k in range(200)),
            "cross_entropy",
            "found 200 different values .* needed at most 100 classes. Is it a number",
        ),
    ],
    ids=["text where numbers are", "three for two", "missing", "one class", "numbers"],
)
def test_faulty_classes_are_refused(tmp_path: Path, content: str, loss: str, said: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(BadInput, match=said):
        built(tmp_path, file, loss=loss)
    assert not (tmp_path / "tasks.parquet").exists()


def class_table(tmp_path: Path, strange: str) -> Path:
    """12 tasks of 12 rows, with classes a and b; `strange` stands once in the first task."""
    lines = ["site,hour,load"]
    for task in range(12):
        for row in range(12):
            label = strange if (task, row) == (0, 3) else "ab"[(task + row) % 2]
            lines.append(f"s{task:02},{row + task},{label}")
    out = tmp_path / "tasks.parquet"
    given = table(written(tmp_path, "\n".join(lines)), inputs=("hour",), loss="cross_entropy")
    build_table_tasks(given, out, metadata={})
    return out


def test_episodes_of_classes_are_numbers_of_them(tmp_path: Path) -> None:
    tasks, out = class_table(tmp_path, "a"), tmp_path / "episodes.parquet"
    freeze_episodes(
        tasks, out, seed=0, support=4, query=4, test_tasks=3, validation_tasks=2, metadata={}
    )
    episodes = load_episodes(tasks, out)
    assert episodes.classes == ["a", "b"]
    for y in (episodes.train.y, episodes.test.qy, episodes.validation.sy):
        assert y.dtype == np.int64
        assert set(np.unique(y)) <= {0, 1}
    assert (episodes.scaling.y_mean, episodes.scaling.y_std) == (0, 1)
    assert episodes.train.x.mean() == pytest.approx(0)


def test_a_class_that_no_training_task_has_is_refused(tmp_path: Path) -> None:
    tasks, out = class_table(tmp_path, "z"), tmp_path / "episodes.parquet"
    given = {"support": 4, "query": 4, "test_tasks": 3, "validation_tasks": 2, "metadata": {}}
    said = []
    for seed in range(12):
        try:
            freeze_episodes(tasks, out, seed=seed, **given)
        except BadInput as error:
            said.append(str(error))
    assert 0 < len(said) < 12  # it depends on whether the task is held out
    assert all("found the class 'z' in" in text and "task 's00'" in text for text in said)


@pytest.mark.parametrize("roles", [False, True])
def test_a_large_table_is_written_part_by_part(tmp_path: Path, monkeypatch, roles: bool) -> None:
    """A few rows at a time and all at once are the same content."""
    file = tmp_path / "made.csv"
    made_tasks(tmp_path, roles=roles)
    frame = pd.read_csv(file).assign(kind=["old", "new", "odd"] * 116)
    pd.concat([frame, frame[5:8]]).to_csv(file, index=False)
    given = {"inputs": ("hour", "kind"), "split": "role" if roles else None}
    whole = built(tmp_path, file, **given)
    monkeypatch.setattr(schemas, "GROUP", 7)
    parts = built(tmp_path, file, **given)
    pd.testing.assert_frame_equal(whole[0], parts[0])
    assert whole[1] == parts[1]
    assert whole[1]["repeated"] == 3
    assert {path.name for path in tmp_path.iterdir()} == {"made.csv", "tasks.parquet"}
