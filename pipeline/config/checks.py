"""Combinations of parameters that cannot work, though each is sound by itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.config.messages import explain
from pipeline.config.titles import tuned
from pipeline.data.sources import SOURCES

if TYPE_CHECKING:
    from pipeline.config.schema import Grid, Params, Setting


def combination_faults(params: "Params") -> list[str]:
    """One line per fault: key, value found, what is allowed."""
    faults = []
    if params.grid not in params.grids:
        faults.append(f"grid: found '{params.grid}', allowed: {', '.join(params.grids)}")
    if params.data.min_ratings > params.data.items:
        faults.append(
            f"data.min_ratings: found {params.data.min_ratings}, but only data.items = "
            f"{params.data.items} items are kept; lower it"
        )
    for name, grid in params.grids.items():
        faults += _name_faults(f"grids.{name}", grid, params)
        faults += _study_faults(f"grids.{name}.studies", grid, params)
        faults += _replacement_faults(f"grids.{name}", grid, params)
        faults += _synthetic_faults(f"grids.{name}", grid, params)
        if grid.keep_evidence and grid.seeds_per_job < 2:
            faults.append(
                f"grids.{name}.seeds_per_job: found {grid.seeds_per_job}, but a grid with "
                "keep_evidence needs at least 2 (also for a single seed): only jobs of blocks "
                "leave restored runs as they are"
            )
    for label in params.methods:
        faults += _label_faults(label, params)
    for name, setting in params.settings.items():
        faults += _row_faults(f"settings.{name}", setting, params)
        faults += _threshold_faults(f"settings.{name}", setting, params)
    used = {setting.dataset for setting in params.settings.values()}
    for dataset in sorted(used & SOURCES.keys()):
        there = params.simulated.items if dataset == "simulated" else SOURCES[dataset].n_items
        if there is not None and there < params.data.items:
            faults.append(
                f"data.items: found {params.data.items}, but {dataset} has {there} items; "
                f"lower it{' or raise simulated.items' if dataset == 'simulated' else ''}"
            )
    return faults


def _name_faults(where: str, grid: "Grid", params: "Params") -> Iterator[str]:
    """Names that nothing defines, and what stands there twice."""
    for kind, used, known in (
        ("methods", grid.methods, params.methods),
        ("settings", grid.settings, params.settings),
    ):
        for entry in used:
            if entry not in known:
                yield (
                    f"{where}.{kind}: found '{entry}', which has no entry under `{kind}`; "
                    f"allowed: {', '.join(known)}"
                )
    for entry in grid.companions:
        others = [name for name in params.grids if params.grids[name] is not grid]
        if entry not in others:
            yield (
                f"{where}.companions: found '{entry}', which is no other grid; "
                f"allowed: {', '.join(others)}"
            )
    lists: dict[str, list] = {
        "companions": grid.companions,
        "seeds": grid.seeds,
        "methods": grid.methods,
        "settings": grid.settings,
        "profile.inner_steps": grid.profile.inner_steps,
    }
    for kind, values in lists.items():
        if len(set(values)) != len(values):
            yield f"{where}.{kind}: found {values}, each may stand there once"


def _label_faults(label: str, params: "Params") -> Iterator[str]:
    """A label that says a value which its entry does not have."""
    if not (found := tuned(label)):
        return
    method, parameter, said = found
    entry = params.methods[label]
    has = getattr(entry, parameter, getattr(entry.training, parameter, None))
    try:
        agrees = has is not None and float(said) == float(has)
    except ValueError:
        agrees = False
    if not agrees:
        key = parameter if parameter == "omega" else f"training.{parameter}"
        yield f"methods.{label}: found {key} = {has}, needed the {said} that its name says"
    if method not in params.methods:
        yield (
            f"methods.{label}: found no entry '{method}', which its name says it varies; "
            f"allowed: {', '.join(params.methods)}"
        )


def _study_faults(where: str, grid: "Grid", params: "Params") -> Iterator[str]:
    """Methods that a study needs and nothing defines."""
    studies = grid.studies
    needed = {name: ["amaml", "amaml_rkc"] for name in studies.names}
    for name in ("fidelity", "noise"):
        if (study := getattr(studies, name)) is not None:
            needed[name] = ["amaml_rkc", *study.methods]
    for name, labels in needed.items():
        for label in labels:
            if label not in params.methods:
                yield (
                    f"{where}.{name}: found no entry '{label}' under `methods`, which the study "
                    f"needs; allowed: {', '.join(params.methods)}"
                )


def _replacement_faults(where: str, grid: "Grid", params: "Params") -> Iterator[str]:
    """Values with which a grid replaces others, and which do not fit there."""
    for kind, base, given in (
        ("training", params.training, grid.training),
        ("evaluation", params.evaluation, grid.evaluation),
    ):
        try:
            type(base).model_validate(base.model_dump() | given)
        except ValidationError as error:
            yield from (f"{where}.{kind}.{line}" for line in explain(error, type(base)))


def _synthetic_faults(where: str, grid: "Grid", params: "Params") -> Iterator[str]:
    """More seeds or tasks than the synthetic families have."""
    synthetic = params.synthetic
    used = [params.settings[entry] for entry in grid.settings if entry in params.settings]
    if not any(setting.is_synthetic for setting in used):
        return
    if max(grid.seeds) >= synthetic.seeds:
        yield (
            f"{where}.seeds: found {max(grid.seeds)}, but synthetic.seeds = {synthetic.seeds} "
            f"draws seeds 0..{synthetic.seeds - 1} only; raise synthetic.seeds"
        )
    left = synthetic.train_tasks - params.data.validation_tasks
    given = {where: grid.training.get("meta_batch", params.training.meta_batch)}
    # of the grid that is run: a smaller trial of another need not make room for it
    active = params.grids.get(params.grid) is grid
    for label in grid.methods if active else ():
        own = params.methods[label].training.meta_batch if label in params.methods else None
        if own is not None:
            given[f"methods.{label}, used in {where}"] = own
    for place, meta_batch in given.items():
        if not isinstance(meta_batch, int) or meta_batch <= left:
            continue
        yield (
            f"{place}: found a meta-batch of {meta_batch} tasks, but synthetic.train_tasks = "
            f"{synthetic.train_tasks} less data.validation_tasks = {params.data.validation_tasks} "
            f"leaves {left}; raise synthetic.train_tasks or lower training.meta_batch"
        )


def _threshold_faults(where: str, setting: "Setting", params: "Params") -> Iterator[str]:
    """A threshold of a setting's own that the task set cannot give."""
    data = params.data
    if setting.min_ratings is None or data.min_ratings <= setting.min_ratings <= data.items:
        return
    yield (
        f"{where}.min_ratings: found {setting.min_ratings}, allowed: data.min_ratings = "
        f"{data.min_ratings}, with which tasks are made, to data.items = {data.items}; null: the "
        "former"
    )


def _row_faults(where: str, setting: "Setting", params: "Params") -> Iterator[str]:
    """Shots that no task of the data set can give."""
    needs = {"support + query": setting.support + setting.query}
    rows, source = params.data.items, "data.items"
    if setting.is_synthetic:
        rows, source = params.synthetic.points, "synthetic.points"
        needs["support + synthetic.evaluation_points"] = (
            setting.support + params.synthetic.evaluation_points
        )
    for what, need in needs.items():
        if need > rows:
            yield (
                f"{where}: {what} = {need} rows, but a task of {setting.dataset} has at most "
                f"{rows} ({source}); lower the shots or raise {source}"
            )
