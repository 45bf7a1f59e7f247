"""Champions in MLflow's registry: one registered model `GRID.SETTING`, its best version `champion`.

A version is a pyfunc model: the champion's file, the modules that use it, a signature, an example
and the versions that it needs. It is made where the one that is there differs.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.config.measures import measure_in
from pipeline.errors import BadInput, of_system
from pipeline.jobs.code import PACKAGE, code_digest, module_path, reached
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.own_code import module_file
from pipeline.runs.use import PART, example, probability_columns
from pipeline.tracking.experiment import Experiment, opened

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

ALIAS = "champion"
MODEL = "pipeline.tracking.served"
NEEDED = ("mlflow", "numpy", "pandas", "pyarrow", "safetensors", "torch", "torchdiffeq")


@dataclass(frozen=True)
class Registered:
    """A version in the registry; `is_new`: it was made just now."""

    name: str
    version: int
    is_new: bool


def register(champions: Iterable[Initialisation], *, uri: str, grid: str) -> list[Registered]:
    """Register champions, each as the version `champion` of its model.

    Args:
        champions: as read from their files.
        uri: of the store, as for `log_tracking`.
        grid: name of the experiment that the models are logged in.

    Raises:
        BadInput: for a store that cannot be used; the files of the champions stay.
    """
    try:
        with opened(uri, grid) as experiment, _tracking_to(experiment):
            return [_registered(experiment, start) for start in champions]
    except (BadInput, OSError) as error:
        found = error if isinstance(error, BadInput) else of_system(error)
        raise BadInput(
            f"{found} The champions are written and not registered: `python -m pipeline promote "
            f"{grid} --uri {uri}` registers them when the store is there."
        ) from error


def model_name(start: Initialisation) -> str:
    """`GRID.SETTING`: MLflow allows neither `/` nor `:` in a name."""
    return f"{start.about['grid']}.{start.about['setting']}"


def requirements() -> list[str]:
    """What serving needs, in the versions that are installed here."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in NEEDED]


def copy_code(start: Initialisation, folder: Path) -> list[Path]:
    """Copy the modules that a served champion imports, a person's own too; what is to be taken."""
    for module in reached(MODEL, *own_modules(start), whole=True):
        file = module_path(module)
        copied = folder / file.relative_to(PACKAGE.parent if _is_ours(module) else Path.cwd())
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copied)
    return sorted(folder.iterdir())


def own_modules(start: Initialisation) -> list[str]:
    """Modules in the project's folder that a champion's model or loss are of."""
    model, loss = start.about.get("model"), start.about["loss"]
    paths = [model["module"]] if model else []
    paths += [loss["function"]] if isinstance(loss, dict) else []
    return [path.rpartition(".")[0] for path in paths if module_file(path, str(start.path))]


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE.name


def _registered(experiment: Experiment, start: Initialisation) -> Registered:
    from mlflow.exceptions import MlflowException

    client, name = experiment.client, model_name(start)
    digest = hashlib.sha256(start.path.read_bytes())
    digest.update("\n".join([code_digest(MODEL, *own_modules(start)), *requirements()]).encode())
    try:
        known = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException:
        known = None
    if known is not None and known.tags.get("digest") == digest.hexdigest():
        if _is_whole(experiment, str(known.source)):
            return Registered(name, int(known.version), is_new=False)
    elif known is None:
        _create_model(client, name, start)
    with TemporaryDirectory() as folder:
        model_id = _log_model(start, copy_code(start, Path(folder)))
    about = start.about
    tags = {key: about[key] for key in ("grid", "setting", "method", "label", "seed")}
    tags[f"test_{about['measure']}"] = about["test"][about["measure"]]
    made = client.create_model_version(
        name,
        source=f"models:/{model_id}",
        model_id=model_id,
        run_id=_run_of(experiment, start),
        tags={key: str(value) for key, value in tags.items()} | {"digest": digest.hexdigest()},
        description=_described(start),
    )
    client.set_registered_model_alias(name, ALIAS, made.version)
    return Registered(name, int(made.version), is_new=True)


def _create_model(client: Any, name: str, start: Initialisation) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        about = start.about
        client.create_registered_model(
            name,
            tags={"grid": about["grid"], "setting": about["setting"]},
            description=f"Initialisations for tasks of {about['dataset']}: they are trained on a "
            "task's support rows, and predict its query rows.",
        )


def _is_whole(experiment: Experiment, source: str) -> bool:
    """Whether a version's files are where the store of today looks for them."""
    if experiment.artifacts is None:
        return True
    folder = experiment.artifacts / "models" / source.removeprefix("models:/")
    return (folder / "artifacts" / "MLmodel").is_file()


def _log_model(start: Initialisation, code: list[Path]) -> str:
    """Log the model; its id."""
    import mlflow

    info = mlflow.pyfunc.log_model(
        name=start.about["setting"].replace(".", "-"),
        python_model=str(module_path(MODEL)),
        artifacts={"initialisation": str(start.path.resolve())},
        code_paths=[str(path) for path in code],
        signature=signature(start),
        input_example=(example(start), {"steps": start.steps}),
        pip_requirements=requirements(),
    )
    return str(info.model_id)


@contextmanager
def _tracking_to(experiment: Experiment) -> Iterator[None]:
    """Let MLflow's own functions use the store that is open."""
    import mlflow

    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(experiment.client.tracking_uri)
    mlflow.set_experiment(experiment_id=experiment.id)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _run_of(experiment: Experiment, start: Initialisation) -> str | None:
    """The logged run that trained a champion, if it is there."""
    about = start.about
    name = f"{about['label']}/{about['setting']}/{about['seed']}"
    found = experiment.client.search_runs(
        [experiment.id], f"attributes.run_name = '{name}'", max_results=1
    )
    return str(found[0].info.run_id) if found else None


def _described(start: Initialisation) -> str:
    about, title = start.about, measure_in([start.about["measure"]]).title
    return (
        f"{about['label']}, seed {about['seed']}: {title} {about['validation']['error']:.4f} on "
        f"validation tasks, by which it was chosen, and {about['test'][about['measure']]:.4f} on "
        f"test tasks, after {start.steps} steps."
    )


def signature(start: Initialisation) -> "ModelSignature":
    """Columns of requests and answers, and the parameter `steps`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    about = start.about
    task = ColSpec(AnyType(), about["task"], required=False)
    # ids, categories and classes may be whole numbers: their names are compared as texts. Arrays
    # may be nested lists, and of whole numbers, which MLflow would not take for numbers.
    types: dict[str, Any] = {"number": "double", "array": AnyType(), "text": AnyType()}
    target = AnyType() if start.classes else "double"
    columns = [ColSpec(types[kind], name) for name, kind in start.columns.items()]
    given: list[Any] = [ColSpec("string", PART), task, *columns]
    given.append(ColSpec(target, about["target"], required=False))
    answered: list[Any] = [task, *(columns if start.items else [])]
    answered.append(ColSpec("string" if start.classes else "double", "prediction"))
    answered += [ColSpec("double", name) for name in probability_columns(start)]
    answered += [ColSpec("string", "known")] if start.items else []
    return ModelSignature(
        inputs=Schema(given),
        outputs=Schema(answered),
        params=ParamSchema([ParamSpec("steps", "long", start.steps)]),
    )
