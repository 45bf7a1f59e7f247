"""Which column of a person's own file is for what, by its name and by what it holds.

A column that names a user, one that names an item and one of numbers that is called a rating make
ratings. Otherwise the file is a table: a column whose values repeat says the task, the target is
the column that is called so, or the last one, and all others are inputs; a column of arrays is the
only one. A target of texts holds classes. What stays open is asked for.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.config.messages import not_among
from pipeline.data.cards import OF_CLASSES, Missing
from pipeline.data.own_look import ColumnLook
from pipeline.data.own_tasks import SPLITS
from pipeline.errors import BadInput

MOST_GUESSED = 50  # categories of an input that nobody named
FEW_NUMBERS = 10  # different whole numbers of a target, which may be classes
LEAST_TASKS = 10  # of a column that is called nothing special

USERS = "user customer client reader viewer member account buyer reviewer rater"
ITEMS = "item sku product article movie film book song track isbn asin game joke recipe"
RATINGS = "rating star score grade"
TASKS = (
    f"{USERS} task site sensor station subject person patient participant group store shop device "
    "machine city region school student household building meter animal speaker id"
)
TARGETS = "target y label class outcome response"


@dataclass(frozen=True)
class Said:
    """What the person said; None and empty: to be guessed."""

    task: str | None = None
    target: str | None = None
    inputs: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    split: str | None = None
    user: str | None = None
    item: str | None = None
    rating: str | None = None
    missing: Missing = "refuse"
    delimiter: str | None = None
    loss: str | None = None


@dataclass
class Guess:
    """An entry of `datasets` but for its file, and of each column what it is for."""

    kind: str
    entry: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)


def guess(file: str, looks: Sequence[ColumnLook], said: Said) -> Guess:
    """The entry that fits a file, as far as it was not said.

    Raises:
        BadInput: for a column that is not there, and for what cannot be guessed, naming the option
            that says it.
    """
    by_name = {look.name: look for look in looks}
    if len(looks) == 1:
        raise BadInput(
            f"{file}: found one column, '{looks[0].name}': needed two or more. Is the delimiter "
            "another? Name it: --delimiter ';'."
        )
    _check_said(file, said, by_name)
    of_ratings = {role: getattr(said, role) for role in ("user", "item", "rating")}
    of_table = any((said.task, said.target, said.inputs, said.categories, said.split, said.loss))
    if any(of_ratings.values()) and of_table:
        raise BadInput(
            f"{file}: found options of a table (--task, --target, --inputs, ...) beside those of "
            "ratings (--user, --item, --rating). Give those of one kind."
        )
    if not of_table:
        guessed = _ratings(looks, of_ratings)
        open_roles = [role for role, name in guessed.items() if name is None]
        if not open_roles:
            found = Guess("ratings", {"columns": guessed})
            found.roles = dict.fromkeys(by_name, "left out") | {
                str(name): role for role, name in guessed.items()
            }
            return _with_reading(found, said)
        if any(of_ratings.values()):
            options = " and ".join(f"--{role} COLUMN" for role in open_roles)
            raise BadInput(
                f"{file}: cannot tell which column is the {' and the '.join(open_roles)} among "
                f"{', '.join(by_name)}. Name {'it' if len(open_roles) == 1 else 'them'}: {options}."
            )
    return _with_reading(_table(file, looks, said), said)


def _check_said(file: str, said: Said, by_name: dict[str, ColumnLook]) -> None:
    for option in fields(said):
        if option.name in ("missing", "delimiter", "loss"):
            continue
        given = getattr(said, option.name)
        for name in given if isinstance(given, tuple) else [given]:
            if name is not None and name not in by_name:
                raise BadInput(f"{file}: --{option.name}: {not_among(name, by_name, 'no column')}")


def _with_reading(found: Guess, said: Said) -> Guess:
    """The same with how the file is to be read, where that is not the usual way."""
    if said.missing != "refuse":
        found.entry["missing"] = said.missing
    if said.delimiter is not None:
        found.entry["delimiter"] = said.delimiter
    return found


def _ratings(looks: Sequence[ColumnLook], said: dict[str, str | None]) -> dict[str, str | None]:
    """Columns of user, item and rating; None where none or several could be."""
    taken = set(said.values())
    free = [look for look in looks if look.name not in taken]
    ids = [look for look in free if look.is_id and look.distinct > 1]
    numbers = [look for look in free if look.kind == "number"]
    found = {"user": _called(ids, USERS), "item": _called(ids, ITEMS)}
    found["rating"] = _called(numbers, RATINGS)
    if found["user"] and found["item"] and not found["rating"]:
        for look in _called([look for look in free if look.fault is not None], RATINGS):
            assert look.fault is not None
            raise look.fault
    return {
        role: said[role] or (named[0].name if len(named) == 1 else None)
        for role, named in found.items()
    }


def _table(file: str, looks: Sequence[ColumnLook], said: Said) -> Guess:
    used = {said.target, said.split, *said.inputs}
    split = said.split or _only(
        look.name
        for look in looks
        if {"train", "test"} <= set(look.values) <= set(SPLITS) and look.name not in used
    )
    task = said.task or _task(file, [look for look in looks if look.name not in {*used, split}])
    target, why = _target(file, looks, said, {task, split, *said.inputs})
    (aim,) = (look for look in looks if look.name == target)
    loss = said.loss or ("cross_entropy" if aim.kind == "text" else None)
    kind = f": {aim.distinct} classes" if loss in OF_CLASSES else ""
    if loss is None and aim.is_whole and aim.distinct <= FEW_NUMBERS:
        kind = ": numbers (if they are classes: --loss cross_entropy)"
    roles = {task: "task", target: f"target{why}{kind}"} | ({split: "split"} if split else {})
    inputs, categories = list(said.inputs), list(said.categories)
    array = _array(file, looks, said, roles)
    for look in looks:
        if look.name in roles:
            continue
        if look.name in inputs or look.name in categories:
            reason = None
        elif array is not None:
            reason = None if look is array else f"{array.name} is the input"
        elif said.inputs:
            reason = "not among --inputs"
        else:
            reason = _no_input(look)
        if reason is None and look.name not in inputs:
            inputs.append(look.name)
        is_category = look.kind == "text" or look.name in categories
        one_hot = f"input: {look.distinct} categories" if is_category else "input"
        roles[look.name] = f"left out: {reason}" if reason else one_hot
    if not inputs:
        raise BadInput(
            f"{file}: found no column beside the task '{task}' and the target '{target}' that "
            "could be an input. Name some: --inputs a,b."
        )
    order = [look.name for look in looks]
    entry: dict[str, Any] = {
        "task": task,
        "inputs": sorted(inputs, key=order.index),
        "target": target,
    }
    entry |= {"shape": [*array.shape]} if array is not None else {}
    entry |= {"categories": categories} if categories else {}
    entry |= {"split": split} if split else {}
    entry |= {"loss": loss} if loss else {}
    return Guess("table", entry, {name: roles[name] for name in order})


def _array(
    file: str, looks: Sequence[ColumnLook], said: Said, taken: Collection[str]
) -> ColumnLook | None:
    """The column of arrays that is the input, if one is."""
    named = {*said.inputs, *said.categories}
    found = [
        look
        for look in looks
        if look.kind == "array" and look.name not in taken
        if look.name in named or (not said.inputs and look.distinct > 1)
    ]
    if not found:
        return None
    (array, *others) = found
    if others or named - {array.name}:
        of = " and ".join(f"'{look.name}'" for look in found)
        raise BadInput(
            f"{file}: found arrays in column {of} beside other inputs; an array is the only input. "
            f"Name it: --inputs {array.name}; or others: --inputs a,b."
        )
    return array


def _task(file: str, looks: Sequence[ColumnLook]) -> str:
    could = [look for look in looks if look.is_id and look.distinct > 1 and look.most > 1]
    for found in (
        _called(could, TASKS),
        [look for look in could if look.kind == "text" and look.distinct >= LEAST_TASKS],
    ):
        if len(found) == 1:
            return found[0].name
        if found:
            raise BadInput(
                f"{file}: cannot tell which column says to which task a row belongs: "
                f"{' or '.join(look.name for look in found)}. Name it: --task COLUMN."
            )
    for look in _called(looks, TASKS):
        if look.distinct == 1 or (look.distinct > 1 and look.most == 1):
            found_there = "one task" if look.distinct == 1 else "another task in each row"
            raise BadInput(
                f"{file}: column '{look.name}': found {found_there}, needed several tasks of "
                "several rows. Name the column of tasks, if it is another: --task COLUMN."
            )
    raise BadInput(
        f"{file}: found no column that says to which task a row belongs among "
        f"{', '.join(look.name for look in looks)}: needed one with a name for each task, in all "
        "of its rows. Name it: --task COLUMN. For ratings: --user, --item and --rating."
    )


def _target(
    file: str, looks: Sequence[ColumnLook], said: Said, taken: set[str | None]
) -> tuple[str, str]:
    """The column, and how it was found where nobody said it."""
    if said.target:
        return said.target, ""
    free = [look for look in looks if look.name not in taken]
    named = _called([look for look in free if look.kind != "array"], TARGETS)
    meant = named if len(named) == 1 else free[-1:] * (not named)
    if meant and meant[0].fault is not None:
        raise meant[0].fault
    if len(named) == 1:
        return named[0].name, ", by its name"
    if not named and free and free[-1] is looks[-1] and free[-1].kind == "number":
        return free[-1].name, ", the last column"
    raise BadInput(
        f"{file}: cannot tell which column is to be predicted: "
        f"{', '.join(look.name for look in named or free) or 'none is left'}. "
        "Name it: --target COLUMN."
    )


def _no_input(look: ColumnLook) -> str | None:
    """Why a column that nobody named is no input.

    Raises:
        BadInput: when it would be one but for some values.
    """
    if look.fault is not None:
        raise BadInput(f"{look.fault} Or name the inputs without it: --inputs a,b.") from look.fault
    if look.distinct < 2:
        return "the same in all rows"
    if look.kind == "text" and look.distinct > MOST_GUESSED:
        return f"{look.distinct} different texts"
    counts_rows = look.is_whole and look.distinct == look.rows == look.high - look.low + 1
    if look.kind == "number" and counts_rows:
        return "it numbers the rows"
    if look.kind == "number" and not look.name:
        return "it has no name"
    return None


def _called(looks: Sequence[ColumnLook], words: str) -> list[ColumnLook]:
    """Those whose name has one of the words, as `CustomerID` has `customer`."""
    wanted = set(words.split())
    return [look for look in looks if wanted & _words(look.name)]


def _words(name: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z]+", apart.lower())
    return {
        *found,
        *(word.removesuffix("s") for word in found),
        *(word.removesuffix("id") for word in found if len(word) > 4),
    }


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None
