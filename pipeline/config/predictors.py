"""Cards of the predictors that need no meta-training: what any method has to beat.

The trivial ones stand in every grid, `pipeline/runs/trivial.py` has what they predict. Others take
seconds to minutes to fit, so a grid asks for them (`predictors`): each is a card here and a module
of its name in `pipeline/runs/predictors/`.
"""

from dataclasses import dataclass

from pipeline.config.card import Style
from pipeline.data.cards import OF_CLASSES

_GREY = "#7f7f7f"
_DARK_GREY = "#4d4d4d"
_BROWN = "#8c510a"

KINDS = {  # of data
    "ratings": "ratings",
    "synthetic": "numbers of a table or a synthetic family",
    "classes": "classes",
}
UNTRAINED = "untrained"
UNTRAINED_STYLE = Style(_GREY, "-", None, 1.6)


@dataclass(frozen=True)
class PredictorCard:
    """A predictor without meta-learning.

    Attributes:
        name: in records and tables.
        title: in tables and figures.
        style: its line in figures.
        of: kinds of data that it predicts, of `KINDS`.
        judged_by: ratings are judged by it; true of one predictor.
        asked_for: it is there where a grid asks for it; the others, trivial ones, everywhere.
        text: what it does, in Markdown for the page; of those that are asked for.
    """

    name: str
    title: str
    style: Style
    of: tuple[str, ...]
    judged_by: bool = False
    asked_for: bool = False
    text: str = ""


_CARDS = (  # in the order in which they are shown
    PredictorCard(
        "global_mean",
        "global mean",
        Style(_DARK_GREY, (0, (1, 1.5)), None, 0.9),
        of=("ratings", "synthetic"),
    ),
    PredictorCard(
        "support_mean",
        "support mean",
        Style(_DARK_GREY, (0, (3, 2)), None, 0.9),
        of=("synthetic",),
    ),
    PredictorCard(
        "train_frequencies",
        "class frequencies",
        Style(_DARK_GREY, (0, (1, 1.5)), None, 0.9),
        of=("classes",),
    ),
    PredictorCard(
        "support_frequencies",
        "class frequencies of the task",
        Style(_DARK_GREY, (0, (3, 2)), None, 0.9),
        of=("classes",),
    ),
    PredictorCard(
        "item_mean",
        "item mean",
        Style(_DARK_GREY, (0, (9, 3)), None, 0.9),
        of=("ratings",),
    ),
    PredictorCard(
        "item_user_offset",
        "item mean + user offset",
        Style(_DARK_GREY, (0, (7, 2, 1, 2)), None, 0.9),
        of=("ratings",),
        judged_by=True,
    ),
    PredictorCard(
        "gaussian_items",
        "Gaussian items",
        Style(_BROWN, (0, (6, 1.5)), None, 1.3),
        of=("ratings",),
        asked_for=True,
        text="each user's ratings are one Gaussian vector, with mean and covariance of the users "
        "of meta-training (EM with missing entries, covariance shrunk towards equal correlations "
        "by validation tasks); predicted is its conditional mean given the support ratings",
    ),
    PredictorCard(
        "gaussian_process",
        "Gaussian process",
        Style(_BROWN, (0, (4, 1.5, 1, 1.5)), None, 1.3),
        of=("synthetic",),
        asked_for=True,
        text="each task is a draw of one Gaussian process, whose kernel is the likeliest of "
        "meta-training tasks; predicted is its conditional mean given the support rows",
    ),
)
PREDICTORS = {card.name: card for card in _CARDS}

ASKED_FOR = {card.name: card for card in _CARDS if card.asked_for}
(JUDGED_BY,) = (card for card in _CARDS if card.judged_by)


def kind_of(*, ratings: bool, loss: str) -> str:
    """The kind of data, of `KINDS`."""
    if loss in OF_CLASSES:
        return "classes"
    return "ratings" if ratings else "synthetic"
