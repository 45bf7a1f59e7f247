"""Cards of the tables of a grid: title, caption, and when a grid has it.

A new table is a card here, and its columns and rows in pipeline/tables/build.py (or, of what is
said of the paper, pipeline/paper/build.py). Imports nothing heavy: every start of Snakemake asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.measures import Measure, measure_of
from pipeline.config.schema import Params
from pipeline.config.titles import is_own
from pipeline.data.families import PRINTED


@dataclass(frozen=True)
class TableCard:
    """One table, `results/{grid}/tables/{name}.csv`.

    Attributes:
        title: a few words, for a heading.
        caption: what its rows are; filled by `Measure.said`.
        has: whether a grid has it by its own methods, settings and studies; None: every grid.
        of_companions: a grid that does not have it shows what its companions have committed.
        also: further files that are written with it, in the same folder.
    """

    title: str
    caption: str
    has: Callable[[Params], bool] | None = None
    of_companions: bool = False
    also: tuple[str, ...] = ()


def measure_of_grid(params: Params) -> Measure:
    """In what a grid compares predictors, by the loss of its first data set: it has one measure."""
    name = params.settings[params.active.settings[0]].dataset
    return measure_of(params.loss_of(name))


def has_families(params: Params) -> bool:
    """Whether a grid has synthetic families."""
    return any(params.settings[name].is_synthetic for name in params.active.settings)


def has_printed(params: Params) -> bool:
    """Whether a grid has data of this project's cards, and not only a person's own."""
    return not all(is_own(params.settings[name].dataset) for name in params.active.settings)


def has_archives(params: Params) -> bool:
    """Whether a grid has ratings of an archive."""
    return any(params.has_archive(params.settings[name].dataset) for name in params.active.settings)


def has_ratings(params: Params) -> bool:
    """Whether a grid has rating data."""
    datasets = {params.settings[name].dataset for name in params.active.settings}
    return any(params.kind_of(dataset) == "ratings" for dataset in datasets)


def has_study(name: str) -> Callable[[Params], bool]:
    """Whether a grid asks for a study."""
    return lambda params: name in params.active.studies.names


def has_switches(params: Params) -> bool:
    """Whether a grid has a point of the authors' code beside ours."""
    return any(variant.switched for variant in params.active.variants.values())


def has_horizons(params: Params) -> bool:
    """Whether a long family has settings that differ in the trained K only."""
    horizons: dict[tuple[str, int, int], set[int]] = {}
    for name in params.active.settings:
        given = params.settings[name]
        if given.dataset in PRINTED:
            key = (given.dataset, given.support, given.query)
            horizons.setdefault(key, set()).add(params.grid_inner_steps(name))
    return any(len(steps) > 1 for steps in horizons.values())


def has_early_stopping(params: Params) -> bool:
    """Whether, beside that, a method has a horizon for each task and one for all."""
    early = any(variant.stops_early for variant in params.active.variants.values())
    return early and has_horizons(params)


def has_choices(params: Params) -> bool:
    """Whether a method has a value varied beside its own."""
    grid = params.active
    variants = [grid.variants[label] for label in grid.methods if label in grid.variants]
    return any(variant.varied and not variant.stops_early for variant in variants)


def has_scaled_tasks(params: Params) -> bool:
    """Whether a method of a grid scales its tasks' meta-gradients."""
    grid = params.active
    return any(
        params.method_training(label, setting)["aggregate"] != "mean"
        for label in grid.methods
        for setting in grid.settings
    )


def has_aggregation(params: Params) -> bool:
    """Whether a method of a grid has its rule of aggregation varied."""
    return any("aggregate" in variant.varied for variant in params.active.variants.values())


TABLES = {
    "main": TableCard(
        "Test errors",
        "Test error of each method, of the untrained starting point adapted alike, and of "
        "predictors without a network, per setting. Methods stand at their trained horizon K, "
        "those predictors at step 0. Means over seeds and test tasks with their standard errors; "
        "gains are in percent of $error. `best` marks the smallest mean among the methods that "
        "finished, `not_worse_than_best` it and those that the corrected signed-rank test does not "
        "find worse (p >= 0.05).",
        also=("main.md", "summary.json"),
    ),
    "per_seed": TableCard(
        "Runs",
        "One row per run: test errors at the trained horizon, the best predictor without a network "
        "on the same tasks, training time, work done (gradients, Hessian-vector products, solver "
        "steps) and environment.",
    ),
    "comparisons": TableCard(
        "Methods compared in pairs",
        "Methods compared pair by pair on the same test tasks, pooled over seeds: mean difference "
        "of $error (negative: the reference is better) with a 95 % hierarchical bootstrap "
        "interval, Wilcoxon signed-rank p and its Holm correction over the predictors a reference "
        "is compared with at a step, rank-biserial correlation and d_z, and the number of seeds "
        "that agree in sign.",
    ),
    "claims": TableCard(
        "Claims",
        "Each claim, of the paper and of this project, over all settings and in each of them. The "
        "comparison beside a setting is the one in which the method does worst; it decides. A "
        "claim on memory, time or stability is a measurement: its value stands beside its bound.",
        has_printed,
        also=("claims.md",),
    ),
    "curves": TableCard(
        "Errors against test steps",
        "Test errors against meta-test training steps, pooled over seeds and test tasks. "
        "Predictors without a network do not train: theirs are constant.",
    ),
    "training": TableCard(
        "Training curves",
        "Meta-loss, gradient norm and validation $error against meta-updates, means over seeds.",
    ),
    "norms": TableCard(
        "Norms of the tasks' meta-gradients",
        "How the norms of the meta-gradients of a meta-batch's tasks are spread during training: "
        "quantiles, the largest, and its share of the sum of squares. Means over seeds, and over "
        "the updates since the row before.",
        has_scaled_tasks,
    ),
    "costs": TableCard(
        "Cost of a meta-update",
        "Seconds (median) and peak memory of one meta-update against the number of inner steps K, "
        "and their ratio to first-order MAML.",
    ),
    "equal_cost": TableCard(
        "Errors at equal cost",
        "Validation $error (of the update itself, not the best so far) against what training had "
        "cost by then, means over seeds: process seconds, gradients, Hessian-vector products, and "
        "gradient equivalents, in which a Hessian-vector product counts as two gradients. A "
        "method's last row has its test $error at K and the peak memory of one meta-update. "
        "Methods of companion grids stand beside, see `grid`.",
        has_families,
    ),
    "audit": TableCard(
        "Readings of nRMSE",
        "Readings of nRMSE side by side, on the same held-out rows of each rating setting: the "
        "paper does not define its own. Methods and the untrained start stand at K, other "
        "predictors at step 0; means over test tasks and seeds.",
        has_archives,
        also=("audit.md",),
    ),
    "stability": TableCard(
        "Ways back through the same flow",
        "Ways back through the same flow against the horizon T: error of the meta-gradient, "
        "evaluations, and what is kept. `reference_gap` is how far two independent solutions of "
        "the reference differ.",
        has_study("stability"),
    ),
    "stiffness": TableCard(
        "Work of two solvers as curvature grows",
        "Evaluations and steps of one solve by RK45 (`dopri5`) and by Chebyshev steps (`rkc`); "
        "`rho_t` is the integral over [0, T] of the Hessian's largest eigenvalue.",
        has_study("stability"),
    ),
    "fidelity": TableCard(
        "Fidelity of the meta-gradient",
        "Every method's meta-gradient against the converged one of the terminal objective; `own_` "
        "columns compare with that of the method's own objective, where it has a running cost. "
        "Medians over probe batches.",
        has_study("fidelity"),
    ),
    "noise": TableCard(
        "Agreement between meta-batches",
        "How far each method's direction agrees from one meta-batch to the next, all methods on "
        "the same meta-batches: mean cosine between two of them, and the norm of their mean over "
        "the root mean square of their norms.",
        has_study("noise"),
    ),
    "ablation": TableCard(
        "Where the authors' code differs",
        "What each point where the authors' code differs does to the $error, alone: released minus "
        "ours at the trained horizon, positive where the authors' way is worse. Compared task by "
        "task where both met the same test tasks (`paired`), by means where not.",
        has_switches,
        of_companions=True,
        also=("ablation.md",),
    ),
    "horizons": TableCard(
        "Long horizons",
        "$Error of initialisations trained for several horizons T, at every number of test steps; "
        "each is compared with the next shorter T on the same test tasks at the same step.",
        has_horizons,
        of_companions=True,
    ),
    "early_stopping": TableCard(
        "A horizon for each task",
        "A horizon for each task by its query loss against one fixed horizon, on the same test "
        "tasks, at every number of test steps.",
        has_early_stopping,
        of_companions=True,
    ),
    "aggregation": TableCard(
        "Scaled meta-gradients, at each meta-batch",
        "Test $error at K with each way of making one meta-gradient of a meta-batch's, and what "
        "it differs from the plain mean at the same meta-batch, on the same test tasks.",
        has_aggregation,
    ),
    "choices": TableCard(
        "Values chosen on validation tasks",
        "Outer rates, meta-batches and weights of the running cost, a method's own beside those "
        "of the other grids: validation tasks choose among them, and the test errors stand beside "
        "the choice.",
        has_choices,
        of_companions=True,
    ),
}


def companion_file(results_dir: Path, companion: str, name: str) -> Path:
    """Where the table `name`, such as `main`, of a companion of `results/{grid}` lies."""
    return results_dir.parent / companion / "tables" / f"{name}.csv"


def tables_of(params: Params, root: Path = Path()) -> list[str]:
    """Names of the tables that `build-tables` writes for the active grid.

    Args:
        root: of `results/`, in which companions' tables may lie.
    """
    results = root / "results" / params.grid
    return [
        name
        for name, card in TABLES.items()
        if card.has is None
        or card.has(params)
        or (
            card.of_companions
            and any(companion_file(results, c, name).is_file() for c in params.active.companions)
        )
    ]


def beside_tables(params: Params, root: Path = Path()) -> list[str]:
    """Names of the further files that are written with the tables."""
    return [file for name in tables_of(params, root) for file in TABLES[name].also]
