"""What is said of a data set: ratings in an archive, a family of functions, a person's own file.

The first two are cards; the last comes from the parameter file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

PAPERS_STEPS = {50: 200, 100: 500}  # support rows of a family's task -> K, of arXiv:2110.08432
RELEASED_SUFFIX = "-released"  # ends the name of a family as the authors' code has it

LARGEST = 1e38  # magnitude of an input or target: float32 ends at 3.4e38
OF_CLASSES = ("binary", "cross_entropy")  # losses whose targets are classes
Missing = Literal["refuse", "drop"]  # what is done with rows in which a value is missing


@dataclass(frozen=True)
class RatingSet:
    """One rating data set; the file of its card, in data/sets/, has its name.

    Attributes:
        name: in params.yaml, and of the derived files.
        title: the name used in tables and figures.
        order: its place among all data sets, ascending.
        urls: places to download from, in the order in which they are tried.
        archive: file name under which the archive is stored.
        local_names: file names accepted in the user's own folder, in this order.
        md5: of the official archive, None where none was published.
        member: path inside the zip of the file that holds the ratings.
        format: key of `parsers.FORMATS`, or a name that ends in `-xls`.
        lo, hi, step: lowest and highest rating and the distance between two ratings.
        n_ratings, n_users, n_items: expected counts, None if the archive itself decides.
        fingerprint: expected `ratings.fingerprint`; None: stated in the zip's comment.
        licence, citation: one line each.
        advice: what to do when the content is not what was expected, beyond the usual.
        simulated: made here by a generator, and labelled so wherever it is shown.
        largest: bytes that the archive may have, and its member once unpacked.
        users: threshold -> users with at least so many ratings of the 100 most-rated items, as
            `build_rating_tasks` counts them: tables are rebuilt where no rating is at hand.
    """

    name: str
    title: str
    order: int
    urls: tuple[str, ...]
    archive: str
    local_names: tuple[str, ...]
    md5: str | None
    member: str
    format: str
    lo: float
    hi: float
    step: float
    n_ratings: int | None
    n_users: int | None
    n_items: int | None
    fingerprint: str | None
    licence: str
    citation: str
    advice: str = ""
    simulated: bool = False
    largest: int = 100_000_000
    users: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """One family of functions of two variables; its card and function are a file in data/families/.

    Attributes:
        name: in params.yaml, and of the derived files.
        title: the name used in tables and figures.
        order: its place among all data sets, ascending.
        function: from x of shape (..., 2) and the parameters to values of shape (...).
        bounds: lowest and highest value of both inputs.
        ranges: each parameter's interval; a task draws it uniformly there.
        usual_steps: support rows of a task -> K that the paper trains with; other settings say
            their own.
        equation: its number in the paper.
        released: the family as the authors' code has it, named `{name}-released`.
        differs: what is otherwise in the authors' code; of `released`.
        is_profiled: the cost profile measures on its tasks; true of one family.
    """

    name: str
    title: str
    order: int
    function: Callable[..., np.ndarray]
    bounds: tuple[float, float]
    ranges: Mapping[str, tuple[float, float]]
    usual_steps: Mapping[int, int] = field(default_factory=dict)
    equation: str = ""
    differs: str = ""
    released: "Family | None" = None
    is_profiled: bool = False


@dataclass(frozen=True)
class OwnTable:
    """A table of tasks, as an entry of `datasets` in the parameter file describes it.

    Attributes:
        name: of the entry.
        file: CSV or Parquet.
        task: column of task ids, of any type.
        inputs: columns of inputs.
            A name that ends in `*` stands for all columns that begin so.
        target: column of numbers, or of classes.
        loss: `binary` and `cross_entropy` say that the target holds classes.
        categories: inputs of numbers that are categories all the same.
        shape: of an input that is an array; its numbers are those of one column of lists, or of
            many columns. None: inputs are numbers, or categories.
        split: column that says of each task whether it is for `train`, `validation` or `test`;
            None: drawn.
        missing: rows in which a value is missing are refused, or dropped.
        delimiter: of a text file; None: found by looking.
    """

    name: str
    file: Path
    task: str
    inputs: tuple[str, ...]
    target: str
    loss: str = "squared"
    categories: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    split: str | None = None
    missing: Missing = "refuse"
    delimiter: str | None = None


@dataclass(frozen=True)
class OwnRatings:
    """Ratings of items by users; one user is one task.

    Attributes:
        name, file, missing, delimiter: as for `OwnTable`.
        user, item, rating: columns; ids of any type.
        lo, hi: lowest and highest rating; None: those found.
    """

    name: str
    file: Path
    user: str = "user"
    item: str = "item"
    rating: str = "rating"
    lo: float | None = None
    hi: float | None = None
    missing: Missing = "refuse"
    delimiter: str | None = None
