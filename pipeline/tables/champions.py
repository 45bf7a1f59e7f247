"""The champion of each setting: the method whose initialisation does best on validation tasks.

Validation tasks are tasks of meta-training that no run trains on, of each seed its own. A method's
error is the mean over seeds of its mean error on them (nRMSE, of classes log loss) after K steps;
the least wins. The champion is compared with every other method, the untrained start and the
predictors without a network, paired by task and seed (pipeline/tables/paired.py), Holm-corrected
over all of them: where p >= 0.05 it is not separated from the other, and chosen all the same. Test
tasks choose nothing; their errors are written beside the choice.

Of a run that evidence gave back, without weights, the curve still has that mean error, as training
measured it last. So only the run that is chosen has to be trained for its weights; what else has
none is not tested against it, which is said.

Its weights are those of the seed with the least error on its own validation tasks, in

    results/{grid}/champions/{setting}.safetensors

a file of pipeline/runs/initialisation.py, small and for git, with `grid`, `validation` (how it was
chosen), `test` (its run's mean errors) and `chosen_from` (a digest of the parameters of all runs
that were compared: where they still hold, the file stands for runs whose weights are not here).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from pipeline.runs.predictors import predict
from pipeline.runs.recipe import Recipe, digest, parameters_of
from pipeline.runs.records import RunRecord, holds_run, read_run, validation_error
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
            if other["error"] is not None
            and ((other["p"] is not None and other["p"] >= LEVEL) or other["error"] <= own)
        ]


@dataclass(frozen=True)
class Lacking:
    """A setting without a champion.

    Attributes:
        runs: label -> seeds that have no record of the grid here, or, where `is_chosen`, the one
            run that is chosen and has no weights here.
    """

    setting: str
    dataset: str
    runs: dict[str, list[int]]
    is_chosen: bool = False


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
        if run is None:
            missing.setdefault(label, []).append(seed)
        else:
            runs.setdefault(label, {})[seed] = run
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    if missing or any(run.theta is None and not is_failed(run) for run in every):
        kept = Initialisation.read(file) if file.is_file() else None
        if kept is not None and kept.about.get("chosen_from") == chosen_from:
            return Champion(file, kept)
    if missing:
        return Lacking(setting, params.settings[setting].dataset, missing)
    about = {"grid": params.grid, "chosen_from": chosen_from}
    asked = params.predictors_of(params.settings[setting].dataset)
    label, seed, validation = _choice(setting, runs, root, asked)
    run = runs[label][seed]
    if run.theta is None:
        dataset = params.settings[setting].dataset
        return Lacking(setting, dataset, {label: [seed]}, is_chosen=True)
    start = Initialisation.read(run.directory)
    measure = measure_in(run.metrics)
    told = (*measure.metrics, measure.stderr, "n_test_tasks")
    test = {name: run.metrics[name] for name in told if name in run.metrics}
    about |= start.about | {"measure": measure.name, "validation": validation, "test": test}
    return Champion(file, replace(start, path=file, about=about))


def _choice(
    setting: str,
    runs: Mapping[str, Mapping[int, RunRecord]],
    root: Path,
    asked: Sequence[str],
) -> tuple[str, int, dict[str, Any]]:
    """Label and seed of the best, and how it was chosen, as its file says it."""

    @cache
    def inputs(seed: int) -> tuple[Episodes, float]:
        recipe = next(iter(runs.values()))[seed].spec
        tasks = root / f"data/tasks/{recipe['dataset']}.parquet"
        episodes = root / f"data/episodes/{setting}/{seed}.parquet"
        offsets = root / f"data/episodes/{setting}/{seed}.offsets.parquet"
        has_them = "offset" in recipe and offsets.is_file()
        found = load_inputs(recipe, tasks, episodes, offsets if has_them else None)
        if not len(found.validation.tasks):
            raise BadInput(
                f"{episodes}: found no validation tasks, by which champions are chosen; needed "
                "some. Raise `data.validation_tasks` in params.yaml and run `snakemake` again."
            )
        return found, target_range(tasks, found)

    means: dict[str, dict[int, float]] = {}  # of methods
    errors: dict[str, BySeed] = {}  # of each task, where there are weights
    for label, by_seed in runs.items():
        if any(is_failed(run) for run in by_seed.values()):
            continue
        means[label], errors[label] = {}, {}
        for seed, run in by_seed.items():
            if run.theta is None:
                means[label][seed] = _last_measured(run)
                continue
            found = _validation(run.spec, *inputs(seed), torch.as_tensor(run.theta))
            errors[label][seed] = found
            means[label][seed] = float(found.mean())
    if not means:
        raise BadInput(
            f"setting '{setting}': found no method that finished in every seed; needed one to "
            "choose. What failed is said in tables/main.md of the grid."
        )
    mean = {label: float(np.mean([*of.values()])) for label, of in means.items()}
    best = min(mean, key=lambda label: mean[label])
    seed = min(means[best], key=lambda seed: means[best][seed])
    if runs[best][seed].theta is None:
        return best, seed, {}
    for number, run in runs[best].items():
        for name, found in _references(run.spec, *inputs(number), asked):
            errors.setdefault(name, {})[number] = found
    mean |= {name: _mean(of) for name, of in errors.items() if name not in means}
    others = [label for label in mean if label != best]
    tested = {
        label: compare([differences(errors[best][s], errors[label][s]) for s in common])
        for label in others
        if (common := [s for s in errors[best] if s in errors[label]])
    }
    p = dict(zip(tested, holm([found.p for found in tested.values()]), strict=True))
    return (
        best,
        seed,
        {
            "error": mean[best],
            "tasks_per_seed": len(errors[best][seed]),
            "seeds": len(means[best]),
            "methods": list(means),
            "others": [
                {
                    "label": label,
                    "is_method": label in means,
                    "error": _finite(mean[label]),
                    "difference": _finite(
                        tested[label].difference if label in tested else mean[best] - mean[label]
                    ),
                    "p": p.get(label),
                }
                for label in sorted(others, key=lambda label: mean[label])
            ],
        },
    )


def _last_measured(run: RunRecord) -> float:
    """A run's mean error on its validation tasks at the end of training, infinite if undefined."""
    last = validation_error(run)
    return last if np.isfinite(last) else np.inf


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
    recipe: Recipe, episodes: Episodes, width: float, asked: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The same of the untrained start and of each predictor, those that are asked for among them.

    These have fitted what little they choose to the very tasks.
    """
    model = model_of(recipe, episodes)
    theta = untrained_start(model, recipe, torch.device("cpu"))
    yield UNTRAINED, _validation(recipe, episodes, width, theta)
    frozen = FrozenTest(episodes, episodes.validation, target_range=width, like=theta)
    for name, rows in frozen.trivial().groupby("predictor"):
        yield str(name), _errors(rows)
    for name in asked:
        yield name, _errors(frozen.rows(name, 0, predict(name, episodes, episodes.validation)))


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
            "" if other["p"] is None else f"{other['p']:.2g}",
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
    untested = [label_title(o["label"]) for o in validation["others"] if o["p"] is None]
    if untested:
        of += f" (not tested against {', '.join(untested)}, whose weights are not here)"
    if not like:
        return f"{champion.setting}: {of}: better than all {'tested' if untested else 'others'}."
    named = ", ".join(f"{label_title(o['label'])}{_p(o['p'])}" for o in like[:SHOWN])
    more = f" and {len(like) - SHOWN} others" if len(like) > SHOWN else ""
    worse = [o["label"] for o in like if not o["is_method"]]
    warning = f" No better than {', '.join(worse)}, without meta-learning." if worse else ""
    return f"{champion.setting}: {of}: not separated from {named}{more}.{warning}"


def _p(value: float | None) -> str:
    return "" if value is None else f" (p = {value:.2g})"


def lacking_text(params: Params, lacking: Sequence[Lacking]) -> str:
    """Which settings have no champion, and the commands that train their runs."""
    grid, lines = params.grid, []
    if names := [of.setting for of in lacking if not of.is_chosen]:
        command = f"snakemake --cores 2 --config grid={grid}"
        lines.append(f"{', '.join(names)}: runs are missing or stale: `{command}`")
    if chosen := [of for of in lacking if of.is_chosen]:
        lines.append(
            "Of these settings the chosen run has no weights here: evidence keeps errors only. "
            "Train it, and promote again; the evidence stays as it is:"
        )
        lines.append(f"  snakemake data_all --cores 2 --config grid={grid}")
    for of in chosen:
        ((label, (seed,)),) = of.runs.items()
        lines.append(f"  {training_command(grid, of.dataset, label, of.setting, seed)}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
