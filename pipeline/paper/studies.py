"""The findings of the studies, from the tables of `config_studies.STUDIES`."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.studies import NO_REFERENCE, SOLVER_TITLES, WRONG
from pipeline.config.titles import DATASETS, label_title
from pipeline.tables.studies import finished_solves, stiffness_slope

CLOSE = 0.1


def stability_finding(tables: Path) -> str | None:
    """Up to which T backward re-integration works, and how near kept states stay."""
    table = _read(tables, "stability")
    return None if table is None else stability_sentence(table)


def fidelity_finding(tables: Path) -> str | None:
    """Which methods still give the meta-gradient at the longest K, and what the others give."""
    table = _read(tables, "fidelity")
    return None if table is None else fidelity_sentence(table)


def stiffness_finding(tables: Path) -> str | None:
    """The measured exponents of both solvers."""
    table = _read(tables, "stiffness")
    return None if table is None else stiffness_sentence(table)


def noise_finding(tables: Path) -> str | None:
    """Whose directions keep from one meta-batch to the next, and whose do not."""
    table = _read(tables, "noise")
    return None if table is None else noise_sentence(table)


def stability_sentence(table: pd.DataFrame) -> str:
    """From rows of `stability.csv`; those without a reference are left out, and counted."""
    judged = table["status"] != NO_REFERENCE
    unjudged = table.loc[~judged, ["family", "initialisation", "horizon"]].drop_duplicates()
    table = table[judged]
    errors = table.assign(error=table["relative_error"].where(table["status"] == "ok", np.inf))
    longest = _number(errors["horizon"].max())
    back = errors[errors["method"] == "backsolve"]
    bad = back[back["error"] > WRONG]
    if bad.empty:
        said = f"Backward re-integration stays usable up to T = {longest}"
    else:
        first = bad["horizon"].min()
        failing = back[back["horizon"] >= first]
        share = f"{int((failing['error'] > WRONG).sum())} of {len(failing)}"
        said = (
            f"Backward re-integration diverges or errs by more than the meta-gradient itself in "
            f"{share} cases from T = {_number(first)} on"
        )
        double = errors[(errors["method"] == "backsolve_float64") & (errors["horizon"] >= first)]
        if len(double):
            share = f"{int((double['error'] > WRONG).sum())} of {len(double)}"
            said += f" (in float64 in {share})"
    parts = [
        _worst(errors, name)
        for name in ("amaml", "amaml_rkc", "amaml_discrete")
        if (errors["method"] == name).any()
    ]
    left_out = f" ({len(unjudged)} left out, its reference not converged)" if len(unjudged) else ""
    return (
        f"{said}; up to T = {longest} the largest relative error is {', '.join(parts)}{left_out}."
    )


def fidelity_sentence(table: pd.DataFrame) -> str:
    """From rows of `fidelity.csv`."""
    last = table[table["inner_steps"] == table["inner_steps"].max()]
    worst = {
        label: float(rows["relative_error"].fillna(np.inf).max())
        for label, rows in last.groupby("label", sort=False)
    }
    cosines = {
        label: (float(rows["cosine"].min()), float(rows["cosine"].max()))
        for label, rows in last.groupby("label", sort=False)
    }
    near = [label for label, error in worst.items() if error <= CLOSE]
    rest = [label for label in worst if label not in near]
    steps = int(last["inner_steps"].iloc[0])
    said = f"At K = {steps} "
    if near:
        each = ", ".join(f"{label_title(label)} ({worst[label]:.2g})" for label in near)
        said += f"the meta-gradient is met to within {CLOSE:.0%} by {each}"
    else:
        said += f"no method meets the meta-gradient to within {CLOSE:.0%}"
    if rest:
        each = ", ".join(f"{label_title(label)} {_range(*cosines[label])}" for label in rest)
        said += f"; cosines of the others: {each}"
    return f"{said}."


def noise_sentence(table: pd.DataFrame) -> str:
    """From rows of `noise.csv`: at the longest K, from trained initialisations."""
    steps = table["inner_steps"].max()
    last = table[(table["inner_steps"] == steps) & (table["initialisation"] == "trained")]
    last = last.dropna(subset=["pairwise_cosine"])
    if last.empty:
        return f"At K = {steps} no method has directions to compare."
    parts = []
    for family, rows in last.groupby("family", sort=False):
        ranked = rows.sort_values("pairwise_cosine", ascending=False, kind="stable")
        each = ", ".join(
            f"{label_title(label)} {cosine:.2f}"
            for label, cosine in zip(ranked["label"], ranked["pairwise_cosine"], strict=True)
        )
        parts.append(f"on {DATASETS[family]} {each}")
    return (
        f"At K = {steps}, after a short training, the directions of two meta-batches have these "
        f"cosines with one another, steadiest first: {'; '.join(parts)}."
    )


def stiffness_sentence(table: pd.DataFrame) -> str:
    """From rows of `stiffness.csv`."""
    said = []
    for solver, title in SOLVER_TITLES.items():
        slope = stiffness_slope(table, solver)
        if slope is not None:
            said.append(f"{title} evaluations grow as (rho T)^{slope:.2f}")
    text = " and ".join(said) if said else "Too few stiff solves to measure an exponent"
    both = finished_solves(table, "rkc").merge(
        finished_solves(table, "dopri5"),
        on=["family", "standardised", "scale", "horizon"],
        suffixes=("_rkc", "_rk45"),
    )
    if len(both):
        top = both.sort_values("rho_t_rkc").iloc[-1]
        ratio = top["evaluations_rk45"] / top["evaluations_rkc"]
        text += f"; at rho T = {top['rho_t_rkc']:.2g} Chebyshev steps take {ratio:.1f} times fewer"
    failed = table[table["status"] != "ok"]
    if len(failed):
        counts = failed["solver"].value_counts()
        each = [f"{SOLVER_TITLES[s]} {counts[s]}" for s in SOLVER_TITLES if s in counts]
        text += f"; solves given up: {', '.join(each)}"
    return f"{text}."


def _worst(errors: pd.DataFrame, name: str) -> str:
    titles = {
        "amaml": "with kept states (modified Euler)",
        "amaml_rkc": "with the Chebyshev adjoint",
        "amaml_discrete": "with RK45's discrete adjoint",
    }
    worst = float(errors.loc[errors["method"] == name, "error"].max())
    return f"{worst:.2g} {titles[name]}" if np.isfinite(worst) else f"infinite {titles[name]}"


def _range(low: float, high: float) -> str:
    if np.isnan(low):
        return "none"
    same = f"{low:.2f}" == f"{high:.2f}"
    return f"{low:.2f}" if same else f"{low:.2f} to {high:.2f}"


def _number(value: float) -> str:
    return f"{value:g}"


def _read(tables: Path, name: str) -> pd.DataFrame | None:
    path = tables / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else None
