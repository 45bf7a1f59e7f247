"""What each artifact was made from: the recipe that is stored in it.

A recipe is a JSON mapping of exactly the parameters a job uses, a digest of the code it
depends on, and the digest of the recipe of its input. Snakemake gets it as a rule parameter,
the artifact carries it (`spec.json`, the key `spec`, or the parquet schema metadata under
`spec`), and pipeline/jobs/artifacts.py compares the two. This module imports neither torch nor
pandas, so that a workflow with hundreds of jobs parses in a moment.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config.methods import BUDGET, METHODS, TRAINS_STUDIES, WAYS
from pipeline.config.own_data import NOT_OF_THE_FILE, RatingsEntry
from pipeline.config.schema import DEFAULT_STORE, Params
from pipeline.config.schema import USUAL_TRAINING as USUAL
from pipeline.config.studies import STUDIES
from pipeline.data.cards import OF_CLASSES
from pipeline.data.families import MODULES as FAMILY_MODULES
from pipeline.data.families import PROFILED
from pipeline.data.sets import MODULES as SET_MODULES
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.jobs.code import code_digest, texts_digest
from pipeline.runs.own_code import module_file
from pipeline.runs.recipe import Recipe, digest, flow_time

# The module whose function makes each kind of artifact; `jobs.code` follows its imports.
JOBS = {
    # the simulated archive states the fingerprint that `build_ratings` then looks for
    "archive": "pipeline.data.simulated",
    "ratings": "pipeline.data.ratings",
    "own": "pipeline.data.own_tasks",
    "tasks": "pipeline.data.task_sets",
    "episodes": "pipeline.data.episodes",
    "offsets": "pipeline.runs.offsets",
    "run": "pipeline.runs.job",
    "reference": "pipeline.runs.reference",
    "profile": "pipeline.runs.profile",
    **{name: card.module for name, card in STUDIES.items()},
    "tables": "pipeline.tables.build",
    "figures": "pipeline.figures.draw",
    "report": "pipeline.report.page",
    "tracking": "pipeline.tracking.replay",
}

PREDICTORS = "pipeline.runs.predictors"  # where those that a grid asks for lie, each by its name

TABLE_CLAIMS = ("pipeline.paper.build",)  # what is said of the tables is written into tables/ too
REPORT_TEXTS = (  # of the page: templates, style, prose, meanings of columns
    "pipeline/report/*.css",
    "pipeline/report/*.j2",
    "pipeline/report/*.md",
    "pipeline/report/*.yaml",
)
# What reading an archive takes from its card; addresses and texts change no number.
READ_OF_SOURCE = ("member", "format", "lo", "hi", "step")


def archive_recipe(params: Params, dataset: str) -> Recipe:
    """Recipe of `data/raw/`: only the simulated archive is made here."""
    if not SOURCES[dataset].simulated:
        return {"kind": "archive", "dataset": dataset, "fingerprint": SOURCES[dataset].fingerprint}
    return {
        "kind": "archive",
        "dataset": dataset,
        "simulated": params.simulated.model_dump(),
        "code": code_digest(JOBS["archive"]),
    }


def ratings_recipe(params: Params, dataset: str) -> Recipe:
    """Recipe of `data/ratings/{dataset}.parquet`."""
    if not params.has_archive(dataset):
        return {"kind": "ratings", "dataset": dataset} | _own_recipe(params, dataset)
    source = SOURCES[dataset]
    return {
        "kind": "ratings",
        "dataset": dataset,
        "source": {name: getattr(source, name) for name in READ_OF_SOURCE},
        "archive": digest(archive_recipe(params, dataset)),
        "code": code_digest(JOBS["ratings"]),
    }


def tasks_recipe(params: Params, dataset: str) -> Recipe:
    """Recipe of `data/tasks/{dataset}.parquet`."""
    kind = params.kind_of(dataset)
    if kind == "table":
        return {"kind": "tasks", "dataset": dataset} | _own_recipe(params, dataset)
    family = [FAMILY_MODULES[dataset]] if kind == "synthetic" else []
    code = code_digest(JOBS["tasks"], *family)
    recipe: Recipe = {"kind": "tasks", "dataset": dataset, "code": code}
    if kind == "ratings":
        own = params.datasets.get(dataset)
        kept = own if isinstance(own, RatingsEntry) else params.data
        return recipe | {
            "n_items": kept.items,
            "min_ratings": kept.min_ratings,
            "ratings": digest(ratings_recipe(params, dataset)),
        }
    synthetic = params.synthetic
    return recipe | {
        "seeds": synthetic.seeds,
        "n_train": synthetic.train_tasks,
        "n_test": synthetic.test_tasks,
        "points": synthetic.points,
    }


def archives_folder(params: Params) -> Path:
    """The folder of archives put there by hand.

    Raises:
        BadInput: when it was named on the command line, and there is no such folder.
    """
    folder = Path(params.raw_dir or params.data.raw_dir).expanduser()
    if params.raw_dir is not None and not folder.is_dir():
        raise BadInput(
            f"raw_dir: found no folder {folder}, needed that of the archives. Correct the path; it "
            "starts at the project's folder."
        )
    return folder


def own_file(params: Params, dataset: str) -> Path:
    """The file of an entry of `datasets`."""
    return params.datasets[dataset].named(dataset).file


# by the job that reads the file
_NOT_READ = ("ratings", "table", "items", "min_ratings", *NOT_OF_THE_FILE)


def _own_recipe(params: Params, dataset: str) -> Recipe:
    """What is read of a person's own file: its content, wherever the file lies.

    Raises:
        BadInput: when there is no such file.
    """
    entry = params.datasets[dataset].model_dump()
    file = own_file(params, dataset)
    if not file.is_file():
        raise BadInput(
            f"params.yaml: datasets.{dataset}: found no file {file}. Correct the path; it starts "
            "at the project's folder."
        )
    return {
        "own": {
            name: value
            for name, value in entry.items()
            if name not in _NOT_READ and not (name == "shape" and value is None)
        }
        | ({"loss": entry["loss"]} if entry["loss"] in OF_CLASSES else {}),
        "content": _content(file, *_stamp(file)),
        "code": code_digest(JOBS["own"]),
    }


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


@cache
def _content(file: Path, size: int, changed: int) -> str:
    """Digest of a file, taken once a call: every job's recipe asks for it."""
    return file_digest(file)


def episodes_recipe(params: Params, setting: str, seed: int) -> Recipe:
    """Recipe of `data/episodes/{setting}/{seed}.parquet`."""
    given = params.settings[setting]
    sizes = params.role_tasks(given.dataset)
    test = (
        {"evaluation_points": params.synthetic.evaluation_points}
        if given.is_synthetic
        else {"test_tasks": sizes["test_tasks"], "min_ratings": given.min_ratings}
    )
    return {
        "kind": "episodes",
        "seed": seed,
        "support": given.support,
        "query": given.query,
        "validation_tasks": given.validation_tasks or sizes["validation_tasks"],
        **test,
        "standardise": given.standardise,
        "scaling": given.scaling,
        "tasks": digest(tasks_recipe(params, given.dataset)),
        "code": code_digest(JOBS["episodes"]),
    }


def offsets_recipe(params: Params, setting: str, seed: int) -> Recipe:
    """Recipe of `data/episodes/{setting}/{seed}.offsets.parquet`, of a setting with an offset."""
    return {
        "kind": "offsets",
        "offset": params.settings[setting].offset,
        "seed": seed,
        "episodes": digest(episodes_recipe(params, setting, seed)),
        "code": code_digest(JOBS["offsets"]),
    }


def data_parameters(params: Params, setting: str, seed: int) -> Recipe:
    """All parameters behind a setting's episodes, down to the archive; no digest of code."""
    dataset = params.settings[setting].dataset
    episodes, tasks = episodes_recipe(params, setting, seed), tasks_recipe(params, dataset)
    found = _without(episodes, "kind", "seed", "tasks", "code")
    found["tasks"] = _without(tasks, "kind", "ratings", "code")
    if not params.has_archive(dataset) and params.kind_of(dataset) == "ratings":
        found["tasks"] |= _without(ratings_recipe(params, dataset), "kind", "dataset", "code")
    if params.has_archive(dataset):
        source = _without(ratings_recipe(params, dataset), "kind", "dataset", "archive", "code")
        archive = _without(archive_recipe(params, dataset), "kind", "dataset", "code")
        found["tasks"] |= source | archive
    return found


def _without(recipe: Recipe, *names: str) -> Recipe:
    return {name: value for name, value in recipe.items() if name not in names}


def core_settings(params: Params, label: str, inner_steps: int) -> dict[str, Any]:
    """Keyword settings of `pipeline.core.meta_gradient` for a method at K inner steps."""
    given = params.methods[label].model_dump(exclude={"training", "evaluation", "rates"})
    card = METHODS[given.pop("method")]
    inner_lr = params.grid_training().inner_lr
    if card.trains == "flow":
        return given | {"horizon": flow_time(inner_lr, inner_steps)}
    if card.trains == "nothing":
        return given
    divisor = given.pop("steps_divisor", 1)
    steps = card.steps or max(1, inner_steps // divisor)
    return given | {"inner_steps": steps, "inner_lr": inner_lr}


def run_recipe(params: Params, label: str, setting: str, seed: int) -> Recipe:
    """Recipe of one meta-training run, `results/{grid}/runs/{method}/{setting}/{seed}/`."""
    given = params.settings[setting]
    method = params.methods[label].method
    inner_steps = params.grid_inner_steps(setting)
    rates = params.methods[label].rates
    training = params.method_training(label, setting)
    training = {k: v for k, v in training.items() if k not in USUAL or v != USUAL[k]}
    # how often a run saves itself changes nothing in its record
    training.pop("checkpoint_every")
    return {
        "kind": "run",
        "method": method,
        "label": label,
        "setting": setting,
        "dataset": given.dataset,
        "seed": seed,
        "support": given.support,
        "query": given.query,
        "inner_steps": inner_steps,
        **network_recipe(params, given.dataset),
        **({"offset": given.offset} if given.offset else {}),
        **({"rates": rates} if rates else {}),
        "settings": core_settings(params, label, inner_steps),
        "training": training,
        "evaluation": params.method_evaluation(label),
        "dtype": params.dtype,
        "data": data_parameters(params, setting, seed),
        "episodes": digest(episodes_recipe(params, setting, seed)),
        "code": code_digest(JOBS["run"], METHODS[method].code),
    }


def reference_recipe(params: Params, setting: str, seed: int) -> Recipe:
    """Recipe of `results/{grid}/reference/{setting}/{seed}.parquet`: no method is in it."""
    given = params.settings[setting]
    asked = params.predictors_of(given.dataset)
    return {
        "kind": "reference",
        "setting": setting,
        "dataset": given.dataset,
        "seed": seed,
        "support": given.support,
        "query": given.query,
        "inner_steps": params.grid_inner_steps(setting),
        **({"offset": given.offset} if given.offset else {}),
        **network_recipe(params, given.dataset),
        "evaluation": params.grid_evaluation().model_dump(),
        "dtype": params.dtype,
        "data": data_parameters(params, setting, seed),
        "episodes": digest(episodes_recipe(params, setting, seed)),
        **({"predictors": asked} if asked else {}),
        "code": code_digest(JOBS["reference"], *(f"{PREDICTORS}.{name}" for name in asked)),
    }


def profile_recipe(params: Params, label: str) -> Recipe:
    """Recipe of `results/{grid}/profile/{method}.json`: cost against inner steps."""
    method = params.methods[label].method
    profile = params.active.profile
    return {
        "kind": "profile",
        "method": method,
        "label": label,
        "hidden": params.model.synthetic,
        "meta_batch": params.method_training(label)["meta_batch"],
        "repeats": profile.repeats,
        "settings": {
            # every method at K itself: a cap would hide what the figure is about
            str(steps): core_settings(params, label, steps)
            | ({"inner_steps": steps} if METHODS[method].capped else {})
            for steps in profile.inner_steps
        },
        "dtype": params.dtype,
        "code": code_digest(JOBS["profile"], METHODS[method].code, FAMILY_MODULES[PROFILED.name]),
    }


def tables_recipe(params: Params, records: Sequence[Recipe], root: Path = Path()) -> Recipe:
    """Recipe of `results/{grid}/tables/`: the records it has to be made from, by digest.

    Args:
        records: recipes of the grid's runs, profiles and studies.
    """
    active = params.active
    runs: dict[str, dict[str, dict[str, str]]] = {}
    others: dict[str, dict[str, str]] = {"reference": {}, "profile": {}, "study": {}}
    for recipe in records:
        if recipe["kind"] == "run":
            of_setting = runs.setdefault(recipe["setting"], {})
            of_setting.setdefault(recipe["label"], {})[str(recipe["seed"])] = digest(recipe)
        elif recipe["kind"] == "reference":
            others["reference"][f"{recipe['setting']}/{recipe['seed']}"] = digest(recipe)
        else:
            others[recipe["kind"]][recipe.get("label") or recipe["study"]] = digest(recipe)
    return {
        "kind": "tables",
        "grid": params.grid,
        "methods": sorted(active.methods),
        "settings": sorted(active.settings),
        "seeds": sorted(active.seeds),
        "companions": sorted(active.companions),
        "variants": {name: of.model_dump() for name, of in params.variants().items()},
        "companion_files": _companion_files(params, root),
        "runs": runs,
        "references": others["reference"],
        "profiles": others["profile"],
        "studies": others["study"],
        "code": code_digest(JOBS["tables"], *TABLE_CLAIMS, *_cards(params)),
    }


def figures_recipe(params: Params, tables: Recipe) -> Recipe:
    """Recipe of `results/{grid}/figures/`; an instance of each synthetic family is among them."""
    used = {params.settings[name].dataset for name in params.active.settings}
    return {
        "kind": "figures",
        "grid": params.grid,
        "settings": sorted(params.active.settings),
        "tables": digest(tables),
        "tasks": {
            name: digest(tasks_recipe(params, name))
            for name in sorted(used)
            if params.kind_of(name) == "synthetic"
        },
        "code": code_digest(JOBS["figures"], *_cards(params)),
    }


def report_recipe(params: Params, tables: Recipe, figures: Recipe, root: Path) -> Recipe:
    """Recipe of `results/{grid}/report.html`, which shows the champions that are there."""
    files = sorted((root / f"results/{params.grid}/champions").glob("*.safetensors"))
    champions = {file.stem: file_digest(file) for file in files}
    return {
        "kind": "report",
        **({"champions": champions} if champions else {}),
        "grid": params.grid,
        "tables": digest(tables),
        "figures": digest(figures),
        "texts": texts_digest(*REPORT_TEXTS),
        "code": code_digest(JOBS["report"], *_cards(params)),
    }


def tracking_recipe(params: Params, tables: Recipe, figures: Recipe) -> Recipe:
    """Recipe of the grid's experiment in MLflow."""
    active = params.active
    uri = params.tracking.uri
    return {
        "kind": "tracking",
        **({} if uri == DEFAULT_STORE else {"uri": uri}),
        "grid": params.grid,
        "methods": sorted(active.methods),
        "settings": sorted(active.settings),
        "seeds": sorted(active.seeds),
        "tables": digest(tables),
        "figures": digest(figures),
        "code": code_digest(JOBS["tracking"], *_cards(params)),
    }


def _cards(params: Params) -> list[str]:
    """Modules of the cards that say how the grid's tables and figures read.

    Cards of what the grid and its companions do not use change nothing there.
    """
    grids = [params.grids[name] for name in (params.grid, *params.active.companions)]
    used = [params.methods[label].method for grid in grids for label in grid.methods]
    used += [BUDGET.name, TRAINS_STUDIES.name, *(card.name for card, _ in WAYS.values())]
    datasets = {params.settings[name].dataset for grid in grids for name in grid.settings}
    return sorted(
        {f"pipeline.config.methods.{name}" for name in used}
        | {modules[name] for name in datasets if name in (modules := SET_MODULES | FAMILY_MODULES)}
    )


def _companion_files(params: Params, root: Path) -> dict[str, str]:
    """Digests of the committed tables and evidence of other grids that are shown beside."""
    found = {}
    for grid in sorted(params.active.companions):
        folder = root / "results" / grid
        for path in sorted((*folder.glob("tables/*.csv"), *folder.glob("evidence/*.parquet"))):
            found[path.relative_to(root).as_posix()] = file_digest(path)[:16]
    return found


def network_recipe(params: Params, dataset: str) -> Recipe:
    """Widths of the MLP, or a person's own module; a loss that is not squared; code by its digest.

    Raises:
        BadInput: when there is no such module.
    """
    found, loss = params.network_of(dataset), params.loss_of(dataset)
    recipe: Recipe = {"hidden": found if isinstance(found, list) else []}
    if not isinstance(found, list):
        where = f"params.yaml: models.{params.datasets[dataset].model}.module"
        recipe["model"] = found.model_dump() | {"code": _own_code(found.module, where)}
    if "." in loss:
        code = _own_code(loss, f"params.yaml: datasets.{dataset}.loss")
        recipe["loss"] = {"function": loss, "code": code}
    elif loss != "squared":
        recipe["loss"] = loss
    return recipe


def _own_code(path: str, where: str) -> str | None:
    """Digest of a module in the project's folder, with what it imports there."""
    return code_digest(path.rpartition(".")[0]) if module_file(path, where) else None


# Recipes of the studies, `results/{grid}/studies/{name}.json`.


def study_recipe(params: Params, name: str) -> Recipe:
    """Recipe of a study that the active grid asks for, one of `STUDIES`.

    The order in which params.yaml lists horizons, families or methods changes nothing.
    """
    study = getattr(params.active.studies, name)
    own = _stability(params, study) if name == "stability" else _of_methods(params, study)
    trained_by = TRAINS_STUDIES.name
    methods = {entry["method"] for entry in own["methods"].values()} | {trained_by}
    modules = sorted(
        {METHODS[method].code for method in methods}
        | {FAMILY_MODULES[family] for family in study.families}
    )
    training = params.grid_training()
    return own | {
        "kind": "study",
        "study": name,
        "seed": study.seed,
        "families": sorted(study.families),
        "support": study.support,
        "query": study.query,
        "tasks": training.meta_batch,
        "hidden": params.model.synthetic,
        "dtype": params.dtype,
        "training": {
            "method": trained_by,
            "settings": _flow_settings(params, trained_by)
            | {"horizon": flow_time(training.inner_lr, study.training_steps)},
            "outer_lr": training.outer_lr,
            "meta_batch": training.meta_batch,
            "updates": study.training_updates,
        },
        "code": code_digest(JOBS[name], *modules),
    }


def _stability(params: Params, study: Any) -> Recipe:
    """Ways back through the same flow, as they are run in practice, and RK45 against RKC."""
    methods = {
        name: {
            "method": card.name,
            "settings": _flow_settings(params, card.name) | dict(way.settings),
            "dtype": way.dtype or params.dtype,
        }
        for name, (card, way) in WAYS.items()
    }
    tolerances = _flow_settings(params, TRAINS_STUDIES.name)
    return {
        "methods": methods,
        "horizons": _horizons(params, study.inner_steps),
        "stiffness": {
            "horizons": _horizons(params, study.stiffness.inner_steps),
            "scales": sorted(study.stiffness.scales),
            "rtol": tolerances["rtol"],
            "atol": tolerances["atol"],
        },
    }


def _horizons(params: Params, inner_steps: list[int]) -> list[float]:
    inner_lr = params.grid_training().inner_lr
    return [flow_time(inner_lr, steps) for steps in sorted(inner_steps)]


def _of_methods(params: Params, study: Any) -> Recipe:
    """Every method at every K: the study of fidelity, and that of noise."""
    methods = {
        label: {
            "method": params.methods[label].method,
            "settings": {
                str(k): core_settings(params, label, k) for k in sorted(study.inner_steps)
            },
        }
        for label in sorted(study.methods)
    }
    return {
        "methods": methods,
        "inner_steps": sorted(study.inner_steps),
        "inner_lr": params.grid_training().inner_lr,
        "batches": study.batches,
    }


def _flow_settings(params: Params, label: str) -> dict[str, Any]:
    """Settings of a method without a horizon."""
    given = core_settings(params, label, 1)
    return {name: value for name, value in given.items() if name != "horizon"}
