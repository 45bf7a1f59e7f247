"""What a card of a method says, and what its settings are made of.

A method is one card in config/methods/ and one module in core/methods/. All else is derived from
the two: schema, order, titles, lines in figures, the report's text, code of the recipe, tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
MOST = 2**31 - 1  # of a whole number in the files of a record
Count = Annotated[int, Field(ge=1, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=MOST)]  # numpy takes no negative one
Width = Annotated[int, Field(ge=1, le=10_000)]  # a wider layer is 400 MB and more
Hidden = Annotated[list[Width], Field(min_length=1, description="widths of hidden layers")]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a folder
Name = Annotated[str, Field(pattern=NAME, description="of a folder")]
Memory = Annotated[
    Positive | None,
    Field(
        description="10^6 bytes kept for the way back, the rest is computed again; null: by size"
    ),
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


# those of pipeline/core/meta.py
OuterOptimiser = Literal[
    "adam", "sgd", "adadelta", "adagrad", "adamax", "adamw", "asgd", "radam", "rmsprop", "rprop"
]


Aggregate = Literal["mean", "unit", "clip"]  # those of pipeline/core/aggregate.py
Keep = Literal["last", "average", "best"]


class OwnTraining(Strict):
    """Values of `training` that one entry of `methods` may have for itself."""

    outer_optimiser: OuterOptimiser | None = Field(
        default=None, description="replaces training.outer_optimiser for this method"
    )
    outer_lr: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="replaces training.outer_lr for this method"
    )
    meta_batch: Count | None = Field(
        default=None, description="replaces training.meta_batch for this method"
    )
    aggregate: Aggregate | None = Field(
        default=None, description="replaces training.aggregate for this method"
    )


class OwnEvaluation(Strict):
    """Values of `evaluation` that one entry of `methods` may have for itself."""

    optimiser: Literal["gd", "adam"] | None = Field(
        default=None, description="replaces evaluation.optimiser for this method"
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="replaces evaluation.learning_rate for this method"
    )


Rates = Literal["parameter", "tensor", "all"]  # those of pipeline/core/rates.py


class MethodSettings(Strict):
    """What any entry of `methods` in params.yaml may have; settings of a card are made of it."""

    method: str
    rates: Rates | None = Field(
        default=None,
        description="inner rates that are learned beside theta, and used at test: one of each "
        "parameter, of each tensor of them (a layer's weight or bias), or of all; null: none",
    )
    training: OwnTraining = OwnTraining()
    evaluation: OwnEvaluation = OwnEvaluation()


@dataclass(frozen=True)
class Point:
    """Where paper, authors' released code and we differ; texts are for the report.

    Attributes:
        title: name of the point.
        paper, released, ours: what each of the three does.
        order: its place among the points of all methods.
        entry: values that `released` puts into the entry of `methods` or `settings`.
        training, evaluation: values it puts into these sections for the entry's runs.
    """

    title: str
    paper: str
    released: str
    ours: str
    order: int = 0
    entry: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Style:
    """Line of a method or predictor, in matplotlib's terms.

    Colours are those of Okabe and Ito (Color Universal Design, 2008), which stay apart for
    colour-blind readers; there are eight, so one more is taken from P. Tol's muted scheme. Line
    and marker tell methods apart without colour.
    """

    color: str
    linestyle: Any
    marker: str | None
    linewidth: float = 1.4


@dataclass(frozen=True)
class Variant:
    """A label `{method}-{ending}` that has a name and a line of its own.

    Attributes:
        title: what it has of its own; stands behind the method's title.
    """

    title: str
    style: Style


@dataclass(frozen=True)
class Way:
    """A way back through a flow that the study of stability compares.

    Attributes:
        title: beside its line; description: in the tables of the report.
        order: its place among the ways of all methods.
        settings: that it puts in the place of the method's own.
        dtype: that it is run in; None: that of params.yaml.
    """

    title: str
    description: str
    order: int
    style: Style
    settings: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None


@dataclass(frozen=True)
class MethodCard:
    """One method.

    Attributes:
        name: under `methods` in params.yaml, in records and tables.
        title: in tables and figures.
        order: its place among the methods, ascending.
        citation: where it is from.
        text: the report's description, a list in Markdown.
        style: its line in figures.
        settings: what params.yaml says of it. A field `steps_divisor` caps the steps of its inner
            training at K / steps_divisor.
        module, function: what computes its meta-gradient, in pipeline/core/methods/.
        role: `ours` is compared with every other method at every test step.
        trains: over a horizon of the gradient `flow`, or `steps` of gradient descent, which its
            function is given; `nothing`: it is given neither.
        steps: of its inner training, whatever K is; None: K.
        meta_learns: it knows of the training that follows; what does not is a predictor to beat.
        first_order: its answer leaves out how training depends on where it starts, and so on inner
            rates: none can be learned.
        unrolled: autograd takes its Hessian-vector products, which the counter does not see.
        compared: when a method that is not ours is compared with every other one as well: early
            in meta-test training, or at the trained horizon.
        is_budget: its costs are what others are measured in; true of one method.
        trains_studies: it makes the trained initialisation that the studies of meta-gradients
            start from; true of one method, which trains over a flow.
        proposed: it is in the grids that `add-data` writes.
        variants: labels with a name and line of their own, by their ending.
        ways: back through its flow, by name.
        points: where the authors' released code of this method differs, by name.
    """

    name: str
    title: str
    order: int
    citation: str
    text: str
    style: Style
    settings: type[MethodSettings]
    module: str
    function: str
    role: Literal["ours", "baseline"]
    trains: Literal["flow", "steps", "nothing"]
    steps: int | None = None
    unrolled: bool = False
    meta_learns: bool = True
    first_order: bool = False
    compared: Literal["early", "at the horizon"] | None = None
    is_budget: bool = False
    trains_studies: bool = False
    proposed: bool = False
    variants: Mapping[str, Variant] = field(default_factory=dict)
    ways: Mapping[str, Way] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The module that a recipe of this method depends on."""
        return f"pipeline.core.methods.{self.module}"

    @property
    def capped(self) -> bool:
        """Whether its inner training takes fewer than K steps."""
        return "steps_divisor" in self.settings.model_fields
