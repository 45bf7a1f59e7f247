"""The champion of each setting: the method whose initialisation does best on validation tasks.

Validation tasks are tasks of meta-training that no run trains on, of each seed its own. A method's
error is the mean over seeds of its mean error on them (nRMSE, of classes log loss) after K steps;
the least wins. The champion is compared with every other method, the untrained start and the
trivial predictors, paired by task and seed (pipeline/tables/paired.py), Holm-corrected over all of
them: where p >= 0.05 it is not separated from the other, and chosen all the same. Test tasks choose
nothing; their errors are written beside the choice.

Its weights are those of the seed with the least error on its own validation tasks, in

    results/{grid}/champions/{setting}.safetensors

a file of pipeline/runs/initialisation.py, small and for git, with `grid`, `validation` (how it was
chosen), `test` (its run's mean errors) and `chosen_from` (a digest of the parameters of all runs
that were compared: where they still hold, the file stands for runs whose weights are not here).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.config.measures import measure_in
from pipeline.config.predictors import UNTRAINED
from pipeline.config.schema import Params
from pipeline.config.titles import label_title
from pipeline.data.pools import Episodes
from pipeline.errors import BadInput
from pipeline.jobs.artifacts import run_folder
from pipeline.jobs.recipes import run_recipe
from pipeline.runs.evaluate import FrozenTest
from pipeline.runs.initialisation import Initialisation, training_command
from pipeline.runs.inputs import load_inputs, target_range, untrained_start
from pipeline.runs.model import model_of
from pipeline.runs.recipe import Recipe, digest, parameters_of
from pipeline.runs.records import RunRecord, holds_run, read_run
from pipeline.tables.grid import is_failed
from pipeline.tables.paired import BySeed, compare, differences, holm

LEVEL = 0.05
WIDTH = 120  # of the text
SHOWN = 3  # of many commands


@dataclass(frozen=True)
class Champion:
    """A setting's champion, and the file that holds it."""

    file: Path
    start: Initialisation

    @property
    def setting(self) -> str:
        return str(self.start.about["setting"])

    @property
    def not_separated(self) -> list[dict[str, Any]]:
        """Those that it was compared with, nearest first, of which it may be no better."""
        others: list[dict[str, Any]] = self.start.about["validation"]["others"]
        own = self.start.about["validation"]["error"]
        return [
            other
            for other in others
            if other["error"] is not None and (other["p"] >= LEVEL or other["error"] <= own)
        ]


@dataclass(frozen=True)
class Lacking:
    """A setting in which runs have no weights here, or not those of the grid: label -> seeds."""

    setting: str
    dataset: str
    runs: dict[str, list[int]]


def champion_file(results_dir: Path, setting: str) -> Path:
    """Where the champion of a setting lies."""
    return results_dir / "champions" / f"{setting}.safetensors"


def promote(params: Params, root: Path = Path()) -> tuple[list[Champion], list[Lacking]]:
    """Choose the champion of each setting of the active grid, and write its file.

    A setting whose runs have no weights here keeps the file that it has, if its runs are still
    those of the grid.

    Raises:
        BadInput: without validation tasks, or for data or records that cannot be read.
    """
    torch.set_num_threads(1)
    champions, lacking = [], []
    for setting in params.active.settings:
        found = _chosen(params, setting, root)
        if isinstance(found, Champion):
            found.start.write(found.file)
            champions.append(found)
        else:
            lacking.append(found)
    return champions, lacking


def _chosen(params: Params, setting: str, root: Path) -> Champion | Lacking:
    results = root / "results" / params.grid
    file = champion_file(results, setting)
    recipes = {
        (label, seed): run_recipe(params, label, setting, seed)
        for label in params.active.methods
        for seed in params.active.seeds
    }
    chosen_from = digest({f"{of}": parameters_of(recipe) for of, recipe in recipes.items()})
    runs: dict[str, dict[int, RunRecord]] = {}
    missing: dict[str, list[int]] = {}
    for (label, seed), recipe in recipes.items():
        folder = root / run_folder(params.grid, label, setting, seed)
        run = read_run(folder) if holds_run(folder, recipe) else None
        if run is None or (run.theta is None and not is_failed(run)):
            missing.setdefault(label, []).append(seed)
        else:
            runs.setdefault(label, {})[seed] = run
    if missing:
        kept = Initialisation.read(file) if file.is_file() else None
        if kept is not None and kept.about.get("chosen_from") == chosen_from:
            return Champion(file, kept)
        return Lacking(setting, params.settings[setting].dataset, missing)
    about = {"grid": params.grid, "chosen_from": chosen_from}
    label, seed, validation = _choice(setting, runs, root)
    run = runs[label][seed]
    start = Initialisation.read(run.directory)
    measure = measure_in(run.metrics)
    told = (*measure.metrics, measure.stderr, "n_test_tasks")
    test = {name: run.metrics[name] for name in told if name in run.metrics}
    about |= start.about | {"measure": measure.name, "validation": validation, "test": test}
    return Champion(file, Initialisation(file, start.theta, about))


def _choice(
    setting: str, runs: Mapping[str, Mapping[int, RunRecord]], root: Path
) -> tuple[str, int, dict[str, Any]]:
    """Label and seed of the best, and how it was chosen, as its file says it."""

    @cache
    def inputs(seed: int) -> tuple[Episodes, float]:
        recipe = next(iter(runs.values()))[seed].spec
        tasks = root / f"data/tasks/{recipe['dataset']}.parquet"
        episodes = root / f"data/episodes/{setting}/{seed}.parquet"
        found = load_inputs(recipe, tasks, episodes)
        if not len(found.validation.tasks):
            raise BadInput(
                f"{episodes}: found no validation tasks, by which champions are chosen; needed "
                "some. Raise `data.validation_tasks` in params.yaml and run `snakemake` again."
            )
        return found, target_range(tasks, found)

    candidates: dict[str, BySeed] = {}
    others: dict[str, BySeed] = {}
    for label, by_seed in runs.items():
        if any(is_failed(run) for run in by_seed.values()):
            continue
        candidates[label] = {}
        for seed, run in by_seed.items():
            assert run.theta is not None
            errors = _validation(run.spec, *inputs(seed), torch.as_tensor(run.theta))
            candidates[label][seed] = errors
    if not candidates:
        raise BadInput(
            f"setting '{setting}': found no method that finished in every seed; needed one to "
            "choose. What failed is said in results/GRID/tables/main.md."
        )
    of_any = next(iter(runs.values()))
    for seed, run in of_any.items():
        for name, errors in _references(run.spec, *inputs(seed)):
            others.setdefault(name, {})[seed] = errors
    mean = {label: _mean(errors) for label, errors in (candidates | others).items()}
    best = min(candidates, key=lambda label: mean[label])
    seed = min(candidates[best], key=lambda seed: float(candidates[best][seed].mean()))
    others |= {label: errors for label, errors in candidates.items() if label != best}
    compared = {
        label: compare([differences(candidates[best][seed], errors[seed]) for seed in errors])
        for label, errors in others.items()
    }
    corrected = dict(zip(compared, holm([found.p for found in compared.values()]), strict=True))
    return (
        best,
        seed,
        {
            "error": mean[best],
            "tasks_per_seed": len(candidates[best][seed]),
            "seeds": len(candidates[best]),
            "methods": list(candidates),
            "others": [
                {
                    "label": label,
                    "is_method": label in candidates,
                    "error": _finite(mean[label]),
                    "difference": _finite(compared[label].difference),
                    "p": corrected[label],
                }
                for label in sorted(compared, key=lambda label: mean[label])
            ],
        },
    )


def _validation(
    recipe: Recipe, episodes: Episodes, width: float, theta: torch.Tensor
) -> np.ndarray:
    """Errors (n,) on the validation tasks after K steps; infinite where training diverges."""
    model = model_of(recipe, episodes)
    frozen = FrozenTest(episodes, episodes.validation, target_range=width, like=theta)
    evaluation = recipe["evaluation"]
    rows = frozen.adapted(
        "validation",
        model,
        theta,
        steps=[recipe["inner_steps"]],
        lr=evaluation["learning_rate"],
        optimiser=evaluation["optimiser"],
    )
    if not len(rows):
        return np.full(len(episodes.validation.tasks), np.inf)
    return _errors(rows)


def _errors(rows: pd.DataFrame) -> np.ndarray:
    return rows[measure_in(map(str, rows)).name].to_numpy(np.float64)


def _references(
    recipe: Recipe, episodes: Episodes, width: float
) -> Iterator[tuple[str, np.ndarray]]:
    """The same of the untrained start and of each trivial predictor."""
    model = model_of(recipe, episodes)
    theta = untrained_start(model, recipe, torch.device("cpu"))
    yield UNTRAINED, _validation(recipe, episodes, width, theta)
    frozen = FrozenTest(episodes, episodes.validation, target_range=width, like=theta)
    for name, rows in frozen.trivial().groupby("predictor"):
        yield str(name), _errors(rows)


def _mean(errors: BySeed) -> float:
    return float(np.mean([of_seed.mean() for of_seed in errors.values()]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def champions_text(champions: Sequence[Champion]) -> str:
    """The champions as a table for a terminal, and what they are not separated from."""
    table = Table(box=box.SIMPLE_HEAD)
    for head in (
        "setting",
        "champion",
        "seed",
        "validation",
        "best other",
        "its error",
        "p",
        "test",
    ):
        is_name = head in ("setting", "champion", "best other")
        table.add_column(head, justify="left" if is_name else "right", overflow="fold")
    notes = []
    for champion in champions:
        about = champion.start.about
        validation = about["validation"]
        other = validation["others"][0]
        table.add_row(
            champion.setting,
            about["label"],
            str(about["seed"]),
            f"{validation['error']:.4f}",
            other["label"],
            _number(other["error"]),
            f"{other['p']:.2g}",
            _number(about["test"][about["measure"]]),
        )
        notes.append(_note(champion))
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(table)
    for note in notes:
        console.print(note)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _note(champion: Champion) -> str:
    validation = champion.start.about["validation"]
    seeds, tasks = validation["seeds"], validation["tasks_per_seed"]
    of = f"{tasks} validation tasks" + (f" in each of {seeds} seeds" if seeds > 1 else "")
    like = champion.not_separated
    if not like:
        return f"{champion.setting}: {of}: better than all others."
    named = ", ".join(f"{label_title(o['label'])} (p = {o['p']:.2g})" for o in like[:SHOWN])
    more = f" and {len(like) - SHOWN} others" if len(like) > SHOWN else ""
    worse = [o["label"] for o in like if not o["is_method"]]
    warning = f" No better than {', '.join(worse)}, without meta-learning." if worse else ""
    return f"{champion.setting}: {of}: not separated from {named}{more}.{warning}"


def lacking_text(params: Params, lacking: Sequence[Lacking]) -> str:
    """Which settings have no champion, and the commands that train their runs."""
    grid = params.grid
    if not params.active.keep_evidence:
        names = ", ".join(of.setting for of in lacking)
        return f"{names}: runs are missing or stale: `snakemake --cores 2 --config grid={grid}`"
    lines = [
        "These settings have runs without weights: evidence keeps errors only. Train them, after "
        f"`snakemake data_all --cores 2 --config grid={grid}`:"
    ]
    for of in lacking:
        lines.append(f"{of.setting}: {sum(map(len, of.runs.values()))} runs")
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for label, seeds in of.runs.items():
            by_seeds.setdefault(tuple(seeds), []).append(label)
        for numbers, labels in by_seeds.items():
            command = training_command(grid, of.dataset, labels, of.setting, numbers)
            lines.append(f"  {command}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
