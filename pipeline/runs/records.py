"""The record of one meta-training run, and of the reference of its setting and seed.

In `results/{grid}/runs/{method}/{setting}/{seed}/`:

    curve.parquet           one row per meta-update
    test_rows.parquet       one row per predictor x meta-test step x test task
    meta_init.safetensors   `theta`, shape (P,): the meta-learned initialisation (and what a
                            prediction needs beside it, see initialisation.py)
    metrics.json            status, summary figures, cost, environment
    spec.json               the recipe (jobs/recipes.py); written LAST: no spec.json, no run

Each is sealed (pipeline/seals.py).

A record restored from committed evidence (pipeline/runs/evidence.py) says `restored` in
metrics.json; its meta_init.safetensors is empty, its curve holds the updates that tables show.

`train_seconds` are the wall seconds of training, resumes included, and
`train_process_seconds` the CPU seconds of the process meanwhile; the gradient-fidelity ledger
(pipeline/runs/ledger.py) counts in neither, nor in the counts of work. A job may train several
seeds together (`seeds_in_job` of them at its start): each second then counts for each seed
in training by its share, 1 / (seeds in training), so that the seeds' sum is the job's.

The predictor in `test_rows.parquet` is `meta_init`; a failed run has no row. What it is compared
with is the same for every method of a seed and lies once, in
`results/{grid}/reference/{setting}/{seed}.parquet`: rows of the same schema on the same test tasks
of `untrained`, the starting point of every method of that seed, adapted as an initialisation is,
and of the trivial predictors, at step 0 (`global_mean`, `item_mean`, `item_user_offset` for
ratings; `global_mean`, `support_mean` for the synthetic families). The schema metadata carry the
recipe under `spec`.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.config.measures import MEASURES, NUMBERS, Measure, measure_in, measure_of
from pipeline.data.schemas import file_bytes, names_in, rows_in, sealed_parquet, write_rows
from pipeline.errors import BadInput
from pipeline.runs.agreement import run_fault
from pipeline.runs.recipe import canonical
from pipeline.runs.weights import read_arrays, write_arrays
from pipeline.seals import Damaged, parse_sealed, read_sealed, sealed_bytes, write_sealed

FILES = ("curve.parquet", "test_rows.parquet", "meta_init.safetensors", "metrics.json", "spec.json")
METRICS = tuple(NUMBERS.metrics)
FIDELITY = ("cosine", "relative_error", "own_cosine", "own_relative_error")
# `Spread` of the tasks' meta-gradients in a meta-batch (pipeline/core/aggregate.py); named here
# because readers of records need no torch
NORMS = ("norm_low", "norm_median", "norm_high", "norm_largest", "largest_share")


def average_validation(measure: Measure) -> str:
    """The curve's column of theta's moving average."""
    return f"average_{measure.validation}"


def since_added(measure: Measure) -> tuple[str, ...]:
    """Columns of a curve that records of before do not have: null there."""
    return (*NORMS, average_validation(measure))


def curve_schema(measure: Measure) -> pa.Schema:
    """Columns of a training curve."""
    return pa.schema(
        [
            pa.field("update", pa.int32()),  # 1-based count of meta-updates done
            pa.field("seconds", pa.float64()),  # training so far, as `train_seconds` counts it
            pa.field("meta_loss", pa.float64()),  # mean query loss of the meta-batch, standardised
            pa.field("gradient_norm", pa.float64()),  # 2-norm of the meta-gradient
            pa.field(measure.validation, pa.float64()),  # null where not measured
            pa.field(
                "gradients", pa.int64()
            ),  # support-gradient evaluations so far, per meta-batch
            pa.field("hvps", pa.int64()),  # Hessian-vector products so far, per meta-batch
            # CPU seconds of the process in training so far, as `train_process_seconds` counts them
            pa.field("process_seconds", pa.float64()),
            # the meta-gradient on the probe against the true one, and against that of the method's
            # own objective (pipeline/runs/ledger.py); null where not measured or diverged
            *(pa.field(name, pa.float64()) for name in FIDELITY),
            # spread of the tasks' norms (pipeline/core/aggregate.py), and what `validation_*` is,
            # of theta's moving average
            *(pa.field(name, pa.float64()) for name in since_added(measure)),
        ]
    )


def test_rows_schema(measure: Measure) -> pa.Schema:
    """Columns of test rows."""
    return pa.schema(
        [
            pa.field("predictor", pa.string()),
            pa.field("step", pa.int32()),  # meta-test training steps done
            pa.field("task", pa.int32()),
            pa.field("n_query", pa.int32()),
            # float32, from which everything else is computed (pipeline/runs/metrics.py)
            *(pa.field(name, pa.float32()) for name in (*measure.measured, *measure.metrics)),
            pa.field(measure.support, pa.float32()),  # null for trivial predictors
        ]
    )


CURVE_SCHEMA = curve_schema(NUMBERS)
TEST_ROWS_SCHEMA = test_rows_schema(NUMBERS)


def measure_in_recipe(spec: Mapping[str, Any]) -> Measure:
    """The measure of a run or reference, by the loss in its recipe."""
    loss = spec.get("loss", "squared")
    return measure_of(loss if isinstance(loss, str) else "")


@dataclass(frozen=True)
class RunRecord:
    """One finished run, read back. `metrics["status"]` is `ok` or `failed`."""

    directory: Path
    spec: dict[str, Any]
    metrics: dict[str, Any]
    curve: pd.DataFrame
    test_rows: pd.DataFrame
    theta: np.ndarray | None  # None in a record restored from evidence


def write_run(
    directory: Path,
    *,
    spec: Mapping[str, Any],
    metrics: Mapping[str, Any],
    curve: pd.DataFrame,
    test_rows: pd.DataFrame,
    theta: np.ndarray | None,
    about: Mapping[str, str] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a run's files, `spec.json` last, so that its presence means a whole run.

    Args:
        about: metadata of the weights.
        arrays: what a prediction needs beside theta.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spec.json").unlink(missing_ok=True)
    measure = measure_in_recipe(spec)
    for name, frame, schema in (
        ("curve.parquet", curve, curve_schema(measure)),
        ("test_rows.parquet", test_rows, test_rows_schema(measure)),
    ):
        known = dict.fromkeys([*frame, *(n for n in since_added(measure) if n in schema.names)])
        whole = frame.reindex(columns=list(known))
        table = pa.Table.from_pandas(whole, schema=schema, preserve_index=False)
        with sealed_parquet(directory / name, schema) as writer:
            writer.write_table(table.replace_schema_metadata(None))
    weights = {} if theta is None else {"theta": theta, **(arrays or {})}
    write_arrays(directory / "meta_init.safetensors", weights, about or {})
    write_sealed(directory / "metrics.json", metrics)
    write_sealed(directory / "spec.json", spec)


def holds_run(directory: Path, spec: Mapping[str, Any]) -> bool:
    """Whether a folder holds a whole, undamaged run that was made from this recipe."""
    try:
        *_, last = [sealed_bytes(directory / name) for name in FILES]
        return bool(parse_sealed(last) == dict(spec))
    except (OSError, ValueError):  # made again
        return False


def read_run(directory: Path) -> RunRecord:
    """Read a finished run.

    Raises:
        BadInput: when a file is missing, damaged or unreadable, or test rows are not those of the
            metrics.
    """
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise BadInput(
            f"{directory}: found no {', '.join(missing)}; needed a finished run "
            f"({', '.join(FILES)}). Delete the folder and run `snakemake` again."
        )
    try:
        run = RunRecord(
            directory,
            read_sealed(directory / "spec.json"),
            read_sealed(directory / "metrics.json"),
            _read_curve(directory / "curve.parquet"),
            _read_frame(directory / "test_rows.parquet"),
            read_arrays(directory / "meta_init.safetensors")[0].get("theta"),
        )
        fault = run_fault(run.spec, run.metrics, run.test_rows)
    except Damaged:
        raise
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise BadInput(
            f"{directory}: unreadable run record ({error}); needed the files that "
            "`meta-train` wrote. Delete the folder and run `snakemake` again."
        ) from error
    if fault:
        raise BadInput(
            f"{directory}: found {fault}; needed test_rows.parquet, metrics.json and spec.json of "
            "one run. Delete the folder and run `snakemake` again."
        )
    return run


def _read_frame(path: Path) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(sealed_bytes(path)))


def _read_curve(path: Path) -> pd.DataFrame:
    curve = _read_frame(path)
    names = dict.fromkeys([*curve, *since_added(measure_of_curve(curve))])
    return curve.reindex(columns=list(names))


# The reference: what every method of a seed is compared with.

# What a run's recipe has alike: evidence of a run is evidence of its reference.
REFERENCE_PARAMETERS = (
    *("setting", "dataset", "seed", "support", "query", "inner_steps", "hidden"),
    *("model", "loss"),
    *("evaluation", "dtype", "data"),
)


def reference_file(results_dir: Path, setting: str, seed: int) -> Path:
    """Where the reference of `results/{grid}` lies."""
    return results_dir / "reference" / setting / f"{seed}.parquet"


def write_reference(out: Path, recipe: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Write rows of `test_rows_schema`, whole or not at all."""
    schema = test_rows_schema(measure_in_recipe(recipe))
    columns = {name: rows[name].to_numpy() for name in schema.names}
    write_rows(out, columns, schema, {"spec": canonical(dict(recipe))})


def read_reference(path: Path) -> pd.DataFrame:
    """Rows of a reference.

    Raises:
        BadInput: when the file is missing or unreadable.
    """
    data = file_bytes(path)
    measure = measure_in(names_in(path, data))
    return pd.DataFrame(rows_in(path, data, test_rows_schema(measure)))


def validation_error(run: RunRecord) -> float:
    """Mean error on the validation tasks of the initialisation that the record has; NaN if none."""
    if kept := run.metrics.get("kept"):
        return float(kept["error"])
    validated = run.curve.sort_values("update")[measure_of_curve(run.curve).validation]
    return float(validated.iloc[-1])


# A training curve at the updates that are shown: what tables, MLflow and evidence are made of.
#
# Thinning twice is thinning once: evidence keeps thinned curves, and tables made of them come out
# the same.

MAX_ROWS = 100  # of a thinned curve
AVERAGED = ("meta_loss", "gradient_norm")  # since the row before: of one meta-batch mostly noise


def kept_updates(curves: Sequence[pd.DataFrame], limit: int = MAX_ROWS) -> list[int]:
    """Updates to show: validated ones (at most half the rows) and those with an entry in the
    fidelity ledger (at most a quarter), the rest evenly spaced.
    """
    every = pd.concat(curves)
    updates = np.unique(every["update"].to_numpy(np.int64))
    if len(updates) <= limit:
        return [int(update) for update in updates]
    chosen = np.union1d(
        _spaced(_measured(every, [measure_of_curve(every).validation]), limit // 2),
        _spaced(_measured(every, list(FIDELITY)), limit // 4),
    )
    filler = _spaced(updates, limit - len(chosen))
    return [int(update) for update in np.union1d(chosen, filler)]


def thinned(curve: pd.DataFrame, keep: Sequence[int]) -> pd.DataFrame:
    """The rows at the kept updates, `AVERAGED` columns as means since the kept one before."""
    ordered = curve.sort_values("update")
    updates = ordered["update"].to_numpy(np.int64)
    rows = ordered[np.isin(updates, keep)].copy()
    for name in (*AVERAGED, *NORMS):
        values = ordered[name].to_numpy(np.float64)
        means = {
            update: float(values[(updates > before) & (updates <= update)].mean())
            for before, update in pairwise([0, *keep])
            if (updates == update).any()
        }
        rows[name] = rows["update"].map(means)
    return rows.reset_index(drop=True)


def measure_of_curve(curve: pd.DataFrame) -> Measure:
    """By its column of validations."""
    return next((one for one in MEASURES if one.validation in curve), NUMBERS)


def _measured(curves: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Updates at which any of the values is there."""
    there = curves[names].notna().any(axis=1)
    return np.unique(curves.loc[there, "update"].to_numpy(np.int64))


def _spaced(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the sorted values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))]
