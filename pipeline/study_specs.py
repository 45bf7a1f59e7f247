"""Recipes of the studies, `results/{grid}/studies/{name}.json`; see pipeline/specs.py."""

from typing import Any

from pipeline.config import Params
from pipeline.jobs.code import code_digest
from pipeline.specs import JOBS, Recipe, core_settings, method_module


def study_recipe(params: Params, name: str) -> Recipe:
    """Recipe of a study that the active grid asks for, one of `STUDIES`.

    The order in which params.yaml lists horizons, families or methods changes nothing.
    """
    study = getattr(params.active.studies, name)
    own = _stability(params, study) if name == "stability" else _of_methods(params, study)
    methods = {entry["method"] for entry in own.pop("used")} | {"amaml_rkc", "amaml"}
    modules = sorted({method_module(method) for method in methods})
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
            "method": "amaml_rkc",
            "settings": _flow_settings(params, "amaml_rkc") | {"horizon": study.training_horizon},
            "outer_lr": training.outer_lr,
            "meta_batch": training.meta_batch,
            "updates": study.training_updates,
        },
        "code": code_digest(JOBS[name], *modules),
    }


def _stability(params: Params, study: Any) -> Recipe:
    """Ways back through the same flow, as they are run in practice, and RK45 against RKC."""
    amaml, rkc = (
        _flow_settings(params, label) | {"omega": 0.0} for label in ("amaml", "amaml_rkc")
    )
    ways = {
        "amaml": ("amaml", amaml | {"backward": "modified_euler"}, params.dtype),
        "amaml_discrete": ("amaml", amaml | {"backward": "discrete"}, params.dtype),
        "amaml_rkc": ("amaml_rkc", rkc, params.dtype),
        "backsolve": ("amaml", amaml | {"backward": "backsolve"}, params.dtype),
        # tells rounding from instability
        "backsolve_float64": ("amaml", amaml | {"backward": "backsolve"}, "float64"),
    }
    methods = {
        name: {"method": method, "settings": settings, "dtype": dtype}
        for name, (method, settings, dtype) in ways.items()
    }
    return {
        "used": list(methods.values()),
        "methods": methods,
        "horizons": sorted(study.horizons),
        "stiffness": {
            "horizons": sorted(study.stiffness.horizons),
            "scales": sorted(study.stiffness.scales),
            "rtol": rkc["rtol"],
            "atol": rkc["atol"],
        },
    }


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
        "used": list(methods.values()),
        "methods": methods,
        "inner_steps": sorted(study.inner_steps),
        "inner_lr": params.grid_training().inner_lr,
        "batches": study.batches,
    }


def _flow_settings(params: Params, label: str) -> dict[str, Any]:
    """Settings of a method without a horizon."""
    given = core_settings(params, label, 1)
    return {name: value for name, value in given.items() if name != "horizon"}
