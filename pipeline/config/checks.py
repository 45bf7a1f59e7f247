"""Combinations of parameters that cannot work, though each is sound by itself.

The checks get the parsed object: its classes are above them.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pipeline.config.card import NAME
from pipeline.config.grids import DATASETS, Grid, grid_file
from pipeline.config.measures import measure_of
from pipeline.config.messages import explain, not_among
from pipeline.config.methods import METHODS, TRAINS_STUDIES, WAYS
from pipeline.config.predictors import KINDS, PREDICTORS
from pipeline.data.sets import SOURCES


def combination_faults(params: Any, where: str) -> list[str]:
    """One line per fault: file, key, value found, what is allowed.

    Args:
        params: a parsed `Params`.
        where: the parameter file.
    """
    faults = [f"{where}: {fault}" for fault in _file_faults(params, where)]
    for name, grid in params.grids.items():
        found = [
            *_name_faults(name, grid, params),
            *_measure_faults(grid, params),
            *_predictor_faults(grid, params),
            *_study_faults(grid, params),
            *_replacement_faults(grid, params),
            *_synthetic_faults(name, grid, params),
            *(fault for setting in grid.settings for fault in _setting_faults(setting, params)),
        ]
        faults += [f"{grid_file(where, name)}: {fault}" for fault in found]
    return faults


def _file_faults(params: Any, where: str) -> Iterator[str]:
    """What is wrong with the parameter file."""
    for name in params.grids:
        if not re.fullmatch(NAME, name):
            yield f"grid: found a file '{name}.yaml'; names have letters, digits, `._-` only"
    if params.grid not in params.grids:
        folder = grid_file(where, "NAME")
        yield f"grid: {not_among(params.grid, params.grids, f'no file {folder}')}"
    for label, method in params.methods.items():
        if method.rates and METHODS[method.method].first_order:
            yield (
                f"methods.{label}.rates: found '{method.rates}', but {method.method} has no "
                "derivative by the inner rates; take another method, or leave rates out"
            )
    data = params.data
    if data.min_ratings > data.items:
        yield (
            f"data.min_ratings: found {data.min_ratings}, but only data.items = {data.items} "
            "items are kept; lower it"
        )
    for dataset, entry in params.datasets.items():
        if dataset in DATASETS:
            yield f"datasets: found '{dataset}', the name of a data set that is there; rename it"
        if isinstance(entry.model, str) and entry.model not in params.models:
            what = "no entry under `models`"
            yield f"datasets.{dataset}.model: {not_among(entry.model, params.models, what)}"
    used = {setting.dataset for setting in params.settings.values()}
    for dataset in sorted(used & SOURCES.keys()):
        there = params.simulated.items if SOURCES[dataset].simulated else SOURCES[dataset].n_items
        if there is not None and there < data.items:
            yield (
                f"data.items: found {data.items}, but {dataset} has {there} items; "
                f"lower it{' or raise simulated.items' if SOURCES[dataset].simulated else ''}"
            )


def _measure_faults(grid: Grid, params: Any) -> Iterator[str]:
    """Settings whose errors are not of one kind: a grid's tables have one set of columns."""
    found: dict[str, str] = {}
    for setting in grid.settings:
        if setting in params.settings:
            dataset = params.settings[setting].dataset
            found.setdefault(measure_of(params.loss_of(dataset)).title, dataset)
    if len(found) > 1:
        listed = " and ".join(f"{dataset} ({title})" for title, dataset in found.items())
        yield f"settings: found data of numbers and of classes, {listed}; give each a grid"


def _predictor_faults(grid: Grid, params: Any) -> Iterator[str]:
    """Predictors of a kind of data that the grid does not have."""
    datasets = {params.settings[name].dataset for name in grid.settings if name in params.settings}
    for name in grid.predictors:
        if not any(params.predicts(name, dataset) for dataset in datasets):
            kinds = " or ".join(KINDS[kind] for kind in PREDICTORS[name].of)
            yield (
                f"predictors: found '{name}', which predicts {kinds}, and no setting has such "
                "data; leave it out"
            )


def _name_faults(name: str, grid: Grid, params: Any) -> Iterator[str]:
    """Companions that nothing defines, what stands there twice, and blocks of one seed."""
    others = [other for other in params.grids if other != name]
    for entry in grid.companions:
        if entry not in others:
            yield f"companions: {not_among(entry, others, 'no other grid')}"
    lists: dict[str, list] = {
        "companions": grid.companions,
        "seeds": grid.seeds,
        "methods": grid.methods,
        "predictors": grid.predictors,
        "settings": grid.settings,
        "profile.inner_steps": grid.profile.inner_steps,
    }
    for kind, values in lists.items():
        if len(set(values)) != len(values):
            yield f"{kind}: found {values}, each may stand there once"
    if grid.keep_evidence and grid.seeds_per_job < 2:
        yield (
            f"seeds_per_job: found {grid.seeds_per_job}, but a grid with keep_evidence needs at "
            "least 2 (also for a single seed): only jobs of blocks leave restored runs as they are"
        )


def _study_faults(grid: Grid, params: Any) -> Iterator[str]:
    """Methods that a study needs and nothing defines."""
    studies = grid.studies
    needed = {name: [TRAINS_STUDIES.name] for name in studies.names}
    for name in studies.names:
        if name == "stability":
            needed[name] += [card.name for card, _ in WAYS.values()]
        else:
            needed[name] += getattr(studies, name).methods
    for name, labels in needed.items():
        for label in dict.fromkeys(labels):
            if label not in params.methods:
                what = "no entry under `methods`, which the study needs"
                yield f"studies.{name}: {not_among(label, params.methods, what)}"


def _replacement_faults(grid: Grid, params: Any) -> Iterator[str]:
    """Values with which a grid replaces others, and which do not fit there."""
    for kind in ("training", "evaluation"):
        base, given = getattr(params, kind), getattr(grid, kind)
        try:
            type(base).model_validate(base.model_dump() | given)
        except ValidationError as error:
            yield from (f"{kind}.{line}" for line in explain(error, type(base)))
            continue
        if kind == "training":
            yield from _outer_loop_faults(type(base).model_validate(base.model_dump() | given))


def _outer_loop_faults(training: Any) -> Iterator[str]:
    """Values of the outer loop that do not go together."""
    if training.keep == "average" and training.average is None:
        yield (
            "training.keep: found 'average', but training.average is null; give the decay of the "
            "average, 0.99 say, or keep: last"
        )
    if training.warm_up > training.meta_updates:
        yield (
            f"training.warm_up: found {training.warm_up}, above the {training.meta_updates} of "
            "training.meta_updates; lower it"
        )
    if training.weight_decay and training.outer_optimiser == "rprop":
        yield "training.weight_decay: rprop has none; take adamw, or leave weight_decay out"


def _synthetic_faults(name: str, grid: Grid, params: Any) -> Iterator[str]:
    """More seeds or tasks than the synthetic families have."""
    synthetic = params.synthetic
    if not any(params.settings[setting].is_synthetic for setting in grid.settings):
        return
    if max(grid.seeds) >= synthetic.seeds:
        yield (
            f"seeds: found {max(grid.seeds)}, but synthetic.seeds = {synthetic.seeds} "
            f"draws seeds 0..{synthetic.seeds - 1} only; raise synthetic.seeds"
        )
    drawn = [params.settings[name] for name in grid.settings if params.settings[name].is_synthetic]
    validation = max(of.validation_tasks or params.data.validation_tasks for of in drawn)
    left = synthetic.train_tasks - validation
    given = {"training.meta_batch": grid.training.get("meta_batch", params.training.meta_batch)}
    # of the grid that is run: a smaller trial of another need not make room for it
    for label in grid.methods if params.grid == name else ():
        if (own := params.methods[label].training.meta_batch) is not None:
            given[label] = own
    for setting, methods in grid.own_training.items() if params.grid == name else ():
        for label, training in methods.items():
            if params.settings[setting].is_synthetic and training.meta_batch is not None:
                given[f"settings: {setting}: training.{label}"] = training.meta_batch
    for place, meta_batch in given.items():
        if isinstance(meta_batch, int) and meta_batch > left:
            yield (
                f"{place}: found a meta-batch of {meta_batch} tasks, but synthetic.train_tasks = "
                f"{synthetic.train_tasks} less {validation} validation tasks "
                f"leaves {left}; raise synthetic.train_tasks or "
                "lower the meta-batch"
            )


def _setting_faults(name: str, params: Any) -> Iterator[str]:
    """Shots that no task of the data set can give, and a threshold below that of its tasks."""
    setting, data = params.settings[name], params.data
    needs = {"support + query": setting.support + setting.query}
    rows, source = data.items, "data.items"
    if setting.dataset in params.datasets:
        needs = {}  # its tasks are not known before its file is read
    if setting.is_synthetic:
        rows, source = params.synthetic.points, "synthetic.points"
        needs["support + synthetic.evaluation_points"] = (
            setting.support + params.synthetic.evaluation_points
        )
    for what, need in needs.items():
        if need > rows:
            yield (
                f"settings: {name}: {what} = {need} rows, but a task of {setting.dataset} has at "
                f"most {rows} ({source}); lower the shots or raise {source}"
            )
    if setting.offset is not None and not params.predicts(setting.offset, setting.dataset):
        yield (
            f"settings: {name}: found offset '{setting.offset}', but {setting.dataset} has no "
            "ratings; leave offset out"
        )
    own = setting.min_ratings
    if own is not None and not data.min_ratings <= own <= data.items:
        yield (
            f"settings: {name}: found min_ratings = {own}, allowed: data.min_ratings = "
            f"{data.min_ratings}, with which tasks are made, to data.items = {data.items}"
        )
