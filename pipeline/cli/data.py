"""Commands from archives to frozen episodes."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import (
    ParamsFile,
    Seed,
    Setting,
    Spec,
    given_or,
    parameters,
    refuse_others,
    take,
    tell_made,
)
from pipeline.errors import BadInput

DatasetName = Annotated[
    str,
    typer.Argument(help="a card in pipeline/data/sets/ or families/, or an entry of `datasets`"),
]
Out = Annotated[Path, typer.Argument(help="file to write")]


def download(
    dataset: DatasetName,
    out: Out,
    raw_dir: Annotated[
        Path | None, typer.Option(help="folder of archives put there by hand; looked at first")
    ] = None,
    retries: Annotated[int, typer.Option(min=1, help="tries per address")] = 3,
    timeout: Annotated[float, typer.Option(help="seconds without an answer")] = 30.0,
    allow_unverified_tls: Annotated[
        bool, typer.Option(help="last of all, without verifying certificates")
    ] = False,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Put a raw archive in place: from a local folder, else from its official addresses."""
    from pipeline.data.download import obtain
    from pipeline.jobs.recipes import archive_recipe
    from pipeline.seals import digests, write_sealed

    source = _source(dataset)
    recipe = given_or(spec, archive_recipe, params, dataset)
    simulated = None
    if source.simulated:
        simulated = take(recipe, "simulated")["simulated"]
    place = obtain(
        source,
        out,
        raw_dir=raw_dir,
        retries=retries,
        timeout_s=timeout,
        allow_unverified_tls=allow_unverified_tls,
        simulated=simulated,
    )
    # beside it: what it was got for, and which bytes came
    write_sealed(
        out.with_suffix(".json"), {"spec": recipe, "files": digests([out]), "source": place}
    )
    tell_made(out)


def build_ratings(
    dataset: DatasetName,
    archive: Annotated[Path, typer.Argument(help="raw archive, or an own file of ratings")],
    out: Out,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Parse an archive, verify every rating and the fingerprint, write a ratings parquet.

    Of an own file the fingerprint is recorded.
    """
    from pipeline.data import own_tasks, ratings
    from pipeline.data.sets import SOURCES
    from pipeline.jobs.recipes import ratings_recipe

    _refuse_unknown(dataset, SOURCES, spec, params)
    recipe = given_or(spec, ratings_recipe, params, dataset)
    if "own" in recipe:
        given = _own(recipe, ratings=archive)
        summary = own_tasks.build_own_ratings(given, out, metadata=_metadata(recipe))
    else:
        source = _source(dataset)
        summary = ratings.build_ratings(source, archive, out, metadata=_metadata(recipe))
    shown = {name: value for name, value in summary.items() if not name.endswith("_names")}
    typer.echo(f"{out}: {shown}")


def build_tasks(
    dataset: DatasetName,
    out: Out,
    source: Annotated[
        Path | None, typer.Option(help="ratings parquet (rating data), or an own table")
    ] = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Turn ratings into tasks (one user, one task), read an own table, or draw a family."""
    from pipeline.config.grids import DATASETS
    from pipeline.data import own_tasks, task_sets
    from pipeline.data.families import FAMILIES
    from pipeline.jobs.recipes import tasks_recipe

    _refuse_unknown(dataset, DATASETS, spec, params)
    recipe = given_or(spec, tasks_recipe, params, dataset)
    metadata = _metadata(recipe)
    if dataset in FAMILIES:
        settings = take(recipe, "n_train", "n_test", "points")
        seeds = list(range(take(recipe, "seeds")["seeds"]))
        task_sets.build_synthetic_tasks(dataset, out, seeds=seeds, **settings, metadata=metadata)
    elif source is None:
        raise BadInput(
            f"--source: missing; {dataset} is made from its ratings parquet, or from an own table"
        )
    elif "own" in recipe:
        own_tasks.build_table_tasks(_own(recipe, table=source), out, metadata=metadata)
    else:
        settings = take(recipe, "n_items", "min_ratings")
        task_sets.build_rating_tasks(source, out, **settings, metadata=metadata)
    tell_made(out)


def freeze_episodes(
    tasks: Annotated[Path, typer.Argument(help="task-set parquet")],
    out: Out,
    setting: Setting = None,
    seed: Seed = 0,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Draw meta-train, validation and meta-test tasks and freeze their rows."""
    from pipeline.data import episodes
    from pipeline.jobs.recipes import episodes_recipe

    recipe = given_or(spec, episodes_recipe, params, seed, setting=setting)
    settings = take(recipe, "seed", "support", "query", "validation_tasks", "standardise")
    settings |= {name: recipe[name] for name in ("scaling", "min_ratings") if name in recipe}
    # rating data have a number of test tasks, synthetic families one of query points
    test: list[str] = [name for name in ("test_tasks", "evaluation_points") if name in recipe]
    settings |= take(recipe, *(test or ("test_tasks or evaluation_points",)))
    episodes.freeze_episodes(tasks, out, **settings, metadata=_metadata(recipe))
    tell_made(out)


def fit_offsets(
    tasks: Annotated[Path, typer.Argument(help="task-set parquet of ratings")],
    episodes: Annotated[Path, typer.Argument(help="frozen-episodes parquet")],
    out: Out,
    setting: Setting = None,
    seed: Seed = 0,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit the Gaussian models of the items that a setting's offsets are of."""
    from pipeline.jobs.recipes import offsets_recipe
    from pipeline.runs import offsets

    recipe = given_or(spec, offsets_recipe, params, seed, setting=setting)
    offsets.fit_offsets(tasks, episodes, out, metadata=_metadata(recipe))
    tell_made(out)


def _source(dataset: str) -> Any:
    from pipeline.data.sets import SOURCES

    refuse_others("data set", dataset, SOURCES)
    return SOURCES[dataset]


def _refuse_unknown(dataset: str, cards: Collection[str], spec: str | None, params: Path) -> None:
    """Refuse a data set that has neither a card nor an entry of `datasets`."""
    if dataset not in cards and not spec:
        own = parameters(params).datasets if params.is_file() else {}
        refuse_others("data set", dataset, [*cards, *own])


def _own(recipe: dict[str, Any], **file: Path) -> Any:
    """An entry of `datasets` that a recipe holds, with the file that a command was given."""
    from pipeline.config.own_data import RatingsEntry, TableEntry

    kind = RatingsEntry if "ratings" in file else TableEntry
    path = {name: str(value) for name, value in file.items()}
    return kind.model_validate(recipe["own"] | path).named(recipe["dataset"])


def _metadata(recipe: dict[str, Any]) -> dict[str, str]:
    from pipeline.runs.recipe import canonical

    return {"spec": canonical(recipe)}


COMMANDS = (download, build_ratings, build_tasks, freeze_episodes, fit_offsets)
