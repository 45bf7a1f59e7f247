"""What decides that a run, or whatever else a grid makes, is stale: `fault_of`.

All artifacts of a grid are listed here, with the recipe that each should carry: what it is made
from (pipeline/jobs/recipes.py). Whether it does decides, and nothing else: no modification time, no
memory of an earlier run.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.data.schemas import metadata_in
from pipeline.jobs import recipes
from pipeline.runs.recipe import Recipe
from pipeline.seals import listed_fault, parse_sealed, seal_fault, sealed_bytes

RUN_FILES = ("curve.parquet", "test_rows.parquet", "meta_init.safetensors", "metrics.json")


@dataclass(frozen=True)
class Artifact:
    """What one job makes.

    Attributes:
        recipe: that it should carry.
        files: that it consists of; the last one carries the recipe.
        output: what Snakemake asks for: the last file, or that of the block of a run's seed.
        inputs: files it is made from.
    """

    recipe: Recipe
    files: tuple[Path, ...]
    output: Path
    inputs: tuple[Path, ...] = ()


def grid_artifacts(params: Params, root: Path = Path()) -> list[Artifact]:
    """All of the active grid, inputs before what is made of them."""
    records = [*_references(params), *_runs(params), *_measurements(params)]
    return [*_data(params), *records, *_views(params, records, root)]


def run_folder(grid: str, label: str, setting: str, seed: int) -> Path:
    """The folder of one run's record."""
    return Path(f"results/{grid}/runs/{label}/{setting}/{seed}")


def block_file(grid: str, label: str, setting: str, block: int) -> Path:
    """What a training job leaves beside the records of its seeds."""
    return Path(f"results/{grid}/runs/{label}/{setting}/block_{block}.json")


def seed_blocks(seeds: Iterable[int], size: int) -> dict[int, list[int]]:
    """Seeds by block: block b has the given seeds among b size, ..., (b + 1) size - 1.

    A seed's block depends on no other seed, so that another seed in the grid changes the job of
    its own block only.
    """
    blocks: dict[int, list[int]] = {}
    for seed in sorted(seeds):
        blocks.setdefault(seed // size, []).append(seed)
    return blocks


def fault_of(artifact: Artifact, root: Path = Path()) -> str | None:
    """Why an artifact is not what it should be; None when it is.

    Of a fault of one file its name comes first.
    """
    missing = [path.name for path in artifact.files if not (root / path).exists()]
    if missing:
        return f"no {', '.join(missing)}"
    *others, carrier = (root / path for path in artifact.files)
    data = carrier.read_bytes()
    if fault := seal_fault(data):
        return f"{carrier.name}: {fault}"
    found, listed = carried_in(carrier, data)
    if found is None:
        return "carries no readable recipe"
    keys = sorted(found.keys() | artifact.recipe.keys())
    differing = [key for key in keys if found.get(key) != artifact.recipe.get(key)]
    if differing:
        return f"made with another {', '.join(differing)}"
    for path in others:
        if path.suffix in SEALED and (fault := seal_fault(path.read_bytes())):
            return f"{path.name}: {fault}"
    return listed_fault(carrier.parent, listed) or _lost(root, data, carrier)


SEALED = (".parquet", ".json", ".safetensors")
LISTED = "files"  # digests of files that cannot carry a seal, beside the recipe
STORED = "stored"  # sizes of files of the MLflow store, by path from the project's folder


def _lost(root: Path, data: bytes, carrier: Path) -> str | None:
    """Which file of the MLflow store is gone or has another size, of those that were logged."""
    if carrier.name != "tracking.json":
        return None
    for name, size in parse_sealed(data).get(STORED, {}).items():
        try:
            found = (root / name).stat().st_size
        except OSError:
            return f"no {name}"
        if found != size:
            return f"{name} has {found} bytes, not {size}"
    return None


def carried_recipe(path: Path) -> Recipe | None:
    """The recipe that a file carries; None when it has none or is damaged."""
    try:
        return carried_in(path, sealed_bytes(path))[0]
    except (OSError, ValueError):
        return None


def carried_in(path: Path, data: bytes) -> tuple[Recipe | None, dict[str, str]]:
    """The recipe in the bytes of a file, and the digests of files beside it."""
    listed: dict[str, str] = {}
    try:
        if path.suffix == ".parquet":
            recipe = json.loads(metadata_in(path, data)["spec"])
        else:
            held = parse_sealed(data)
            listed = held.pop(LISTED, {})
            recipe = held if path.name == "spec.json" else held["spec"]
    except (ValueError, KeyError, TypeError):
        return None, {}
    return (recipe if isinstance(recipe, dict) else None), listed


def _data(params: Params) -> Iterator[Artifact]:
    active = params.active
    for dataset in sorted({params.settings[setting].dataset for setting in active.settings}):
        tasks = Path(f"data/tasks/{dataset}.parquet")
        inputs: tuple[Path, ...] = ()
        kind = params.kind_of(dataset)
        if kind == "table":
            inputs = (recipes.own_file(params, dataset),)
        if kind == "ratings":
            ratings = Path(f"data/ratings/{dataset}.parquet")
            if params.has_archive(dataset):
                source = Path(f"data/raw/{dataset}.zip")
                carrier = source.with_suffix(".json")
                yield Artifact(recipes.archive_recipe(params, dataset), (source, carrier), source)
            else:
                source = recipes.own_file(params, dataset)
            yield Artifact(recipes.ratings_recipe(params, dataset), (ratings,), ratings, (source,))
            inputs = (ratings,)
        yield Artifact(recipes.tasks_recipe(params, dataset), (tasks,), tasks, inputs)
    for setting in active.settings:
        tasks = Path(f"data/tasks/{params.settings[setting].dataset}.parquet")
        for seed in active.seeds:
            episodes = Path(f"data/episodes/{setting}/{seed}.parquet")
            recipe = recipes.episodes_recipe(params, setting, seed)
            yield Artifact(recipe, (episodes,), episodes, (tasks,))
            for offsets in _offsets(params, setting, seed):
                recipe = recipes.offsets_recipe(params, setting, seed)
                yield Artifact(recipe, (offsets,), offsets, (tasks, episodes))


def _runs(params: Params) -> Iterator[Artifact]:
    active = params.active
    block_of = {
        seed: block
        for block, seeds in seed_blocks(active.seeds, active.seeds_per_job).items()
        for seed in seeds
    }
    for setting in active.settings:
        tasks = Path(f"data/tasks/{params.settings[setting].dataset}.parquet")
        for label in active.methods:
            for seed in active.seeds:
                folder = run_folder(params.grid, label, setting, seed)
                yield Artifact(
                    recipes.run_recipe(params, label, setting, seed),
                    tuple(folder / name for name in (*RUN_FILES, "spec.json")),
                    block_file(params.grid, label, setting, block_of[seed]),
                    (
                        tasks,
                        Path(f"data/episodes/{setting}/{seed}.parquet"),
                        *_offsets(params, setting, seed),
                    ),
                )


def _references(params: Params) -> Iterator[Artifact]:
    for setting in params.active.settings:
        tasks = Path(f"data/tasks/{params.settings[setting].dataset}.parquet")
        for seed in params.active.seeds:
            file = Path(f"results/{params.grid}/reference/{setting}/{seed}.parquet")
            episodes = Path(f"data/episodes/{setting}/{seed}.parquet")
            recipe = recipes.reference_recipe(params, setting, seed)
            inputs = (tasks, episodes, *_offsets(params, setting, seed))
            yield Artifact(recipe, (file,), file, inputs)


def _offsets(params: Params, setting: str, seed: int) -> tuple[Path, ...]:
    """The file of a setting's offsets, where it has some."""
    has_them = params.settings[setting].offset
    return (Path(f"data/episodes/{setting}/{seed}.offsets.parquet"),) if has_them else ()


def _measurements(params: Params) -> Iterator[Artifact]:
    results = Path(f"results/{params.grid}")
    for label in params.active.methods:
        file = results / "profile" / f"{label}.json"
        yield Artifact(recipes.profile_recipe(params, label), (file,), file)
    for name in params.active.studies.names:
        file = results / "studies" / f"{name}.json"
        yield Artifact(recipes.study_recipe(params, name), (file,), file)


def _views(params: Params, records: list[Artifact], root: Path) -> Iterator[Artifact]:
    """Tables, figures, the page, and the note of what was replayed into MLflow."""
    results = Path(f"results/{params.grid}")
    tables = recipes.tables_recipe(params, [record.recipe for record in records], root)
    figures = recipes.figures_recipe(params, tables)
    page = recipes.report_recipe(params, tables, figures, root)
    tracking = recipes.tracking_recipe(params, tables, figures)
    made, drawn = results / "tables/spec.json", results / "figures/spec.json"
    every = tuple(dict.fromkeys(record.output for record in records))
    shown = tuple(Path(f"data/tasks/{name}.parquet") for name in figures["tasks"])
    for recipe, files, inputs in (
        (tables, (made,), every),
        (figures, (drawn,), (made, *shown)),
        (page, (results / "report.html", results / "report.json"), (made, drawn)),
        (tracking, (*_store(params), results / "tracking.json"), (*every, made, drawn)),
    ):
        yield Artifact(recipe, files, files[-1], inputs)


def _store(params: Params) -> tuple[Path, ...]:
    """Files of the MLflow store; none of a server."""
    name = params.tracking.uri.removeprefix("sqlite:///")
    if name == params.tracking.uri:
        return ()
    return Path(name), Path(name).with_name("mlartifacts")
