"""Columns of the audit, the ledger, equal cost, the studies, the ablation and long horizons.

`OWN` holds what a column means in one table only, where it means something else elsewhere.
"""

from pipeline.config.methods import WAYS

_TRUE = "the converged float64 meta-gradient of gradient flow over T, terminal query loss"
_STATED = "the converged float64 meta-gradient of the method's own objective, with running cost"
_POOLED = "mean over test tasks (then over seeds)"

STUDY_COLUMNS: dict[str, tuple[str, str]] = {
    "grid": ("grid", "grid of params.yaml whose runs the row was computed from"),
    # metric audit
    "rmse_over_own_std": (
        "RMSE / task's sd",
        f"RMSE over the standard deviation of the task's own query targets, {_POOLED}; no unit",
    ),
    "all_rows_nrmse": (
        "nRMSE, all rows",
        "RMSE on support and query rows together over the standard deviation of the meta-training "
        f"targets, {_POOLED}; no unit",
    ),
    "seen_rows_nrmse": (
        "nRMSE, seen rows",
        "RMSE on the support rows after training on them over the standard deviation of the "
        f"meta-training targets, {_POOLED}; no unit",
    ),
    "norm_per_row": (
        "|e| / n",
        f"2-norm of a task's errors over its query rows, {_POOLED}; target units",
    ),
    "norm_per_row_over_std": (
        "|e| / (n sd)",
        "2-norm of a task's errors over its query rows and the standard deviation of the "
        f"meta-training targets, {_POOLED}; no unit",
    ),
    "norm_per_row_over_range": (
        "|e| / (n range)",
        "2-norm of a task's errors over its query rows and the width of the rating scale, "
        f"{_POOLED}; no unit",
    ),
    "relative_l2_per_row": (
        "|e| / (n |y|)",
        "2-norm of the errors over that of the targets and the number of a task's query rows, "
        f"{_POOLED}; no unit",
    ),
    "mse_over_variance": (
        "MSE / sd²",
        f"mean squared error over the variance of the meta-training targets, {_POOLED}; no unit",
    ),
    "mse_over_range_squared": (
        "MSE / range²",
        f"mean squared error over the squared width of the rating scale, {_POOLED}; no unit",
    ),
    "relative_l2_squared": (
        "|e|² / |y|²",
        f"squared 2-norm of the errors over that of the targets, {_POOLED}; no unit",
    ),
    "tasks_without_spread": (
        "without spread",
        "test tasks of all seeds whose query targets are all the same, left out where the task's "
        "own standard deviation divides; a count",
    ),
    "users_at_10": (
        "users with 10 ratings",
        "users with at least 10 ratings of the 100 most-rated items; a count",
    ),
    "users_at_20": (
        "users with 20 ratings",
        "users with at least 20 ratings of the 100 most-rated items; a count",
    ),
    # fidelity of the meta-gradient
    "cosine": ("cosine", f"cosine of the method's meta-gradient to {_TRUE}; from -1 to 1"),
    "relative_error": (
        "relative error",
        f"2-norm of the difference to {_TRUE}, over the 2-norm of that; no unit",
    ),
    "own_cosine": ("cosine, own objective", f"cosine to {_STATED}; from -1 to 1"),
    "own_relative_error": (
        "relative error, own objective",
        f"2-norm of the difference to {_STATED}, over the 2-norm of that; no unit",
    ),
    "n_batches": ("batches", "probe batches that the row is the median of; a count"),
    "n_diverged": ("diverged", "probe batches in which the method diverged; a count"),
    # cost
    "process_seconds": (
        "process seconds",
        "CPU seconds of training so far, mean over seeds; seconds",
    ),
    "gradient_equivalents": (
        "gradient equivalents",
        "gradients plus twice the Hessian-vector products so far, mean over seeds; a count of "
        "gradient evaluations for a meta-batch",
    ),
    "test_nrmse": ("test nRMSE", "nRMSE on the test tasks at K test steps; no unit"),
    "cost_steps": (
        "steps profiled",
        "inner steps at which the peak memory was taken from the cost profile; a count",
    ),
    # studies
    "family": ("family", "synthetic family that the tasks are drawn from"),
    "initialisation": ("start", "untrained, or after the short meta-training of the study"),
    "kept_bytes": ("kept", "bytes of the states kept for the way back; bytes"),
    "reference_gap": (
        "reference gap",
        "relative difference of the reference to a second, independent solution; no unit",
    ),
    "standardised": ("standardised", "whether inputs and targets have mean 0 and deviation 1"),
    "scale": ("input scale", "factor on the inputs, which raises the curvature; no unit"),
    "solver": ("solver", "dopri5: RK45; rkc: Chebyshev steps"),
    "rho_t": (
        "stiffness",
        "integral over [0, T] of the largest eigenvalue of the support Hessians along the flow; "
        "no unit",
    ),
    "radius_hvps": (
        "products for rho",
        "Hessian-vector products spent on the largest eigenvalue; a count",
    ),
    # ablation and long horizons
    "grid_ours": ("grid of ours", "grid of params.yaml that the runs of ours are from"),
    "point": ("point", "where paper, released code and this project differ (design, section 6)"),
    "released": ("released", "label or setting that has the point as in the authors' code"),
    "nrmse_ours": ("ours", "nRMSE of the method as this project has it, at K; no unit"),
    "nrmse_released": (
        "as released",
        "nRMSE with the point as in the authors' code, at K; no unit",
    ),
    "effect": (
        "effect",
        "nRMSE as released minus ours, with its 95 % interval; positive: the authors' way is worse",
    ),
    "paired": ("paired", "whether both met the same test tasks, so that these are compared"),
    "own": ("own K", "whether the test step is the K that the row was trained for"),
    "best_step": ("best step", "whether the line's mean nRMSE is smallest at this test step"),
    "best_horizon": ("best horizon", "whether this K has the smallest mean nRMSE at the step"),
    "shorter": ("shorter K", "the next shorter trained K, which the row is compared with; a count"),
    "shorter_setting": ("shorter setting", "the setting with the next shorter trained K"),
    "fixed": ("fixed horizon", "the method with one horizon for every task"),
    "nrmse_fixed": ("nRMSE, fixed", "nRMSE with the fixed horizon; no unit"),
    "nrmse_early": ("nRMSE, by task", "nRMSE with a horizon for each task; no unit"),
}

_GRADIENTS = ("gradients", "support-gradient evaluations of one meta-gradient; a count")
_HVPS = ("products", "Hessian-vector products of one meta-gradient; a count")
_STATUS = ("status", "ok, or diverged: the solver gave up or the result is not finite")
OWN: dict[str, dict[str, tuple[str, str]]] = {
    "training": {
        "seconds": ("seconds", "wall seconds of training so far, mean over seeds; seconds"),
    },
    "equal_cost": {
        "seconds": ("seconds", "wall seconds of training so far, mean over seeds; seconds"),
        "gradients": (
            "gradients",
            "support-gradient evaluations so far, each for a meta-batch, mean over seeds; a count",
        ),
        "hvps": (
            "products",
            "Hessian-vector products so far, each for a meta-batch, autograd's own ones included, "
            "mean over seeds; a count",
        ),
        "machine": ("machine", "device, system and torch of the runs; seconds are of one machine"),
    },
    "costs": {
        "inner_steps": ("K", "inner steps of the meta-update that was measured; a count"),
        "status": ("status", "ok, or why the method could not do so many steps"),
    },
    "audit": {
        "step": ("test step", "K for methods and the untrained start, 0 for trivial predictors"),
        "n_tasks": ("test tasks", "test tasks of all seeds together; a count"),
    },
    "fidelity": {
        "gradients": (_GRADIENTS[0], f"{_GRADIENTS[1]}, median over probe batches"),
        "hvps": (_HVPS[0], f"{_HVPS[1]}, median over probe batches"),
        "inner_steps": ("K", "inner steps; the truth is that of the horizon T = 0.01 K; a count"),
    },
    "noise": {
        "inner_steps": ("K", "inner steps of the training behind each direction; a count"),
        "n_batches": ("meta-batches", "meta-batches whose directions were compared; a count"),
        "pairwise_cosine": (
            "cosine",
            "mean cosine of the directions of two different meta-batches, from -1 to 1",
        ),
        "signal": ("signal", "norm of the mean direction over the root mean square of the norms"),
        "norm": ("norm", "root mean square of the directions' 2-norms"),
    },
    "stability": {
        "method": (
            "way back",
            "; ".join(f"{name}: {way.description}" for name, (_, way) in WAYS.items()),
        ),
        "status": _STATUS,
        "gradients": _GRADIENTS,
        "hvps": _HVPS,
        "horizon": ("T", "horizon of the inner training; flow time"),
    },
    "stiffness": {
        "status": _STATUS,
        "gradients": ("gradients", "support-gradient evaluations of one solve; a count"),
        "horizon": ("T", "horizon that is solved over; flow time"),
    },
    "ablation": {
        "lo": ("low", "lower end of the 95 % interval of the effect; nRMSE"),
        "hi": ("high", "upper end of the 95 % interval of the effect; nRMSE"),
        "wins": ("wins", "pairs in which the released way has the smaller nRMSE; a count"),
        "losses": ("losses", "pairs in which ours has the smaller nRMSE; a count"),
        "status": ("status", "ok, partly failed (some seeds), failed or diverged"),
    },
    "horizons": {
        "difference": (
            "difference",
            "mean over tasks of the row's nRMSE minus that of the next shorter K at the same test "
            "step, with its 95 % interval; negative: the longer one is better",
        ),
        "wins": ("wins", "pairs in which the longer K has the smaller nRMSE; a count"),
        "losses": ("losses", "pairs in which the shorter K has the smaller nRMSE; a count"),
    },
    "early_stopping": {
        "difference": (
            "difference",
            "mean over tasks of the nRMSE with a horizon for each task minus that with the fixed "
            "one, with its 95 % interval; negative: a horizon for each task is better",
        ),
        "wins": ("wins", "pairs in which a horizon for each task has the smaller nRMSE; a count"),
        "losses": ("losses", "pairs in which the fixed horizon has the smaller nRMSE; a count"),
    },
    "choices": {
        "base": ("of", "the label whose value is varied"),
        "outer_lr": ("outer rate", "learning rate of the outer optimiser; no unit"),
        "meta_batch": ("meta-batch", "tasks per meta-update; a count"),
        "omega": ("ω", "weight of the running cost; blank for methods without one"),
        "validation_nrmse": (
            "validation nRMSE",
            "at K on the validation tasks after the last meta-update, mean over seeds; no unit",
        ),
        "validation_stderr": ("± of it", "standard error of that over seeds; no unit"),
        "chosen": ("chosen", "least validation nRMSE of its method in the setting"),
    },
}
