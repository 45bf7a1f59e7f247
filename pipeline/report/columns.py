"""What the columns of the tables hold, with their units: headings, tooltips and `explain`."""

from pipeline.config.methods import BUDGET
from pipeline.report.study_columns import OWN, STUDY_COLUMNS

_ERRORS = {
    "nrmse": (
        "nRMSE",
        "a test task's RMSE on its query rows over the standard deviation of the pooled "
        "meta-training targets, mean over test tasks (then over seeds); no unit, 1 is about as "
        "good as guessing the mean",
    ),
    "rmse": ("RMSE", "root mean squared error on query rows, mean over test tasks; target units"),
    "rmse_over_range": (
        "RMSE / range",
        "RMSE over the width of the rating scale (or of the meta-training targets), mean over "
        "test tasks; no unit",
    ),
    "relative_l2": (
        "relative L2",
        "2-norm of the errors over 2-norm of the targets of a task's query rows, mean over test "
        "tasks; no unit",
    ),
    "mae": ("MAE", "mean absolute error on query rows, mean over test tasks; target units"),
}

COLUMNS: dict[str, tuple[str, str]] = {
    **_ERRORS,
    **STUDY_COLUMNS,
    "setting": ("setting", "data set, support and query rows, inner steps (params.yaml)"),
    "dataset": ("data set", "the data set of the setting"),
    "simulated": ("simulated", "whether the data come from a generator, not from people"),
    "kind": ("kind", "method, untrained starting point, or trivial predictor"),
    "label": ("method", "label of a method in params.yaml, `untrained`, or a trivial predictor"),
    "method": ("method", "the method behind a label"),
    "status": ("status", "ok, failed (training stopped) or diverged (errors not finite)"),
    "support": ("support", "support rows of a task; a count"),
    "query": ("query", "query rows of a meta-training task; a count"),
    "inner_steps": ("K", "inner steps that methods are trained for; a count"),
    "horizon": ("T", "horizon of the inner training, K times the step size 0.01; flow time"),
    "step": ("test step", "gradient-descent steps done on a test task; a count"),
    "update": ("update", "meta-updates done; a count"),
    "seed": ("seed", "seed of the draws: held-out tasks, initialisation, meta-batches"),
    "n": ("n", "test tasks of all seeds together; a count"),
    "n_seeds": ("seeds", "seeds that the value is a mean over; a count"),
    "n_failed": ("failed", "seeds whose run failed, left out of the means; a count"),
    "n_tasks": ("test tasks", "test tasks per seed; a count"),
    "gain_over_untrained": (
        "vs untrained",
        "how much smaller the nRMSE is than that of the untrained network adapted alike; percent",
    ),
    "gain_over_best_trivial": (
        "vs best trivial",
        "how much smaller the nRMSE is than that of the best trivial predictor; percent",
    ),
    "best": ("best", "whether this is the method with the smallest mean nRMSE of the setting"),
    "not_worse_than_best": (
        "not worse than best",
        "whether the paired test finds no significant difference to the best method",
    ),
    "message": ("message", "what went wrong; blank when nothing did"),
    "untrained_nrmse": ("untrained nRMSE", "nRMSE of the untrained network adapted alike; no unit"),
    "best_trivial": ("best trivial", "the trivial predictor with the smallest nRMSE"),
    "best_trivial_nrmse": ("best trivial nRMSE", "its nRMSE; no unit"),
    "meta_updates": ("meta-updates", "meta-updates done in training; a count"),
    "train_seconds": ("training", "wall time of training, this run's share of its job; seconds"),
    "test_seconds": ("testing", "wall time of the meta-test; seconds"),
    "seconds": ("seconds", "wall time; of a cost table, the median of one meta-update"),
    "peak_bytes": ("peak memory", "peak memory of one meta-update; bytes"),
    f"seconds_over_{BUDGET.name}": (
        f"time / {BUDGET.title}",
        f"seconds over those of {BUDGET.title} at the same K; ratio",
    ),
    f"peak_bytes_over_{BUDGET.name}": (
        f"memory / {BUDGET.title}",
        f"peak memory over that of {BUDGET.title}; ratio",
    ),
    "gradients": ("gradients", "support-gradient evaluations, each for a meta-batch; a count"),
    "hvps": ("products", "Hessian-vector products, each for a meta-batch; a count"),
    "accepted": ("accepted", "solver steps accepted; a count"),
    "rejected": ("rejected", "solver steps rejected; a count"),
    "kept_states": ("kept states", "states kept for the backward solve; a count"),
    "target_std": ("target sd", "standard deviation of the meta-training targets; target units"),
    "target_range": ("target range", "width of the scale or of the targets; target units"),
    "meta_loss": ("meta-loss", "mean query loss of the meta-batch, half mean square; standardised"),
    "gradient_norm": ("gradient norm", "2-norm of the meta-gradient"),
    "validation_nrmse": ("validation nRMSE", "nRMSE on the validation tasks; no unit"),
    "device": ("device", "processor that the run was made on"),
    "dtype": ("dtype", "floating-point type of the training"),
    "threads": ("threads", "processor threads; a count"),
    "machine": ("machine", "device, system and torch of the runs"),
    "git_commit": ("commit", "git commit of the code; `+`: with changes not committed"),
    "claim": ("claim", "name of a claim, the same in every grid"),
    "text": ("claim", "the claim in words"),
    "source": ("source", "who claims it"),
    "outcome": (
        "outcome",
        "of a setting: better, worse, no difference or not judged; over all settings: holds, "
        "holds in part, does not hold or not judged",
    ),
    "met": ("met", "whether a setting bears the claim out; blank where it is not judged"),
    "held": (
        "met in",
        "over all settings: those that bear the claim out; of one: test steps (or cases) that do; "
        "a count",
    ),
    "cases": ("of", "settings, test steps or cases that were judged; a count"),
    "value": ("value", "what was measured: a ratio or a rank correlation, as the claim says"),
    "bound": ("bound", "what the value is compared with; the unit is the value's"),
    "why": ("why", "why a claim is not judged, or not in full"),
    "record": ("record", "files of the grid's results that a measurement was read from"),
    "p": ("p", "p-value of the test"),
    "p_holm": ("p (Holm)", "p-value after Holm's correction over the compared methods"),
    "reference_is_best": ("best", "whether the reference has the smallest mean nRMSE of its step"),
    "wins": ("wins", "pairs in which the reference's nRMSE is smaller; a count"),
    "ties": ("ties", "pairs in which both have the same nRMSE; a count"),
    "losses": ("losses", "pairs in which the reference's nRMSE is larger; a count"),
    "seeds_left_out": ("seeds left out", "seeds in which one of the two failed; a count"),
    "seeds_agreeing": ("seeds agreeing", "seeds whose own difference has the same sign; a count"),
    "reference": ("reference", "the method that is compared with others"),
    "other": ("method compared with", "the method or predictor that it is compared with"),
    "difference": (
        "difference",
        "mean over tasks of the reference's (or our method's) nRMSE minus the other's, with its "
        "95 % interval; negative: the reference is better",
    ),
    "lo": ("low", "lower end of the 95 % interval of the difference; nRMSE"),
    "hi": ("high", "upper end of the 95 % interval of the difference; nRMSE"),
    "rank_biserial": ("rank-biserial", "matched-pairs rank-biserial correlation, from -1 to 1"),
    "d_z": ("d_z", "mean of the paired differences over their standard deviation; no unit"),
    "n_pairs": ("pairs", "pairs of seed and test task; a count"),
}
_SUFFIXES = {
    "_stderr": (
        "± se",
        "standard error of {}, over test tasks and seeds (pipeline/tables/pooling.py)",
    ),
    "_seed_std": ("seed sd", "standard deviation over seeds of {}"),
}


def heading(column: str, table: str = "") -> str:
    """The heading a column has on the page; in `table`, where it has one of its own there."""
    if found := _entry(column, table):
        return found[0]
    base, suffix = _split(column)
    return f"{heading(base)} {_SUFFIXES[suffix][0]}" if suffix else column.replace("_", " ")


def meaning(column: str, table: str = "") -> str:
    """What a column holds (in `table`), with its unit; empty when nothing is written of it."""
    if found := _entry(column, table):
        return found[1]
    base, suffix = _split(column)
    return _SUFFIXES[suffix][1].format(heading(base)) if suffix and meaning(base) else ""


def _entry(column: str, table: str) -> tuple[str, str] | None:
    return OWN.get(table, {}).get(column) or COLUMNS.get(column)


def _split(column: str) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        if column.endswith(suffix) and len(column) > len(suffix):
            return column.removesuffix(suffix), suffix
    return column, ""
