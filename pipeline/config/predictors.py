"""Cards of the predictors that need no meta-training: what any method has to beat.

`pipeline/runs/trivial.py` has what they predict. A new one is a card here and a prediction there.
"""

from dataclasses import dataclass

from pipeline.config.card import Style

_GREY = "#7f7f7f"
_DARK_GREY = "#4d4d4d"

UNTRAINED = "untrained"
UNTRAINED_STYLE = Style(_GREY, "-", None, 1.6)


@dataclass(frozen=True)
class PredictorCard:
    """A predictor without learning across steps.

    Attributes:
        name: in records and tables.
        title: in tables and figures.
        style: its line in figures.
        of: kinds of data that it predicts.
        judged_by: ratings are judged by it; true of one predictor.
    """

    name: str
    title: str
    style: Style
    of: tuple[str, ...]
    judged_by: bool = False


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
)
PREDICTORS = {card.name: card for card in _CARDS}
(JUDGED_BY,) = (card for card in _CARDS if card.judged_by)
