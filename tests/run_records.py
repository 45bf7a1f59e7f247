"""Believable small run records and cost profiles, written the way training writes them.

Used by tests of everything that reads records. Errors fall with test steps toward a floor that
differs by method; all numbers come from seeded generators, so that two calls write the same.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import CLASSES, NUMBERS, Measure
from pipeline.config.variants import variant_of
from pipeline.data.schemas import read_metadata
from pipeline.files import parse_json
from pipeline.runs.metrics import derived_errors
from pipeline.runs.records import (
    TEST_ROWS_SCHEMA,
    curve_schema,
    read_reference,
    reference_file,
    test_rows_schema,
    write_reference,
    write_run,
)
from pipeline.seals import write_sealed

METHODS = (
    *("maml", "maml1", "maml_sweep", "fomaml"),
    *("reptile", "imaml", "amaml", "amaml_anytime"),
)
SETTINGS = ("cosmixture-50shot-50val", "alpine-50shot-50val", "simulated-10shot-15val-50steps")
TARGET_STD, TARGET_RANGE = 2.0, 4.0
STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
DATASETS = (
    *("cosmixture", "alpine", "simulated"),
    *("jester-1", "ml-latest-small-2016", "ml-100k", "ml-1m"),
)
# (nRMSE before any step, floor) in units of the setting's scale
_SHAPES = {
    "maml": (0.22, 0.054),
    "maml1": (0.126, 0.057),
    "maml_sweep": (0.4, 0.036),
    "fomaml": (0.93, 0.054),
    "reptile": (0.114, 0.048),
    "imaml": (0.124, 0.056),
    "amaml": (0.425, 0.035),
    "amaml_anytime": (0.123, 0.037),
    "amaml_rkc": (0.42, 0.034),
    "untrained": (1.05, 0.16),
}


def write_grid(
    root: Path,
    *,
    methods: Iterable[str] = METHODS,
    settings: Iterable[str] = SETTINGS,
    seeds: Iterable[int] = (0, 1),
    failed: Collection[tuple[str, str, int]] = (),
    inner_steps: int = 50,
    steps: Iterable[int] = STEPS,
    n_tasks: int = 12,
    updates: int = 40,
    profiles: bool = True,
    measure: Measure = NUMBERS,
) -> Path:
    """Write `root/runs/{label}/{setting}/{seed}/` and `root/profile/{label}.json`.

    Args:
        root: stands for `results/{grid}`.
        settings: names that start with a data set's name.
        failed: (label, setting, seed) of runs whose status is `failed`.
        measure: in which errors are measured.

    Returns:
        `root`.
    """
    methods, settings, seeds = list(methods), list(settings), list(seeds)
    for label in methods:
        for setting in settings:
            for seed in seeds:
                write_one(
                    root,
                    label,
                    setting,
                    seed,
                    failed=(label, setting, seed) in failed,
                    inner_steps=inner_steps,
                    steps=tuple(steps),
                    n_tasks=n_tasks,
                    updates=updates,
                    measure=measure,
                )
        if profiles:
            write_sealed(root / "profile" / f"{label}.json", profile(label))
    return root


def write_one(
    root: Path,
    label: str,
    setting: str,
    seed: int,
    *,
    failed: bool = False,
    inner_steps: int = 50,
    steps: Iterable[int] = STEPS,
    n_tasks: int = 12,
    updates: int = 40,
    rows: pd.DataFrame | None = None,
    measure: Measure = NUMBERS,
) -> Path:
    """Write one run and the reference of its seed.

    Args:
        rows: in place of the test rows of both (columns of `records.TEST_ROWS_SCHEMA`).
    """
    directory = root / "runs" / label / setting / str(seed)
    if rows is None:
        sizes: dict[str, Any] = {"steps": steps, "n_tasks": n_tasks, "failed": failed}
        rows = test_rows(label, setting, seed, **sizes, measure=measure)
    own = rows["predictor"] == "meta_init"
    loss = {} if measure is NUMBERS else {"loss": measure.losses[-1]}
    about = {"kind": "reference", "setting": setting, "seed": seed} | loss
    write_reference(reference_file(root, setting, seed), about, rows[~own])
    write_run(
        directory,
        spec=spec(label, setting, seed, inner_steps) | loss,
        metrics=metrics(
            label, setting, seed, rows, failed=failed, inner_steps=inner_steps, measure=measure
        )
        | {"meta_updates": updates // 2 if failed else updates},
        curve=curve(label, setting, seed, updates, measure).head(
            updates // 2 if failed else updates
        ),
        test_rows=rows[own],
        theta=np.zeros(4, np.float32),
    )
    return directory


def ask_for(root: Path, setting: str, predictor: str, nrmse: float) -> None:
    """Put a predictor that a grid asks for into the references of a setting, all tasks alike."""
    for file in sorted(root.glob(f"reference/{setting}/*.parquet")):
        rows = read_reference(file)
        own = rows[rows["predictor"] != predictor]
        about = parse_json(read_metadata(file)["spec"]) | {"predictors": [predictor]}
        asked = task_rows(predictor, 0, dict.fromkeys(sorted(set(own["task"])), nrmse))
        write_reference(file, about, pd.concat([own, asked]))


def dataset_of(setting: str) -> str:
    """The data set that a setting's name starts with; of one's own, the name up to a hyphen."""
    own = setting.partition("-")[0]
    return next((name for name in DATASETS if setting.startswith(name)), own)


def task_rows(
    predictor: str, step: int, nrmse: Mapping[int, float] | Iterable[float]
) -> pd.DataFrame:
    """Test rows of one predictor and step from nRMSE per task; the other metrics follow from it."""
    given = nrmse if isinstance(nrmse, Mapping) else dict(enumerate(nrmse))
    task = np.array([*given], np.int64)
    rmse = (TARGET_STD * np.array([*given.values()], np.float64)).astype(np.float32)
    n_query = 15 + task % 3
    trained = predictor in ("meta_init", "untrained")
    measured = {
        "n_query": n_query,
        "target_norm": (TARGET_STD / 0.9 * np.sqrt(n_query)).astype(np.float32),
        "query_std": np.float32(0.8 * TARGET_STD),
        "rmse": rmse,
        "mae": np.float32(0.8) * rmse,
        "support_rmse": np.float32(0.7) * rmse if trained else np.float32("nan"),
    }
    derived = derived_errors(measured, target_std=TARGET_STD, target_range=TARGET_RANGE)
    columns = {"predictor": predictor, "step": step, "task": task, **measured, **derived}
    return pd.DataFrame({name: columns[name] for name in TEST_ROWS_SCHEMA.names})


def class_rows(predictor: str, step: int, log_loss: Iterable[float]) -> pd.DataFrame:
    """Test rows of classes from log loss per task; the other metrics follow from it."""
    loss = np.array([*log_loss], np.float32)
    task = np.arange(len(loss))
    measured = {
        "n_query": 15 + task % 3,
        "log_loss": loss,
        "accuracy": np.exp(-loss),
        "brier": 1 - np.exp(-loss),
        "calibration": np.float32(0.1) + 0 * loss,
        "support_log_loss": np.float32(0.7) * loss,
    }
    rows = pd.DataFrame({"predictor": predictor, "step": step, "task": task, **measured})
    return rows[test_rows_schema(CLASSES).names]


def test_rows(
    label: str,
    setting: str,
    seed: int,
    *,
    steps: Iterable[int],
    n_tasks: int,
    failed: bool,
    measure: Measure = NUMBERS,  # noqa: PT028
) -> pd.DataFrame:
    """All test rows of one run."""
    rows_of = task_rows if measure is NUMBERS else class_rows
    ratings = dataset_of(setting) in DATASETS[2:]
    scale = 0.72 if ratings else 6.0 if setting.startswith("alpine") else 1.0
    hardness = np.exp(0.25 * _draw(setting, seed).standard_normal(n_tasks))
    frames = []
    for predictor, kind in (("meta_init", label), ("untrained", "untrained")):
        if failed and predictor == "meta_init":
            continue
        start, floor = _SHAPES.get(kind, (0.5, 0.05))
        # a seed of its own for the initialisation, so that all methods start alike
        noise = np.exp(0.03 * _draw(setting, seed, kind).standard_normal(n_tasks))
        for step in steps:
            curve_value = floor + (start - floor) / (1 + 0.35 * step)
            value = scale * (0.95 + curve_value) if ratings else scale * curve_value
            frames.append(rows_of(predictor, step, value * hardness * noise))
    names = ("global_mean", "item_mean", "item_user_offset") if ratings else (
        "global_mean", "support_mean"
    )  # fmt: skip
    if measure is CLASSES:
        names = ("train_frequencies", "support_frequencies")
    for k, name in enumerate(names):
        frames.append(rows_of(name, 0, (1.02 - 0.09 * k) * hardness))
    return pd.concat(frames, ignore_index=True)


def curve(
    label: str, setting: str, seed: int, updates: int, measure: Measure = NUMBERS
) -> pd.DataFrame:
    """A falling meta-loss with the noise of a small meta-batch; validated ten times."""
    draw = _draw(setting, seed, label, "curve")
    update = np.arange(1, updates + 1)
    level = _SHAPES.get(label, (0.5, 0.05))[1] + 0.5 * np.exp(-6 * update / updates)
    validated = update % max(1, updates // 10) == 0
    return pd.DataFrame(
        {
            "update": update,
            "seconds": 0.03 * update,
            "meta_loss": level**2 * np.exp(0.3 * draw.standard_normal(updates)),
            "gradient_norm": level * np.exp(0.3 * draw.standard_normal(updates)),
            measure.validation: np.where(validated, level, np.nan),
            "gradients": 50 * update,
            "hvps": 50 * update,
            "process_seconds": 0.02 * update,
            **_fidelity(label, update, updates),
        }
    ).reindex(columns=curve_schema(measure).names)


def _fidelity(label: str, update: np.ndarray, updates: int) -> dict[str, np.ndarray]:
    """Entries of the ledger at the first update and at five more, falling slowly."""
    measured = (update % max(1, updates // 5) == 0) | (update == 1)
    scale = 20 * _SHAPES.get(label, (0.5, 0.05))[1]  # about 1, larger of methods with larger errors
    error = np.where(measured, scale * (0.1 + 0.2 * update / updates), np.nan)
    fidelity = {"cosine": 1 - error**2 / 2, "relative_error": error}
    return fidelity | {f"own_{name}": values for name, values in fidelity.items()}


def metrics(
    label: str,
    setting: str,
    seed: int,
    rows: pd.DataFrame,
    *,
    failed: bool,
    inner_steps: int,
    measure: Measure = NUMBERS,
) -> dict[str, Any]:
    """`metrics.json` of one run."""
    at = rows[(rows["predictor"] == "meta_init") & (rows["step"] == inner_steps)]
    means = {name: _mean(at[name]) for name in measure.metrics}
    primary = at[measure.name]
    scales = {"target_std": TARGET_STD, "target_range": TARGET_RANGE}
    return {
        "status": "failed" if failed else "ok",
        "message": "meta-gradient norm 3.1e+09 at update 20 is above 1e+08" if failed else None,
        **_identity(label, setting, seed, inner_steps),
        "horizon": 0.01 * inner_steps,
        **means,
        measure.stderr: float(primary.std()) / len(at) ** 0.5 if means[measure.name] else None,
        "train_seconds": 12.5,
        "train_process_seconds": 11.0,
        "test_seconds": 1.5,
        "work": {"gradients": 50, "hvps": 50, "accepted": 8, "rejected": 1, "kept_states": 51},
        **(scales if measure is NUMBERS else {}),
        "n_test_tasks": int(rows["task"].nunique()),
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "environment": {"python": "3.12"},
        "git_commit": "0" * 40,
        "data": {"dataset": dataset_of(setting), "fingerprint": "f" * 64},
    }


def spec(label: str, setting: str, seed: int, inner_steps: int) -> dict[str, Any]:
    """`spec.json` of one run, the keys that readers use."""
    identity = _identity(label, setting, seed, inner_steps)
    return {"kind": "run", **identity, "support": 10, "query": 15, "code": "digest"}


def profile(label: str) -> dict[str, Any]:
    """A cost profile: the unrolled graph grows with K and ends out of memory."""
    slope = {"maml": 4.0, "maml1": 0.0, "amaml_rkc": 0.3, "amaml": 3.0, "amaml_anytime": 3.2}
    entries = []
    for steps in (1, 50, 100, 200, 300, 500):
        out = label == "maml" and steps > 300
        seconds = 0.002 + 2e-4 * steps * slope.get(label, 1.0)
        graph = 1.2e6 * steps if label == "maml" else 2e4 * steps * ("amaml" in label)
        entries.append(
            {
                "inner_steps": steps,
                "status": "out_of_memory" if out else "ok",
                "seconds": None if out else seconds,
                "peak_bytes": None if out else int(2.5e6 + graph),
                "message": "the graph did not fit" if out else None,
            }
        )
    return {
        "spec": {"kind": "profile", "label": label, "code": "digest"},
        "method": label,
        "label": label,
        "device": "cpu",
        "entries": entries,
    }


def _identity(label: str, setting: str, seed: int, inner_steps: int) -> dict[str, Any]:
    variant = variant_of(label)
    method = variant.base if variant else label
    names = {"method": method, "label": label, "setting": setting, "dataset": dataset_of(setting)}
    return {**names, "seed": seed, "inner_steps": inner_steps}


def _mean(values: pd.Series) -> float | None:
    mean = values.to_numpy().mean() if len(values) else np.nan
    return float(mean) if np.isfinite(mean) else None


def _draw(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))
