"""What each artifact was made from: the recipe that is stored in it and decides if it is stale.

A recipe is a JSON mapping of exactly the parameters a job uses, a digest of the code it
depends on, and the digest of the recipe of its input. Snakemake gets it as a rule parameter,
the artifact carries it (`spec.json`, or the parquet schema metadata under `spec`), and
`python -m pipeline reconcile` compares the two. This module imports neither torch nor pandas,
so that a workflow with hundreds of jobs parses in a moment.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pipeline.config import Params
from pipeline.data.sources import SOURCES
from pipeline.jobs.code import code_digest
from pipeline.variants import with_section

Recipe = dict[str, Any]

# The module whose function makes each kind of artifact; `jobs.code` follows its imports.
JOBS = {
    # the simulated archive states the fingerprint that `build_ratings` then looks for
    "archive": "pipeline.data.simulated",
    "ratings": "pipeline.data.ratings",
    "tasks": "pipeline.data.task_sets",
    "episodes": "pipeline.data.episodes",
    "run": "pipeline.train",
    "profile": "pipeline.cost_profile",
    "stability": "pipeline.studies.stability",
    "fidelity": "pipeline.studies.fidelity",
    "noise": "pipeline.studies.noise",
}
# Entries of a recipe that say by which code, directly or in its inputs; all else are parameters.
OF_CODE = ("code", "episodes")


# What reading an archive takes from its `Source`; addresses and texts change no number.
READ_OF_SOURCE = ("member", "format", "lo", "hi", "step")


def canonical(recipe: Recipe) -> str:
    """The one JSON text of a recipe."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits that name a recipe."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()[:16]


def job_digest(recipes: Sequence[Recipe]) -> str:
    """The same for the recipes that one job makes together; of one, its own digest."""
    if len(recipes) == 1:
        return digest(recipes[0])
    return digest({"recipes": [digest(recipe) for recipe in recipes]})


def parameters_of(recipe: Recipe) -> Recipe:
    """A recipe without what the text of the code decides."""
    return {name: value for name, value in recipe.items() if name not in OF_CODE}


def archive_recipe(params: Params, dataset: str) -> Recipe:
    """Recipe of `data/raw/`: only the simulated archive is made here."""
    if dataset != "simulated":
        return {"kind": "archive", "dataset": dataset, "fingerprint": SOURCES[dataset].fingerprint}
    return {
        "kind": "archive",
        "dataset": dataset,
        "simulated": params.simulated.model_dump(),
        "code": code_digest(JOBS["archive"]),
    }


def ratings_recipe(params: Params, dataset: str) -> Recipe:
    """Recipe of `data/ratings/{dataset}.parquet`."""
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
    recipe: Recipe = {"kind": "tasks", "dataset": dataset, "code": code_digest(JOBS["tasks"])}
    if dataset in SOURCES:
        return recipe | {
            "n_items": params.data.items,
            "min_ratings": params.data.min_ratings,
            "ratings": digest(ratings_recipe(params, dataset)),
        }
    synthetic = params.synthetic
    return recipe | {
        "seeds": synthetic.seeds,
        "n_train": synthetic.train_tasks,
        "n_test": synthetic.test_tasks,
        "points": synthetic.points,
    }


def episodes_recipe(params: Params, setting: str, seed: int) -> Recipe:
    """Recipe of `data/episodes/{setting}/{seed}.parquet`."""
    given = params.settings[setting]
    test = (
        {"evaluation_points": params.synthetic.evaluation_points}
        if given.is_synthetic
        else {"test_tasks": params.data.test_tasks, "min_ratings": given.min_ratings}
    )
    return {
        "kind": "episodes",
        "seed": seed,
        "support": given.support,
        "query": given.query,
        "validation_tasks": params.data.validation_tasks,
        **test,
        "standardise": given.standardise,
        "scaling": given.scaling,
        "tasks": digest(tasks_recipe(params, given.dataset)),
        "code": code_digest(JOBS["episodes"]),
    }


def data_parameters(params: Params, setting: str, seed: int) -> Recipe:
    """All parameters behind a setting's episodes, down to the archive; no digest of code."""
    dataset = params.settings[setting].dataset
    episodes, tasks = episodes_recipe(params, setting, seed), tasks_recipe(params, dataset)
    found = _without(episodes, "kind", "seed", "tasks", "code")
    found["tasks"] = _without(tasks, "kind", "ratings", "code")
    if dataset in SOURCES:
        source = _without(ratings_recipe(params, dataset), "kind", "dataset", "archive", "code")
        archive = _without(archive_recipe(params, dataset), "kind", "dataset", "code")
        found["tasks"] |= source | archive
    return found


def _without(recipe: Recipe, *names: str) -> Recipe:
    return {name: value for name, value in recipe.items() if name not in names}


def core_settings(params: Params, label: str, inner_steps: int) -> dict[str, Any]:
    """Keyword settings of `pipeline.core.meta_gradient` for a method at K inner steps."""
    given = params.methods[label].model_dump(exclude={"training", "variant"})
    method = given.pop("method")
    inner_lr = params.grid_training().inner_lr
    if method in FLOW_METHODS:
        return given | {"horizon": inner_lr * inner_steps}
    divisor = given.pop("steps_divisor", 1)
    steps = 1 if method == "maml1" else max(1, inner_steps // divisor)
    return given | {"inner_steps": steps, "inner_lr": inner_lr}


def run_recipe(params: Params, label: str, setting: str, seed: int) -> Recipe:
    """Recipe of one meta-training run, `results/{grid}/runs/{method}/{setting}/{seed}/`."""
    given = params.settings[setting]
    method = params.methods[label].method
    variant = params.methods[label].variant.model_dump()
    inner_steps = params.grid_inner_steps(setting)
    training = with_section("training", params.method_training(label), variant)
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
        "hidden": _hidden(params, given.dataset),
        "settings": core_settings(params, label, inner_steps),
        "training": training,
        "evaluation": with_section("evaluation", params.grid_evaluation().model_dump(), variant),
        "dtype": params.dtype,
        "data": data_parameters(params, setting, seed),
        "episodes": digest(episodes_recipe(params, setting, seed)),
        "code": code_digest(JOBS["run"], method_module(method)),
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
            # every method at K itself: capping MAML would hide what the figure is about
            str(steps): core_settings(params, label, steps)
            | ({"inner_steps": steps} if method == "maml" else {})
            for steps in profile.inner_steps
        },
        "dtype": params.dtype,
        "code": code_digest(JOBS["profile"], method_module(method)),
    }


def _hidden(params: Params, dataset: str) -> list[int]:
    return params.model.ratings if dataset in SOURCES else params.model.synthetic


def method_module(method: str) -> str:
    """The module of one method: editing another method leaves its runs standing."""
    return f"pipeline.core.methods.{MODULES[method]}"


FLOW_METHODS = ("amaml", "amaml_rkc", "amaml_anytime")  # trained over a horizon, not K steps
MODULES = {
    "maml": "maml",
    "maml1": "maml",
    "maml_sweep": "maml_sweep",
    "fomaml": "first_order",
    "reptile": "first_order",
    "imaml": "imaml",
    "amaml": "amaml",
    "amaml_rkc": "amaml_rkc",
    "amaml_anytime": "amaml_rkc",
}
