"""What a job's code does, as numbers: a short training and test on a small fixed problem.

Committed evidence is hours of training. It is held by these numbers and not by the text of the
code: a module may be moved or rewritten as long as the same settings do the same thing. The
problem is small (a fraction of a second), the way through it is the job's own: task set, frozen
episodes, training, ledger, meta-test, record. In float64, so that machines and thread counts
agree far better than `BOUND`, whatever the run's own dtype is.

Two runs with the same behaviour and the same parameters have the same numbers, to rounding.
"""

import contextlib
import importlib
import io
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipeline.config.measures import MEASURES, NUMBERS, measure_in
from pipeline.data import schemas
from pipeline.data.cards import OF_CLASSES
from pipeline.data.families import FAMILIES, PROFILED
from pipeline.files import file_digest
from pipeline.runs.behaviour import SCALES, Behaviour, difference
from pipeline.runs.recipe import Recipe, digest, flow_time
from pipeline.runs.records import read_run, since_added
from pipeline.seals import read_sealed, write_sealed

INNER_STEPS = 100  # K of the probe, where the recipe's is not smaller
UPDATES = 3
HIDDEN = [8]
TASKS = {"train": 12, "test": 3, "validation": 2}
RATING_ROWS = {"support": 4, "query": 4}
POINT_ROWS = {"support": 8, "query": 8}
POINTS, EVALUATION_POINTS = 24, 10
USERS, ITEMS, RATED = 24, 16, 12
# of the curve: times, and what evidence of before does not have
NOT_COMPARED = (
    *("seconds", "process_seconds"),
    *(name for measure in MEASURES for name in since_added(measure)),
)
PROJECTIONS = 3  # of theta on fixed directions

Probe = Callable[[Recipe], Behaviour]


def run_probe(recipe: Recipe) -> Recipe:
    """The recipe of the short training: a run's recipe with everything made small.

    Settings that decide what a method does stay; seed, data set and sizes do not matter to it,
    so that runs that differ in those only have one probe.
    """
    small = _small(recipe)
    steps = small["inner_steps"]
    training, settings = dict(recipe["training"]), dict(recipe["settings"])
    if "horizon" in settings:
        settings["horizon"] = flow_time(training["inner_lr"], steps)
    if "inner_steps" in settings:
        settings["inner_steps"] = max(1, settings["inner_steps"] * steps // recipe["inner_steps"])
    training |= {
        "meta_batch": min(training["meta_batch"], 3),
        "meta_updates": UPDATES,
        "validate_every": 2,
        "ledger_every": None if training["ledger_every"] is None else 2,
    }
    method = {"kind": "run", "method": recipe["method"], "label": "probe"}
    method |= {name: recipe[name] for name in ("rates",) if name in recipe}
    return small | method | {"settings": settings, "training": training}


def _small(recipe: Recipe) -> Recipe:
    """What the probes of a run and of its reference have alike: data, network, meta-test."""
    data = recipe["data"]
    rating = "n_items" in data["tasks"]
    return {
        "setting": "probe",
        # a table of one's own is no family: its runs are probed on another's tasks
        "dataset": "ratings" if rating else _family(data["tasks"]["dataset"]),
        "seed": 0,
        **(RATING_ROWS if rating else POINT_ROWS),
        "inner_steps": min(recipe["inner_steps"], INNER_STEPS),
        # a person's own module and loss are held by their digests: the method is probed on others
        "hidden": recipe["hidden"] or HIDDEN,
        **({"loss": recipe["loss"]} if isinstance(recipe.get("loss"), str) else {}),
        **({"offset": recipe["offset"]} if "offset" in recipe else {}),
        "evaluation": recipe["evaluation"] | {"steps": [0, 1, 10]},
        "dtype": "float64",
        "data": {
            "standardise": data["standardise"],
            "scaling": data["scaling"],
            "threshold": data.get("min_ratings") is not None,
        },
    }


def _family(dataset: str) -> str:
    return dataset if dataset in FAMILIES else PROFILED.name


def run_behaviour(probe: Recipe) -> Behaviour:
    """Train and test as `probe` says; the numbers of the record, and of its reference."""
    from pipeline.runs.job import run
    from pipeline.runs.reference import build_reference

    with tempfile.TemporaryDirectory(prefix="behaviour-") as folder:
        place = Path(folder)
        tasks, episodes = _small_inputs(probe, place)
        with contextlib.redirect_stdout(io.StringIO()):
            run(probe, tasks, episodes, place / "run", device="cpu")
        found = _numbers(place / "run")
        reference = build_reference(probe, tasks, episodes, place / "reference.parquet")
        return found | _errors(reference)


def reference_probe(recipe: Recipe) -> Recipe:
    """What the probe of a run of the same parameters has, without its method; and predictors."""
    asked = {name: recipe[name] for name in ("predictors",) if name in recipe}
    return _small(recipe) | asked | {"kind": "reference"}


def reference_behaviour(probe: Recipe) -> Behaviour:
    """Adapt and predict as `probe` says; the numbers of the reference, and what runs have too."""
    from pipeline.runs.inputs import load_inputs, target_range
    from pipeline.runs.reference import build_reference

    with tempfile.TemporaryDirectory(prefix="behaviour-") as folder:
        place = Path(folder)
        tasks, file = _small_inputs(probe, place)
        rows = build_reference(probe, tasks, file, place / "reference.parquet")
        found = _errors(rows) | {"inner_steps": float(probe["inner_steps"])}
        if measure_in(map(str, rows)) is NUMBERS:
            episodes = load_inputs(probe, tasks, file)
            found |= {
                "target_std": float(episodes.scaling.target_std),
                "target_range": float(target_range(tasks, episodes)),
            }
        return found


def _small_inputs(probe: Recipe, place: Path) -> tuple[Path, Path]:
    """A small task set and its frozen episodes, written into `place`."""
    from pipeline.data.episodes import freeze_episodes

    tasks, episodes = place / "tasks.parquet", place / "episodes.parquet"
    sizes: dict[str, Any]
    if probe["dataset"] == "ratings":
        _rating_tasks(place / "ratings.parquet", tasks)
        sizes = {
            "test_tasks": TASKS["test"],
            "min_ratings": RATED - 1 if probe["data"]["threshold"] else None,
        }
    else:
        _synthetic_tasks(probe["dataset"], tasks)
        if probe.get("loss") in OF_CLASSES:
            _with_classes(tasks, 2 if probe["loss"] == "binary" else 3, probe["loss"])
        sizes = {"evaluation_points": EVALUATION_POINTS}
    freeze_episodes(
        tasks,
        episodes,
        seed=probe["seed"],
        support=probe["support"],
        query=probe["query"],
        validation_tasks=TASKS["validation"],
        standardise=probe["data"]["standardise"],
        scaling=probe["data"]["scaling"],
        metadata={},
        **sizes,
    )
    return tasks, episodes


def profile_probe(recipe: Recipe) -> Recipe:
    """The settings of one number of steps: the largest of at most `INNER_STEPS`, or the least."""
    steps = sorted(int(steps) for steps in recipe["settings"])
    chosen = max((k for k in steps if k <= INNER_STEPS), default=steps[0])
    return {
        "kind": "profile",
        "method": recipe["method"],
        "hidden": recipe["hidden"],
        "meta_batch": min(recipe["meta_batch"], 3),
        "settings": recipe["settings"][str(chosen)],
    }


def profile_behaviour(probe: Recipe) -> Behaviour:
    """Meta-gradient and counts of work of what the profile measures."""
    import torch

    from pipeline.core import MLP, meta_gradient
    from pipeline.runs.profile import work_batch

    model = MLP(2, probe["hidden"])
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = work_batch(probe["meta_batch"], torch.float64, torch.device("cpu"))
    out = meta_gradient(probe["method"], model, theta, batch, **probe["settings"])
    return {
        **_projected("gradient", out.gradient.numpy()),
        **_projected("adapted", out.adapted.numpy().ravel()),
        **{f"work.{name}": float(value) for name, value in vars(out.work).items()},
    }


def study_probe(recipe: Recipe) -> Recipe:
    """The study's own recipe with one family, few steps and batches, and a short training."""
    probe = json.loads(json.dumps(recipe))
    probe |= {"families": recipe["families"][:1], "dtype": "float64"}
    probe["training"] |= {"updates": 2, "dtype": "float64"}
    probe["training"]["settings"] |= {"horizon": 0.5}
    for method in probe["methods"].values():
        method |= {"dtype": "float64"} if "dtype" in method else {}
    if "horizons" in probe:
        probe["horizons"] = [1.0]
        probe["stiffness"] |= {"horizons": [1.0], "scales": recipe["stiffness"]["scales"][:1]}
        return probe
    steps = min(recipe["inner_steps"])
    probe |= {"inner_steps": [steps], "batches": min(recipe["batches"], 2)}
    for method in probe["methods"].values():
        method["settings"] = {str(steps): method["settings"][str(steps)]}
    return probe


def study_behaviour(probe: Recipe) -> Behaviour:
    """The numbers of the small study."""
    study = importlib.import_module(f"pipeline.studies.{probe['study']}")
    with tempfile.TemporaryDirectory(prefix="behaviour-") as folder:
        out = Path(folder) / "study.json"
        getattr(study, f"study_{probe['study']}")(probe, out)
        record = {name: value for name, value in read_sealed(out).items() if name != "spec"}
    return dict(_leaves("", record))


PROBES: dict[str, tuple[Callable[[Recipe], Recipe], Probe]] = {
    "run": (run_probe, run_behaviour),
    "reference": (reference_probe, reference_behaviour),
    "profile": (profile_probe, profile_behaviour),
    "study": (study_probe, study_behaviour),
}


def behaviour_of(recipe: Recipe, cache: Path | None = None) -> Behaviour:
    """What the code does with the settings of a run's, profile's or study's recipe.

    Args:
        cache: folder in which answers are kept, by recipe of the probe and digest of the code.
    """
    small, measure = PROBES[recipe["kind"]]
    probe = small(recipe)
    kept = _answer_file(recipe["code"], probe, cache)
    if (found := _answer(kept)) is not None:
        return found
    found = measure(probe)
    if kept is not None:
        write_sealed(kept, found)
    return found


def known_fault(spec: Recipe, behaviour: Behaviour, wanted: Recipe, cache: Path) -> str | None:
    """Which number the code of `wanted` is known to give otherwise than that of `spec` did.

    Asks nothing that was not asked before: None where it is not known.
    """
    if spec == wanted:
        return None
    small, _ = PROBES[wanted["kind"]]
    found = _answer(_answer_file(wanted["code"], small(wanted), cache))
    return None if found is None else difference(behaviour, found)


def behaviours(cache: Path) -> Probe:
    """`behaviour_of` with its answers kept in `cache`."""
    return partial(behaviour_of, cache=cache)


def _answer_file(code: str, probe: Recipe, cache: Path | None) -> Path | None:
    if cache is None:
        return None
    name = {"code": code, "probe": probe, "probes": _own_digest()}
    return cache / f"{digest(name)}.json"


def _answer(kept: Path | None) -> Behaviour | None:
    if kept is None or not kept.is_file():
        return None
    try:
        found: Behaviour = read_sealed(kept)
    except (ValueError, OSError):  # unreadable: measured again
        return None
    return found


@cache
def _own_digest() -> str:
    return file_digest(Path(__file__))


def _numbers(run_dir: Path) -> Behaviour:
    """Curve, errors per predictor and step, and theta of a record."""
    run = read_run(run_dir)
    found: Behaviour = {}
    for name in run.curve.columns:
        if name not in ("update", *NOT_COMPARED):
            for update, value in zip(run.curve["update"], run.curve[name], strict=True):
                found[f"curve.{name}.{update}"] = _defined(value)
    found |= _errors(run.test_rows)
    for name in SCALES:
        if name not in run.metrics:
            continue
        found[name] = _defined(run.metrics[name])
    if run.theta is not None:
        found |= _projected("theta", run.theta)
    return found


def _errors(test_rows: pd.DataFrame) -> Behaviour:
    """Means per predictor and step."""
    found: Behaviour = {}
    measure = measure_in(map(str, test_rows))
    # accuracy and calibration jump where rounding moves a row across an edge
    names = [measure.name, "brier", measure.support]
    if measure is NUMBERS:
        names = ["nrmse", "rmse_over_range", "relative_l2", "mae", "support_rmse", "query_std"]
    means = test_rows.astype(dict.fromkeys(names, "float64"))
    for name in names:
        for of, value in means.groupby(["predictor", "step"])[name].mean().items():
            found[".".join(("test", *map(str, of), name))] = _defined(value)  # type: ignore[call-overload]
    return found


def _projected(name: str, vector: np.ndarray) -> Behaviour:
    """Norm, and products with fixed directions."""
    directions = np.random.default_rng(0).standard_normal((PROJECTIONS, vector.size))
    products = directions @ vector.astype(np.float64)
    found: Behaviour = {f"{name}.norm": float(np.linalg.norm(vector))}
    for place, value in enumerate(products):
        found[f"{name}.direction_{place}"] = float(value)
    return found


def _leaves(name: str, value: Any) -> list[tuple[str, float | None]]:
    """Numbers of nested JSON by the way to them; texts are left out."""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in _leaves(f"{name}.{key}", value[key])]
    if isinstance(value, list):
        return [leaf for k, entry in enumerate(value) for leaf in _leaves(f"{name}.{k}", entry)]
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return [(name.lstrip("."), _defined(value))]
    return []


def _defined(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def _synthetic_tasks(family: str, out: Path) -> None:
    from pipeline.data.task_sets import build_synthetic_tasks

    build_synthetic_tasks(
        family,
        out,
        seeds=[0],
        n_train=TASKS["train"],
        n_test=TASKS["test"],
        points=POINTS,
        metadata={},
    )


def _with_classes(tasks: Path, classes: int, loss: str) -> None:
    """The same tasks with targets in equal parts, of which each is a class."""
    table = pq.read_table(tasks)
    columns = {name: table[name].to_numpy() for name in table.schema.names}
    edges = np.quantile(columns["y"], np.arange(1, classes) / classes)
    columns["y"] = np.searchsorted(edges, columns["y"]).astype(np.float64)
    named = {"classes": [f"{place}" for place in range(classes)], "loss": loss}
    about = schemas.read_metadata(tasks) | named
    schemas.write_rows(tasks, columns, table.schema, about)


def _rating_tasks(ratings: Path, out: Path) -> None:
    """A few users who rated a few items, by a rule that needs no generator."""
    from pipeline.data.task_sets import build_rating_tasks

    user, place = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    item = (place * 5 + user * 3) % (ITEMS + 4)
    kept = place < RATED + (user % 3) - 1  # 11, 12 or 13 ratings
    value = 1.0 + (7 * user + 11 * item + user * item) % 9 / 2
    user, item, value = user[kept], item[kept], value[kept]
    order = np.lexsort((item, user))
    rows = {
        "user": user[order].astype(np.int32),
        "item": item[order].astype(np.int32),
        "rating": value[order].astype(np.float32),
    }
    about = {"dataset": "ratings", "title": "probe", "fingerprint": "", "lo": 1.0, "hi": 5.0}
    schemas.write_rows(ratings, rows, schemas.RATINGS, about)
    build_rating_tasks(ratings, out, n_items=ITEMS, min_ratings=8, metadata={})
