"""Grids: what a file `grids/NAME.yaml` may hold, and the methods and settings that come of it.

Names are made here and read nowhere: what a method or setting varies goes with the grid as
`variants`. A name says it for people, and evidence is found by it:

    {method}-{parameter}-{value}[...]     of `vary`, `cross`; `{method}-early` where it stops early
    {method}-{point}-released             of `switch`; `{method}-released` of a point of its name
    {method}-released-all                 of `switch: [all]`
    {dataset}-{support}shot-{query}val[-{K}steps]   and the same endings of a setting's
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from pipeline.config.card import Count, Keep, MethodSettings, OwnTraining, Seed, Strict
from pipeline.config.expand import ALL, points_of, released_method, released_setting
from pipeline.config.messages import explain, not_among
from pipeline.config.predictors import ASKED_FOR
from pipeline.config.studies import Studies
from pipeline.config.variants import EARLY_STOPPING, Scalar, Variant
from pipeline.data.cards import RELEASED_SUFFIX
from pipeline.data.families import FAMILIES
from pipeline.data.sets import SOURCES

OURS = "ours"  # stands in a setting's `switch` for no point
DATASETS = (*SOURCES, *FAMILIES)
SETTING_PARAMETERS = ("standardise", "scaling", "min_ratings")
_NO_PARAMETERS = {"method", "training", "evaluation"}  # of an entry of `methods`

Value = TypeVar("Value")
Predictor: Any = Literal[tuple(ASKED_FOR)]
Shots = Annotated[
    str, Field(pattern=r"^[1-9]\d{0,8}/[1-9]\d{0,8}$", description="support/query rows")
]


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


Some = Annotated[
    list[Value],
    BeforeValidator(_listed, json_schema_input_type=Value | list[Value]),
    Field(min_length=1),
]
Varied = dict[str, Some[Scalar]]  # parameter -> values, each alone
Offset = Annotated[
    Literal["gaussian_items"] | None,
    Field(description="of ratings: a network learns what this predictor leaves of them"),
]


class Setting(Strict):
    dataset: str
    support: Count = Field(description="support rows per task (shots)")
    query: Count = Field(description="query rows per task in meta-training")
    inner_steps: Count = Field(description="K")
    standardise: bool = Field(default=True, description="scale by meta-training statistics")
    scaling: Literal["meta_train", "all"] = Field(
        default="meta_train", description="rows of the statistics; all: held-out tasks leak in"
    )
    min_ratings: Count | None = Field(
        default=None, description="rows of a rating task; null: data.min_ratings"
    )
    validation_tasks: Count | None = Field(
        default=None, description="tasks set aside for choices; null: those of the data"
    )
    offset: Offset = None

    @model_validator(mode="after")
    def _fits_its_data(self) -> "Setting":
        if self.min_ratings is not None and self.is_synthetic:
            raise ValueError(
                f"min_ratings is {self.min_ratings}, but {self.dataset} has no ratings; leave "
                "min_ratings out"
            )
        return self

    @property
    def is_synthetic(self) -> bool:
        return self.dataset in FAMILIES


class OwnLoop(Strict):
    """Values of `training` that every method has in some settings."""

    meta_updates: Count | None = Field(
        default=None, description="replaces training.meta_updates for every method here"
    )
    validate_every: Count | None = Field(
        default=None, description="replaces training.validate_every for every method here"
    )
    keep: Keep | None = Field(
        default=None, description="replaces training.keep for every method here"
    )


_OWN_LOOP = set(OwnLoop.model_fields)


class SettingAxes(OwnLoop):
    """Settings: data sets x shots x inner steps x points; each axis is one value or a list."""

    dataset: Some[str] = Field(description="names of data sets")
    shots: Some[Shots] = Field(description="support/query rows of a task, such as 50/50")
    inner_steps: Some[Count] | None = Field(
        default=None,
        description="K; null: the paper's, for synthetic families with 50 or 100 shots",
    )
    switch: Some[str] = Field(
        default=[OURS], description="points of the data as the authors' code has them; ours: none"
    )
    vary: Varied = Field(default={}, description="parameter of a setting -> values, each alone")
    training: dict[str, OwnTraining] = Field(
        default={}, description="method -> values of `training` that it has in these settings"
    )
    validation_tasks: Count | None = Field(
        default=None, description="tasks set aside for choices; null: those of the data"
    )
    offset: Offset = None


class Profile(Strict):
    inner_steps: Annotated[list[Count], Field(min_length=1)]
    repeats: Count = Field(description="timed meta-updates; the median is reported")


class _AnyGrid(Strict):
    seeds: Annotated[list[Seed], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    seeds_per_job: Count = Field(
        default=1, description="seeds of a method and setting that one job trains together"
    )
    keep_evidence: bool = Field(
        default=False, description="runs are kept as small files for git, and restored from them"
    )
    training: dict[str, Any] = Field(default={}, description="replaces values of `training`")
    evaluation: dict[str, Any] = Field(default={}, description="replaces values of `evaluation`")
    inner_steps: Count | None = Field(default=None, description="replaces each setting's own")
    companions: list[str] = Field(
        default=[], description="grids whose committed tables are shown beside this one's"
    )
    predictors: list[Predictor] = Field(
        default=[], description="to beat, beside the trivial ones, each on data of its kind"
    )
    profile: Profile
    studies: Studies = Field(default=Studies(), description="studies of the meta-gradients")


class GridFile(_AnyGrid):
    """What a file of grids/ holds."""

    vary: dict[str, Varied] = Field(
        default={}, description="method -> parameter -> values; each alone, beside the method"
    )
    cross: dict[str, Varied] = Field(
        default={},
        description="method -> parameter -> values; every combination, beside the method",
    )
    switch: dict[str, Some[str]] = Field(
        default={}, description="method -> points as the authors' code has them; each alone; `all`"
    )
    settings: Annotated[list[SettingAxes], Field(min_length=1)]


class Grid(_AnyGrid):
    """A grid with its methods and settings by name."""

    settings: list[str]
    own_training: dict[str, dict[str, OwnTraining]] = Field(
        default={}, description="setting -> method -> values of `training` that it has there"
    )
    own_loop: dict[str, dict[str, Any]] = Field(
        default={}, description="setting -> values of `training` that every method has there"
    )
    variants: dict[str, Variant] = Field(
        default={}, description="of those methods and settings that vary another"
    )


@dataclass
class Expanded:
    """Methods and settings of all grids by name, the grids, and one line per fault."""

    methods: dict[str, MethodSettings]
    settings: dict[str, Setting] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


Named = tuple[str, Any, Variant | None]  # a method or setting by its name, and what it varies


def grid_file(params_file: str, grid: str) -> str:
    """The file of a grid, beside the parameter file."""
    return (Path(params_file).parent / "grids" / f"{grid}.yaml").as_posix()


def expanded(
    methods: Mapping[str, MethodSettings],
    files: Mapping[str, GridFile],
    *,
    params_file: str,
    own: Collection[str] = (),
) -> Expanded:
    """All methods and settings that the files of grids/ ask for.

    Args:
        methods: those of the parameter file.
        params_file: for messages.
        own: names of its `datasets`.
    """
    done = Expanded(dict(methods))
    for grid, given in files.items():
        faults: list[str] = []
        labels = list(_methods(given, methods, faults))
        own_training: dict[str, dict[str, OwnTraining]] = {}
        own_loop: dict[str, dict[str, Any]] = {}
        names = list(_settings(given, (*DATASETS, *own), own_training, own_loop, faults))
        _check_labels(given, [label for label, _, _ in labels], faults)
        done.methods |= {label: entry for label, entry, _ in labels}
        done.settings |= {name: entry for name, entry, _ in names}
        done.faults += [f"{grid_file(params_file, grid)}: {fault}" for fault in faults]
        same = {key: getattr(given, key) for key in _AnyGrid.model_fields}
        done.grids[grid] = Grid.model_construct(
            **same
            | {
                "methods": [label for label, _, _ in labels],
                "settings": [name for name, _, _ in names],
                "own_training": own_training,
                "own_loop": own_loop,
                "variants": {name: of for name, _, of in (*labels, *names) if of is not None},
            }
        )
    return done


def _methods(
    given: GridFile, methods: Mapping[str, MethodSettings], faults: list[str]
) -> Iterator[Named]:
    """Each method of a grid, and after it what varies it."""
    for key in ("vary", "cross", "switch"):
        for label in getattr(given, key):
            if label not in given.methods:
                faults.append(f"{key}: {not_among(label, given.methods, 'no method of this grid')}")
    for label in given.methods:
        if label not in methods:
            faults.append(f"methods: {not_among(label, methods, 'no entry under `methods`')}")
            continue
        yield label, methods[label], None
        for key, found in (
            (f"vary.{label}", _varied_methods(label, given, methods, faults)),
            (f"cross.{label}", _crossed_methods(label, given, methods, faults)),
            (f"switch.{label}", _switched_methods(label, given, methods, faults)),
        ):
            for name, entry, variant in found:
                if name in methods:
                    faults.append(
                        f"{key}: makes the name '{name}', which has an entry under `methods` in "
                        "the parameter file; give that another name"
                    )
                elif (valid := _valid(type(methods[label]), entry, f"{key}: ", faults)) is not None:
                    yield name, valid, variant


def _varied_methods(
    label: str, given: GridFile, methods: Mapping[str, MethodSettings], faults: list[str]
) -> Iterator[Named]:
    allowed = _parameters_of(methods[label])
    for parameter, value in _values(given.vary.get(label, {}), allowed, f"vary.{label}", faults):
        yield _varied_method(label, methods[label], {parameter: value})


def _crossed_methods(
    label: str, given: GridFile, methods: Mapping[str, MethodSettings], faults: list[str]
) -> Iterator[Named]:
    """Every combination of the values."""
    axes = given.cross.get(label, {})
    known = len(faults)
    list(_values(axes, _parameters_of(methods[label]), f"cross.{label}", faults))
    if not axes or len(faults) > known:
        return
    for values in product(*axes.values()):
        yield _varied_method(label, methods[label], dict(zip(axes, values, strict=True)))


def _parameters_of(method: MethodSettings) -> set[str]:
    return {*type(method).model_fields, *OwnTraining.model_fields} - _NO_PARAMETERS


def _varied_method(label: str, method: MethodSettings, varied: Mapping[str, Scalar]) -> Named:
    entry = method.model_dump()
    name = label
    for parameter, value in varied.items():
        place = entry["training"] if parameter in OwnTraining.model_fields else entry
        place[parameter] = value
        name = varied_name(name, parameter, value)
    return name, entry, Variant(base=label, varied=dict(varied))


def _switched_methods(
    label: str, given: GridFile, methods: Mapping[str, MethodSettings], faults: list[str]
) -> Iterator[Named]:
    points = points_of(methods[label])
    for point in given.switch.get(label, []):
        if point not in (*points, ALL):
            said = not_among(point, [*points, ALL], f"no point of {label}")
            faults.append(f"switch.{label}: {said}")
            continue
        entry = released_method(methods[label], points if point == ALL else [point])
        yield switched_name(label, point), entry, Variant(base=label, switched=[point])


def _check_labels(given: GridFile, labels: list[str], faults: list[str]) -> None:
    """Refuse a name that comes of two entries, and own training of a method that is not there."""
    made = [label for label in labels if label not in given.methods]
    for label in sorted({label for label in made if made.count(label) > 1}):
        faults.append(f"methods: found '{label}' twice, of vary, cross and switch; drop one")
    for place, axes in enumerate(given.settings):
        for label in axes.training:
            if label not in labels:
                said = not_among(label, labels, "no method of this grid")
                faults.append(f"settings.{place}.training: {said}")


def _settings(
    given: GridFile,
    known: Sequence[str],
    own_training: dict[str, dict[str, OwnTraining]],
    own_loop: dict[str, dict[str, Any]],
    faults: list[str],
) -> Iterator[Named]:
    """Every combination of the axes of each entry; `known` are the data sets that there are.

    Puts into `own_training` what methods have for themselves in a setting, into `own_loop` what
    all of them have there.
    """
    for place, axes in enumerate(given.settings):
        where = f"settings.{place}"
        for dataset, shots in product(axes.dataset, axes.shots):
            if dataset not in known:
                said = not_among(dataset, known, "no data set")
                faults.append(f"{where}.dataset: {said}")
                continue
            support, query = map(int, shots.split("/"))
            family = FAMILIES.get(dataset)
            usual = family.usual_steps.get(support) if family else None
            steps = axes.inner_steps or ([usual] if usual else [])
            if not steps:
                faults.append(
                    f"{where}.inner_steps: missing; needed for {dataset} with {support} shots, "
                    "which has no usual number of inner steps"
                )
            for k in steps:
                rows: dict[str, Any] = {"dataset": dataset, "support": support, "query": query}
                rows["inner_steps"] = k
                base = f"{dataset}-{support}shot-{query}val" + ("" if k == usual else f"-{k}steps")
                if axes.validation_tasks is not None:
                    rows["validation_tasks"] = axes.validation_tasks
                    base = varied_name(base, "validation_tasks", axes.validation_tasks)
                if axes.offset is not None:
                    rows["offset"] = axes.offset
                    base = varied_name(base, "offset", axes.offset)
                for name, values, variant in _of_setting(base, rows, axes, where, faults):
                    if (valid := _valid(Setting, values, f"{where}: ", faults)) is not None:
                        if axes.training:
                            own_training.setdefault(name, {}).update(axes.training)
                        if loop := axes.model_dump(include=_OWN_LOOP, exclude_none=True):
                            own_loop[name] = loop
                        yield name, valid, variant


def _of_setting(
    base: str,
    rows: dict[str, Any],
    axes: SettingAxes,
    where: str,
    faults: list[str],
) -> Iterator[Named]:
    """A setting, or what `switch` and `vary` make of it."""
    dataset = rows["dataset"]
    points = [OURS, "scaling"]
    if f"{dataset}{RELEASED_SUFFIX}" in FAMILIES:
        points.append("family")
    if dataset in SOURCES:
        points.append("threshold")
    for point in axes.switch:
        if point not in points:
            faults.append(f"{where}.switch: {not_among(point, points, f'no point of {dataset}')}")
        elif point != OURS:
            variant = Variant(base=base, switched=[point])
            yield switched_name(base, point), released_setting(rows, point), variant
        elif not axes.vary:
            yield base, rows, None
    for parameter, value in _values(axes.vary, SETTING_PARAMETERS, f"{where}.vary", faults):
        variant = Variant(base=base, varied={parameter: value})
        yield varied_name(base, parameter, value), rows | {parameter: value}, variant


def _values(
    vary: Varied, allowed: Collection[str], where: str, faults: list[str]
) -> Iterator[tuple[str, Scalar]]:
    """Each parameter with each of its values."""
    for parameter, values in vary.items():
        if parameter in allowed:
            yield from ((parameter, value) for value in values)
        else:
            faults.append(f"{where}: {not_among(parameter, sorted(allowed), 'no parameter of it')}")


def _valid(kind: type[BaseModel], entry: Any, where: str, faults: list[str]) -> Any:
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        faults += [where + line for line in explain(error, kind)]
        return None


def varied_name(base: str, parameter: str, value: Scalar) -> str:
    """`METHOD-outer_lr-0.003`; `METHOD-early`."""
    if parameter == EARLY_STOPPING and value is True:
        return f"{base}-early"
    said = json.dumps(value) if value is None or isinstance(value, bool) else value
    return f"{base}-{parameter}-{said}"


def switched_name(base: str, point: str) -> str:
    """`METHOD-POINT-released`, `METHOD-released-all`; `METHOD-released`, a point of its name."""
    if point == ALL:
        return f"{base}-released-all"
    return f"{base}-released" if point == base else f"{base}-{point}-released"
