"""Cards of the figures of a grid: title, caption, and the tables they are drawn from.

A grid has a figure where it has those tables, unless the card says more. A new figure is a card
here and its function in pipeline/figures/draw.py. Imports nothing heavy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.config.tables import has_families, has_ratings, has_scaled_tasks, tables_of


@dataclass(frozen=True)
class FigureCard:
    """One figure, `results/{grid}/figures/{name}.svg` and `.png`.

    Attributes:
        title: a few words, for a heading.
        tables: those that it is drawn from.
        caption: what it shows; this and the title are filled by `Measure.said`.
        has: what a grid needs besides the tables.
        printed: what it is in the paper, beside whose data alone it is said.
        shows_data: whether it shows errors on each setting's data, SIMULATED ones among them.
    """

    title: str
    tables: tuple[str, ...]
    caption: str
    has: Callable[[Params], bool] = lambda params: True
    shows_data: bool = True
    printed: str = ""


def has_ledger(params: Params) -> bool:
    """Whether a grid's training measures the fidelity of its meta-gradients."""
    return params.grid_training().ledger_every is not None


MOST_LINES = 20  # methods and variants of a grid that are all drawn
_CHOSEN = "of many variants, those that validation tasks chose"

FIGURES = {
    "curves": FigureCard(
        "$Error against test steps",
        ("curves", "main"),
        "$Error against meta-test training steps, with standard errors, one panel per setting. The "
        f"vertical line is the horizon K that the methods were trained for; {_CHOSEN}.",
    ),
    "training": FigureCard(
        "Training curves",
        ("training", "main"),
        f"Meta-loss and validation $error against meta-updates, one panel per setting; {_CHOSEN}.",
    ),
    "norms": FigureCard(
        "Heavy tails of meta-gradients",
        ("norms", "main"),
        "The largest norm of a meta-batch's meta-gradients over the median, and the share of the "
        "sum of their squares that this one task holds, during training. Where one task holds "
        "most of it, a plain mean goes where that task wants. Medians over stretches of the "
        f"training; {_CHOSEN}.",
        has_scaled_tasks,
    ),
    "aggregation": FigureCard(
        "Test errors by aggregation and meta-batch",
        ("aggregation",),
        "Test $error at K, with standard errors, against the tasks of a meta-batch: the plain mean "
        "of their meta-gradients, each divided by its norm (unit), or those above the median norm "
        "shortened to it (clip). Filled: another error than the mean's at the same meta-batch "
        "(p < 0.05, Holm-corrected within a setting).",
    ),
    "memory": FigureCard(
        "Peak memory against inner steps",
        ("costs",),
        "Peak memory of one meta-update against the number of inner steps; of methods without "
        "their variants, where there are many.",
        shows_data=False,
        printed="the paper's Figure 3",
    ),
    "time": FigureCard(
        "Time against inner steps",
        ("costs",),
        "Seconds per meta-update against the number of inner steps; of methods without their "
        "variants, where there are many.",
        shows_data=False,
        printed="the paper's Figure 4",
    ),
    "instances": FigureCard(
        "One task of each synthetic family",
        ("main", "per_seed"),
        "One meta-test task of each synthetic family: the target function, and the rows a method "
        "sees of it.",
        has_families,
        shows_data=False,
    ),
    "equal_cost": FigureCard(
        "Errors at equal cost",
        ("equal_cost",),
        "Errors at equal cost, one row per synthetic setting. Left and middle: validation $error "
        "of the update itself, mean over seeds, against process seconds and against gradient "
        "equivalents (a Hessian-vector product counts as two gradients). Right: test $error at K, "
        "with standard errors, against the peak memory of one meta-update on 50 + 50 rows; "
        f"{_CHOSEN}.",
        shows_data=False,
    ),
    "ratings": FigureCard(
        "Gain over what needs no network",
        ("comparisons", "main"),
        "Mean difference in $error between our methods and item mean + user offset, or the best "
        "predictor where the grid has others than trivial ones, on the same test tasks, with "
        "95 % intervals, against test steps; below zero the method is better. The vertical line is "
        "the horizon K.",
        has_ratings,
    ),
    "ledger": FigureCard(
        "Fidelity of the meta-gradient during training",
        ("training", "main"),
        "Fidelity of each method's meta-gradient during training: cosine to, and relative error "
        "against, the converged float64 meta-gradient at the same initialisation on a fixed probe "
        "batch, means over seeds. The dotted line is an error as large as the gradient.",
        has_ledger,
    ),
    "fidelity_nrmse": FigureCard(
        "Test error against the fidelity of the meta-gradient",
        ("training", "main"),
        "Does a truer meta-gradient give a smaller error? Test $error at K over the lowest of its "
        "setting, against the fidelity at the last update that all methods of the setting have in "
        "the ledger; one point per method and setting.",
        has_ledger,
    ),
    "stability": FigureCard(
        "Error of the meta-gradient by ways back",
        ("stability",),
        "Relative error of the meta-gradient against the horizon T, for ways back through the same "
        "flow as they are run in practice, measured against the converged gradient in float64. "
        "Crosses: the solver gave up.",
        shows_data=False,
    ),
    "stiffness": FigureCard(
        "Work of two solvers as curvature grows",
        ("stiffness",),
        "Evaluations and steps of one solve by RK45 and by Chebyshev steps at the same tolerance, "
        "against the largest Hessian eigenvalue's mean over the flow times T; lines are power laws "
        "fitted above 30.",
        shows_data=False,
    ),
    "fidelity": FigureCard(
        "Fidelity of the meta-gradient against inner steps",
        ("fidelity",),
        "Cosine and relative error of every method's meta-gradient against the converged one of "
        "the terminal objective, against inner steps K (horizon T = alpha K); medians over probe "
        "batches.",
        shows_data=False,
    ),
    "noise": FigureCard(
        "Agreement of meta-gradients between meta-batches",
        ("noise",),
        "Mean cosine between the directions that a method gives for two different meta-batches, "
        "against inner steps K. With Adam's steps of nearly fixed size, a direction that keeps "
        "goes farther in as many meta-updates.",
        shows_data=False,
    ),
    "ablation": FigureCard(
        "Effect of each point where the authors' code differs",
        ("ablation",),
        "Effect on the $error of each point where the authors' code differs, switched alone: "
        "released minus ours at the trained horizon, with 95 % intervals. Filled: not zero at "
        "p < 0.05, Holm-corrected within a setting.",
    ),
    "horizons": FigureCard(
        "Test errors after training for several horizons",
        ("horizons",),
        "Test errors of initialisations trained for several horizons T: against test steps, with "
        "the own horizon of each marked, and against T after fixed numbers of test steps.",
        shows_data=False,
    ),
}


def figures_of(params: Params, root: Path = Path()) -> list[str]:
    """Names of the figures that `plot-curves` draws for the active grid."""
    tables = set(tables_of(params, root))
    return [
        name
        for name, card in FIGURES.items()
        if tables.issuperset(card.tables) and card.has(params)
    ]
