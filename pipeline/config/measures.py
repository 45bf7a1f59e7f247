"""Cards of the measures in which predictors are compared: of numbers, and of classes.

The loss of a data set says which is its own. A grid has one, so that its tables have one set of
columns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Template

from pipeline.data.cards import OF_CLASSES


@dataclass(frozen=True)
class Measure:
    """What is measured per test task, and under which names it stands in records and tables.

    Attributes:
        name: the primary error, which paired tests and choices use; smaller is better.
        title: of it, in tables and figures.
        losses: whose data it measures.
        metrics: all of its errors with their titles, the primary first; each the mean over tasks.
        beside: the one of them that is shown below the primary.
        larger: those of `metrics` that are better when they are larger.
        measured: columns of test rows that describe a task, before `metrics`.
        support: column of test rows: the primary error, or its numerator, on the support rows.
        unit: of the primary error.
        scale: what "errors are", to readers: the primary, and when it is good.
        definition: what the primary error is, a sentence without its full stop.
        beside_words: what `beside` is.
    """

    name: str
    title: str
    losses: tuple[str, ...]
    metrics: Mapping[str, str]
    beside: str
    larger: tuple[str, ...]
    measured: tuple[str, ...]
    support: str
    unit: str
    scale: str
    definition: str
    beside_words: str

    @property
    def stderr(self) -> str:
        return f"{self.name}_stderr"

    @property
    def validation(self) -> str:
        """Column of curves: the primary error on validation tasks."""
        return f"validation_{self.name}"

    def said(self, text: str) -> str:
        """A text with `$error` (`$Error` at its start), `$name` and `$unit` of the primary."""
        first = self.title.capitalize() if self.title.islower() else self.title
        return Template(text).safe_substitute(
            error=self.title, Error=first, name=self.name, unit=self.unit
        )


NUMBERS = Measure(
    name="nrmse",
    title="nRMSE",
    losses=("squared", "huber"),
    metrics={
        "nrmse": "nRMSE",
        "rmse": "RMSE",
        "rmse_over_range": "RMSE / range",
        "relative_l2": "relative L2",
        "mae": "MAE",
    },
    beside="rmse",
    larger=(),
    measured=("target_norm", "query_std"),
    support="support_rmse",
    unit="no unit",
    scale="nRMSE: 1 is about as good as guessing the mean, less is better",
    definition="nRMSE is the RMSE over the standard deviation of the meta-training targets",
    beside_words="RMSE in the units of the targets",
)
CLASSES = Measure(
    name="log_loss",
    title="log loss",
    losses=OF_CLASSES,
    metrics={
        "log_loss": "log loss",
        "accuracy": "accuracy",
        "brier": "Brier score",
        "calibration": "calibration error",
    },
    beside="accuracy",
    larger=("accuracy",),
    measured=(),
    support="support_log_loss",
    unit="nats",
    scale="log loss, in nats a row: 0 is certain and right, less is better",
    definition="Log loss is the mean of -ln p of the true class over a task's query rows, in nats",
    beside_words="accuracy, the share of rows whose most probable class is right",
)
MEASURES = (NUMBERS, CLASSES)


def measure_of(loss: str) -> Measure:
    """The measure of data trained on a loss; numbers for a loss that is a person's own."""
    return next((measure for measure in MEASURES if loss in measure.losses), NUMBERS)


def measure_in(columns: Iterable[str]) -> Measure:
    """The measure whose primary error is among the columns of a table; else that of numbers."""
    names = set(columns)
    return next((measure for measure in MEASURES if measure.name in names), NUMBERS)
