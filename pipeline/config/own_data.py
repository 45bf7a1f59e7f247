"""Data of one's own: what an entry of `datasets` in the parameter file may hold.

A file of ratings becomes tasks as those of an archive do: a user is a task, an item an input. A
table has a column of task ids, columns of inputs and one of targets.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.config.card import Count, Hidden, Name, Strict
from pipeline.data.cards import OF_CLASSES, Missing, OwnRatings, OwnTable

LOSSES = ("squared", "huber")  # of numbers, by name (pipeline/core/losses.py)
Column = Annotated[str, Field(min_length=1, description="a column's name")]
Delimiter = Annotated[
    str | None,
    Field(default=None, min_length=1, max_length=1, description="null: found by looking"),
]


NOT_OF_THE_FILE = ("test_tasks", "validation_tasks", "model", "loss")  # fields of an entry


class OwnModel(Strict):
    """A person's own torch module."""

    module: str = Field(description="import path of its class, such as my_models.ConvNet")
    arguments: dict[str, Any] = Field(default={}, description="of the class, by name")


class _Entry(Strict):
    """What entries of both kinds have."""

    missing: Missing = Field(default="refuse", description="rows with missing values")
    delimiter: Delimiter
    test_tasks: Count | None = Field(
        default=None, description="meta-test tasks per seed; null: data.test_tasks"
    )
    validation_tasks: Count | None = Field(default=None, description="null: that of data")
    model: Name | Hidden | None = Field(
        default=None, description="one of `models`, or widths of an MLP; null: those of `model`"
    )
    loss: str = Field(
        default="squared",
        description=f"{', '.join(LOSSES)}; of the classes of a table {' or '.join(OF_CLASSES)}; or "
        "the import path of a function, my_losses.pinball",
    )

    @model_validator(mode="after")
    def _loss_is_known(self) -> "_Entry":
        known = (*LOSSES, *OF_CLASSES) if isinstance(self, TableEntry) else LOSSES
        if self.loss not in known and "." not in self.loss:
            raise ValueError(
                f"loss: found '{self.loss}', needed one of {', '.join(known)}, or the import path "
                "of a function, such as my_losses.pinball"
            )
        return self


class RatingColumns(Strict):
    user: Column = "user"
    item: Column = "item"
    rating: Column = "rating"


class RatingsEntry(_Entry):
    """Ratings of items by users: one user is one task."""

    ratings: str = Field(description="CSV or Parquet file, from the project's folder or absolute")
    columns: RatingColumns = RatingColumns()
    scale: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="lowest and highest rating; null: those found"
    )
    items: Count | None = Field(default=None, description="most-rated items kept; null: all")
    min_ratings: Count = Field(default=2, description="ratings that make a user a task")

    @model_validator(mode="after")
    def _scale_ascends(self) -> "RatingsEntry":
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale: found {self.scale}, needed a lower and a higher rating")
        return self

    def named(self, name: str) -> OwnRatings:
        """For the data room."""
        lo, hi = self.scale or (None, None)
        return OwnRatings(
            name,
            Path(self.ratings),
            **self.columns.model_dump(),
            lo=lo,
            hi=hi,
            missing=self.missing,
            delimiter=self.delimiter,
        )


class TableEntry(_Entry):
    """A table with a row for each observation of a task."""

    table: str = Field(description="CSV or Parquet file, from the project's folder or absolute")
    task: Column = Field(description="column of task ids")
    inputs: Annotated[list[Column], Field(min_length=1)] = Field(
        description="columns of inputs; x* for all that begin with x"
    )
    target: Column = Field(description="column to predict, of numbers or of classes")
    categories: list[Column] = Field(
        default=[], description="inputs whose numbers are categories; texts always are"
    )
    shape: Annotated[list[Count], Field(min_length=1)] | None = Field(
        default=None,
        description="of inputs that are arrays: one column of lists (Parquet), or many",
    )
    split: Column | None = Field(
        default=None, description="column: train, validation or test; null: drawn per seed"
    )

    @model_validator(mode="after")
    def _columns_differ(self) -> "TableEntry":
        columns = [self.task, *self.inputs, self.target]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise ValueError(f"found the column '{twice[0]}' twice among task, inputs and target")
        if self.shape and self.categories:
            raise ValueError("found `categories` beside `shape`; arrays are of numbers")
        if odd := [name for name in self.categories if name not in self.inputs]:
            raise ValueError(f"categories: found '{odd[0]}', which is not among the inputs")
        return self

    def named(self, name: str) -> OwnTable:
        """For the data room."""
        given: dict[str, Any] = self.model_dump(exclude={*NOT_OF_THE_FILE})
        given["file"] = Path(given.pop("table"))
        for key in ("inputs", "categories", "shape"):
            given[key] = given[key] and tuple(given[key])
        return OwnTable(name, loss=self.loss, **given)


OWN_KINDS: dict[str, type[Strict]] = {"ratings": RatingsEntry, "table": TableEntry}


def _kind(given: Any) -> str | None:
    """`ratings` or `table`, by the key that names the file."""
    if isinstance(given, Strict):
        return "ratings" if isinstance(given, RatingsEntry) else "table"
    found = [key for key in OWN_KINDS if isinstance(given, dict) and key in given]
    return found[0] if len(found) == 1 else None


OwnData = Annotated[
    Annotated[RatingsEntry, Tag("ratings")] | Annotated[TableEntry, Tag("table")],
    Discriminator(
        _kind,
        custom_error_type="no_own_data",
        custom_error_message="needed a file under one of the keys `ratings` and `table`",
    ),
]
