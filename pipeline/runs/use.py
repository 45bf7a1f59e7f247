"""A trained initialisation on new tasks, whose rows have ids and categories as people have them.

What the command `adapt`, Python and a served model do is the same: train on the support rows of
each task, predict its query rows.

    from pipeline.runs.use import adapt_to

    table = adapt_to("GRID/SETTING", support, query)  # of a champion, or a path

`support` and `query` are data frames with the columns of the data that it was trained on.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.own_files import Kind, OwnColumns, frame_columns
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.metrics import class_errors

Columns = dict[str, np.ndarray]  # of the query rows, (N,)


@dataclass(frozen=True)
class Task:
    """One task: the places of its rows among the support and the query rows."""

    name: str
    support: np.ndarray
    query: np.ndarray


def adapt_to(
    start: Initialisation | Path | str,
    support: pd.DataFrame,
    query: pd.DataFrame | None = None,
    *,
    steps: int | None = None,
) -> pd.DataFrame:
    """Train an initialisation on support rows, and predict query rows.

    Args:
        start: what `locate` finds.
        support: rows with targets, of one task; of several, if a column has their ids (as in the
            data that it was trained on).
        query: rows to predict, in which targets may be missing; None: the support rows.
        steps: of training; None: the K that it was meta-trained for.

    Returns:
        The query rows, with columns `prediction` (raw units) and, of rated items, `known`: `no`
        of an item that training did not have, for which the mean is predicted. Of classes
        `prediction` is the most probable one, and each has a column `p(NAME)`, its probability.

    Raises:
        BadInput: for what is no initialisation, columns or values that are missing or do not fit,
            a task without support rows, training that diverges.
    """
    if not isinstance(start, Initialisation):
        start = Initialisation.read(locate(start))
    query = support if query is None else query
    told = [
        frame_columns(frame, wanted(start, list(frame.columns), targets=targets), name=name)
        for frame, name, targets in ((support, "support", True), (query, "query", False))
    ]
    return query.assign(**answer(start, *told, steps=steps))


def locate(given: Path | str, results: Path = Path("results")) -> Path:
    """The file or folder that a person names: itself, or GRID/SETTING of a champion.

    Raises:
        BadInput: when there is neither.
    """
    path = Path(given)
    if path.exists() or len(path.parts) != 2:
        return path
    grid, setting = path.parts
    champions = results / grid / "champions"
    if (found := champions / f"{setting}.safetensors").is_file():
        return found
    there = sorted(file.stem for file in champions.glob("*.safetensors"))
    close = difflib.get_close_matches(setting, there, n=1)
    guess = f" Did you mean `{grid}/{close[0]}`?" if close else ""
    has = f"grid '{grid}' has champions of: {', '.join(there)}" if there else "none is there"
    raise BadInput(
        f"{given}: found neither such a file nor a champion {found}; {has}.{guess} "
        f"`python -m pipeline promote {grid}` chooses them."
    )


def wanted(start: Initialisation, there: Iterable[str], *, targets: bool) -> dict[str, Kind]:
    """Columns to read of support rows (`targets`: they need some) or of query rows."""
    target: Kind = "text" if start.classes else "number"
    optional: dict[str, Kind] = {start.about["task"]: "text", start.about["target"]: target}
    columns = start.columns | {name: kind for name, kind in optional.items() if name in there}
    return columns | ({start.about["target"]: target} if targets else {})


def answer(
    start: Initialisation, support: OwnColumns, query: OwnColumns, *, steps: int | None = None
) -> Columns:
    """The columns that are predicted of query rows; for arguments and errors see `adapt_to`."""
    y = start.targets(support)
    if np.isnan(y).any():
        raise BadInput(
            f"{support.place(int(np.isnan(y).argmax()))}: column '{start.about['target']}': found "
            "no value, needed a target. Mend it."
        )
    x, asked = start.encode(support), start.encode(query)
    tasks = list(tasks_of(start, support, query))
    answers = start.adapt_tasks(
        [(x[task.support], y[task.support], asked[task.query]) for task in tasks],
        steps=steps,
        names=[task.name for task in tasks if task.name],
    )
    predicted = np.empty((len(query), *answers[0].shape[1:]))
    for task, own in zip(tasks, answers, strict=True):
        predicted[task.query] = own
    if start.classes:
        found = {"prediction": np.array(start.classes)[predicted.argmax(1)]}
        return found | dict(zip(probability_columns(start), predicted.T, strict=True))
    found = {"prediction": predicted}
    if start.items is not None:
        found["known"] = np.where(asked >= 0, "yes", "no")
    return found


def probability_columns(start: Initialisation) -> list[str]:
    """Names of the columns of probabilities, one for each class."""
    return [f"p({label})" for label in start.classes]


def tasks_of(start: Initialisation, support: OwnColumns, query: OwnColumns) -> Iterator[Task]:
    """The tasks of the query rows; where no column has task ids, all rows are of one."""
    name = start.about["task"]
    if name not in support.codes and name not in query.codes:
        yield Task("", np.arange(len(support)), np.arange(len(query)))
        return
    for one, other in ((support, query), (query, support)):
        if name not in other.codes:
            raise BadInput(
                f"{other.path}: found no column '{name}', which {one.path} has; needed task ids in "
                "both or in neither. Add the column, or take it away."
            )
    for one in (support, query):
        if (lost := one.missing(name)).any():
            place = one.place(int(lost.argmax()))
            raise BadInput(f"{place}: column '{name}': found no value. Mend it.")
    place_of = {value: place for place, value in enumerate(support.values[name])}
    for code in np.unique(query.codes[name]):
        value = query.values[name][code]
        asked = np.flatnonzero(query.codes[name] == code)
        rows = np.flatnonzero(support.codes[name] == place_of.get(value, -2))
        if not len(rows):
            raise BadInput(
                f"{query.place(int(asked[0]))}: column '{name}': found the task '{value}', which "
                "has no support row; needed one or more to train on. Add some, or take it away."
            )
        yield Task(value, rows, asked)


def verdict(start: Initialisation, support: OwnColumns, query: OwnColumns, found: Columns) -> str:
    """How good predictions are where the query has targets, beside those of the support rows."""
    tasks = list(tasks_of(start, support, query))
    used = np.concatenate([task.support for task in tasks])
    rows = len(used)
    of = f" of {len(tasks)} tasks" if len(tasks) > 1 else ""
    if start.items is not None and (unknown := int((start.encode(support)[used] < 0).sum())):
        rows -= unknown
        of += f" ({unknown} of items that training did not have left out)"
    told = f"trained on {rows} row{'s' * (rows != 1)}{of}, {len(query)} predicted"
    if start.about["target"] not in {**query.numbers, **query.codes}:
        return told
    y, truth = start.targets(support), start.targets(query)
    there = [task.query[~np.isnan(truth[task.query])] for task in tasks]
    judged = [(y[task.support], at) for task, at in zip(tasks, there, strict=True) if len(at)]
    if not judged:
        return told
    on_tests = f"on the test tasks of {start.about['setting']} it was"
    if start.classes:
        p = np.stack([found[name] for name in probability_columns(start)], axis=1)
        log_p = np.log(np.maximum(p, np.finfo(float).tiny))
        classes = np.arange(len(start.classes))
        scores = []
        for own, at in judged:
            count = (own[:, None] == classes).sum(0) + 1
            shares = np.broadcast_to(np.log(count / count.sum()), (len(at), len(classes)))
            both = np.stack([log_p[at], shares])
            judgement = class_errors(both, np.stack([truth[at]] * 2), np.ones((2, len(at))))
            scores.append((judgement["accuracy"][0], *judgement["log_loss"]))
        accuracy, loss, usual = np.mean(scores, axis=0)
        return (
            f"{told}: accuracy {accuracy:.4f}, log loss {loss:.4f}. The frequencies of the support "
            f"rows would give a log loss of {usual:.4f}; {on_tests} {_told(start, 'log_loss')}."
        )
    unit = start.about["scaling"]["target_std"]
    errors = [
        [np.sqrt(np.mean((guess - truth[at]) ** 2)) / unit for guess in guesses]
        for guesses, at in (((found["prediction"][at], own.mean()), at) for own, at in judged)
    ]
    ours, mean = np.mean(errors, axis=0)
    return (
        f"{told}: nRMSE {ours:.4f}. The mean of the support rows would give {mean:.4f}; {on_tests} "
        f"{_told(start, 'nrmse')}."
    )


def _told(start: Initialisation, name: str) -> str:
    value = start.about.get(name)
    return "not measured" if value is None else f"{value:.4f}"


PART = "part"  # the column of a request that says of each row: support, or query
PARTS = ("support", "query")


def answer_mixed(
    start: Initialisation, rows: pd.DataFrame, *, steps: int | None = None
) -> pd.DataFrame:
    """Predictions for one table of support and query rows, told apart by a column `part`.

    Returns:
        The query rows in their order: task ids and items as given, and what `adapt_to` adds.

    Raises:
        BadInput: as `adapt_to`, and for a part that is neither.
    """
    kinds = wanted(start, list(rows.columns), targets=True) | {PART: "text"}
    read = frame_columns(rows, kinds, name="request")
    parts = np.array([*read.values[PART], "no value"])[read.codes[PART]]
    if not np.isin(parts, PARTS).all():
        row = int((~np.isin(parts, PARTS)).argmax())
        raise BadInput(
            f"{read.place(row)}: column '{PART}': found '{parts[row]}', needed `support` or "
            "`query`. Mend it."
        )
    of_part = {part: np.flatnonzero(parts == part) for part in PARTS}
    for part, chosen in of_part.items():
        if not len(chosen):
            raise BadInput(
                f"request: found no row whose column '{PART}' is `{part}`, needed one or more."
            )
    support, query = (read.take(chosen) for chosen in of_part.values())
    ids = [start.about["task"]] if start.about["task"] in rows else []
    ids += [start.about["item"]] if start.items is not None else []
    return rows[ids].iloc[of_part["query"]].assign(**answer(start, support, query, steps=steps))


def example(start: Initialisation) -> pd.DataFrame:
    """A request as `answer_mixed` takes it: two support rows and a query row of one task."""
    about, scaling = start.about, start.about["scaling"]
    rows: dict[str, list[object]] = {PART: ["support", "support", "query"]}
    rows[about["task"]] = ["a", "a", "a"]
    if start.items is not None:
        rows[about["item"]] = [start.items[place % len(start.items)] for place in range(3)]
    shape = about.get("shape", np.shape(scaling["x_mean"]))
    mean, spread = (np.broadcast_to(scaling[n], shape).ravel() for n in ("x_mean", "x_std"))
    place = 0
    for column in about.get("inputs", []):
        name, categories = column["name"], column["categories"]
        if categories:
            rows[name] = [categories[row % len(categories)] for row in range(3)]
        else:
            is_array = start.columns[name] == "array"
            own = slice(None) if is_array else place
            rows[name] = [(mean + far * spread)[own].tolist() for far in (-1, 1, 0)]
        place += len(categories or [name])
    targets: list[object] = [scaling["y_mean"], scaling["y_mean"] + scaling["y_std"]]
    rows[about["target"]] = [*(start.classes[:2] if start.classes else targets), None]
    return pd.DataFrame(rows)
