"""The only schema of `params.yaml`: types, bounds, and combinations that cannot work.

`load_params` reads a file, `check_params` a mapping (Snakemake's `config`); both return
`Params` or raise `BadInput` naming each key, the value found and what is allowed. The JSON
Schema that Snakemake validates with is generated from here (`python -m pipeline schema`).
A new method is one class below, in `MethodSettings`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.config_checks import combination_faults
from pipeline.config_errors import explain
from pipeline.config_studies import Studies
from pipeline.errors import BadInput

RATING_DATASETS = ("ml-100k", "ml-1m", "ml-latest-small-2016", "jester-1", "simulated")
SYNTHETIC_DATASETS = ("cosmixture", "alpine")
Dataset = Literal[
    "ml-100k", "ml-1m", "ml-latest-small-2016", "jester-1", "simulated", "cosmixture", "alpine"
]
Solver = Literal["euler", "midpoint", "rk4", "dopri5", "bosh3"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of a folder")]
Steps = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Strict):
    raw_dir: str = Field(description="folder of archives put there by hand, used before downloads")
    items: Count = Field(description="most-rated items kept")
    min_ratings: Count = Field(description="ratings of the kept items that make a user a task")
    test_tasks: Count = Field(description="meta-test tasks held out of rating data, per seed")
    validation_tasks: Count = Field(description="meta-training tasks set aside for choices")
    retries: Count = Field(description="tries per download address")
    timeout_s: Positive = Field(description="seconds without an answer that end a try")


class Synthetic(Strict):
    seeds: Count = Field(description="seeds 0..seeds-1 are drawn into the task set")
    train_tasks: Count
    test_tasks: Count
    points: Count = Field(description="points per task")
    evaluation_points: Count = Field(description="query points of a test task")


class Simulated(Strict):
    seed: Annotated[int, Field(ge=0)]
    users: Annotated[int, Field(ge=50)]
    items: Annotated[int, Field(ge=30)]
    rank: Count


class Model(Strict):
    synthetic: Annotated[list[Count], Field(min_length=1)]
    ratings: Annotated[list[Count], Field(min_length=1)]


class Training(Strict):
    inner_lr: Positive = Field(description="alpha of inner gradient descent")
    outer_lr: Positive = Field(description="learning rate of the outer Adam")
    meta_batch: Count = Field(description="tasks per meta-update")
    meta_updates: Count
    stop_change: NotNegative = Field(description="xi of Algorithm 1; 0 switches it off")
    checkpoint_every: Count = Field(description="meta-updates between checkpoints")
    validate_every: Count = Field(description="meta-updates between validations")
    gradient_limit: Positive = Field(description="meta-gradient norm that counts as divergence")
    ledger_every: Count | None = Field(
        description="meta-updates between measurements of the meta-gradient's fidelity; null: none"
    )


class Evaluation(Strict):
    optimiser: Literal["gd", "adam"]
    learning_rate: Positive
    steps: Steps = Field(description="meta-test training steps at which errors are measured")


class Maml(Strict):
    method: Literal["maml"]
    steps_divisor: Count = Field(description="K / steps_divisor steps are unrolled")


Memory = Annotated[
    Positive | None,
    Field(
        description="10^6 bytes kept for the way back, the rest is computed again; null: by size"
    ),
]


class Plain(Strict):
    method: Literal["maml1", "fomaml", "reptile"]


class MamlSweep(Strict):
    method: Literal["maml_sweep"]
    memory_mb: Memory


class Imaml(Strict):
    method: Literal["imaml"]
    proximal: Positive = Field(description="lambda of the proximal term")
    cg_steps: Count = Field(description="conjugate-gradient steps")


class Amaml(Strict):
    method: Literal["amaml"]
    solver: Solver
    step: Positive = Field(description="spacing of kept states in flow time")
    rtol: Positive
    atol: Positive
    backward: Literal["modified_euler", "discrete", "backsolve"]
    omega: Annotated[float, Field(ge=0, le=1)] = Field(description="weight of the running cost")
    regulariser: NotNegative = Field(description="mu of mu/2 |u - theta|^2 in the inner loss")
    memory_mb: Memory

    @model_validator(mode="after")
    def _running_cost_needs_kept_states(self) -> "Amaml":
        if self.backward == "backsolve" and self.omega > 0:
            raise ValueError(
                f"omega is {self.omega}, but `backsolve` keeps no states for a running cost; "
                "set omega: 0.0 or backward: modified_euler"
            )
        return self


class AmamlRkc(Strict):
    method: Literal["amaml_rkc", "amaml_anytime"]
    rtol: Positive
    atol: Positive
    omega: Annotated[float, Field(ge=0, le=1)] = Field(description="weight of the running cost")
    regulariser: NotNegative = Field(description="mu of mu/2 |u - theta|^2 in the inner loss")
    memory_mb: Memory


MethodSettings = Annotated[
    Maml | Plain | MamlSweep | Imaml | Amaml | AmamlRkc, Field(discriminator="method")
]


class Setting(Strict):
    dataset: Dataset
    support: Count = Field(description="support rows per task (shots)")
    query: Count = Field(description="query rows per task in meta-training")
    inner_steps: Count = Field(description="K")
    standardise: bool = Field(default=True, description="scale by meta-training statistics")

    @property
    def is_synthetic(self) -> bool:
        return self.dataset in SYNTHETIC_DATASETS


class Profile(Strict):
    inner_steps: Annotated[list[Count], Field(min_length=1)]
    repeats: Count = Field(description="timed meta-updates; the median is reported")


class Grid(Strict):
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    settings: Annotated[list[str], Field(min_length=1)]
    seeds_per_job: Count = Field(
        default=1, description="seeds of a method and setting that one job trains together"
    )
    training: dict[str, Any] = Field(default={}, description="replaces values of `training`")
    evaluation: dict[str, Any] = Field(default={}, description="replaces values of `evaluation`")
    inner_steps: Count | None = Field(default=None, description="replaces each setting's own")
    profile: Profile
    studies: Studies = Field(default=Studies(), description="studies of the meta-gradients")


class Params(Strict):
    """All parameters; `grid_*` give the values in force for the grid that is named."""

    grid: str
    device: Literal["auto", "cuda", "cpu"]
    dtype: Literal["float32", "float64"]
    raw_dir: str | None = Field(default=None, description="replaces data.raw_dir (--config)")
    data: Data
    synthetic: Synthetic
    simulated: Simulated
    model: Model
    training: Training
    evaluation: Evaluation
    methods: dict[Name, MethodSettings]
    settings: dict[Name, Setting]
    grids: dict[Name, Grid]

    @property
    def active(self) -> Grid:
        return self.grids[self.grid]

    def grid_training(self) -> Training:
        """`training` with the active grid's replacements."""
        return Training.model_validate(self.training.model_dump() | self.active.training)

    def grid_evaluation(self) -> Evaluation:
        """`evaluation` with the active grid's replacements."""
        return Evaluation.model_validate(self.evaluation.model_dump() | self.active.evaluation)

    def grid_inner_steps(self, setting: str) -> int:
        """K of a setting in the active grid."""
        return self.active.inner_steps or self.settings[setting].inner_steps


def check_params(raw: Mapping[str, Any], *, where: str = "params.yaml") -> Params:
    """Validate a mapping in the form of `params.yaml`.

    Raises:
        BadInput: with one line per fault: key, value found, what is allowed.
    """
    filled = dict(raw)
    if isinstance(filled.get("methods"), Mapping):
        filled["methods"] = {
            label: {"method": label} | dict(given) if isinstance(given, Mapping) else given
            for label, given in filled["methods"].items()
        }
    try:
        params = Params.model_validate(filled)
    except ValidationError as error:
        raise BadInput(f"{where}: " + "\n".join(explain(error, Params))) from None
    if faults := combination_faults(params):
        raise BadInput(f"{where}: " + "\n".join(faults))
    return params


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key `{key.value}` stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_params(path: Path) -> Params:
    """Read and validate a parameter file.

    Raises:
        BadInput: when it is missing, not YAML, has a key twice, or `check_params` refuses it.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run from the project's root folder") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML: {error}") from None
    if not isinstance(raw, Mapping):
        raise BadInput(f"{path}: found {type(raw).__name__}, needed a mapping of sections")
    return check_params(raw, where=str(path))
