"""Options that several commands share."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.config.card import MOST
from pipeline.errors import BadInput

if TYPE_CHECKING:
    from pipeline.config.schema import Params

ParamsFile = Annotated[
    Path, typer.Option("--params", help="parameter file; its grids lie in grids/ beside it")
]
GridName = Annotated[
    str | None, typer.Option("--grid", help="instead of the grid that --params names")
]
Spec = Annotated[
    str | None,
    typer.Option(
        "--spec",
        help="the recipe as JSON, or @FILE holding it (a finished artifact's spec.json repeats "
        "that job); default: what --params and the names give",
        metavar="JSON",
    ),
]
Method = Annotated[str | None, typer.Option("--method", help="method, when --spec is not given")]
Setting = Annotated[str | None, typer.Option("--setting", help="setting, when --spec is not given")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MOST, help="seed, when --spec is not given")
]
Evidence = Annotated[
    Path | None, typer.Option(help="small file for git to which what was made is added")
]
Device = Annotated[str, typer.Option("--device", help="auto, cuda or cpu")]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads of torch")]
Config = Annotated[
    str | None,
    typer.Option("--config", help="values in the place of those in --params", metavar="JSON"),
]
RECIPE = "a recipe object"


def parameters(
    params: Path, grid: str | None = None, overrides: Mapping[str, Any] | None = None
) -> "Params":
    """The parameters that a command was given.

    Args:
        params, grid: as `--params` and `--grid` say.
        overrides: values in the place of the file's.

    Raises:
        BadInput: when they are not sound, or there is no such grid.
    """
    from pipeline.config.schema import load_params, on_grid

    return on_grid(load_params(params, overrides), grid)


def given_or(
    spec: str | None,
    recipe: Callable[..., dict[str, Any]],
    params: Path,
    *names: Any,
    grid: str | None = None,
    **allowed: str | None,
) -> dict[str, Any]:
    """The recipe that `--spec` holds, else the one that the parameters give.

    Args:
        recipe: what makes it, of the parameters, `allowed` in their order, and `names`.
        allowed: `method` or `setting`, as the options of that name say.

    Raises:
        BadInput: when `--spec` holds no recipe, or the parameters have no such name.
    """
    if spec:
        return parse_spec(spec)
    loaded = parameters(params, grid)
    for option, found in allowed.items():
        refuse_others(f"--{option}", found, getattr(loaded, f"{option}s"))
    return recipe(loaded, *allowed.values(), *names)


def tell_made(*files: Path) -> None:
    """Say what a command made: the rows of tables, the size of other files."""
    import pyarrow.parquet as pq

    for file in files:
        if file.suffix == ".parquet":
            size = f"{pq.read_metadata(file).num_rows} rows"
        else:
            size = f"{file.stat().st_size} bytes"
        typer.echo(f"{file}: {size}")


def refuse_others(option: str, found: str | None, allowed: Collection[str]) -> None:
    """Refuse a value that is none of those allowed.

    Raises:
        BadInput: naming them and the nearest.
    """
    if found is None:
        raise BadInput(f"{option}: missing; needed one of: {', '.join(allowed)}.")
    if found not in allowed:
        from pipeline.config.messages import not_among

        raise BadInput(f"{option}: {not_among(found, allowed)}")


def parse_spec(text: str) -> dict[str, Any]:
    """The mapping given to `--spec`.

    Raises:
        BadInput: when it is no JSON object.
    """
    return _mapping(*_read_json(text))


def parse_specs(text: str) -> dict[str, Any] | list[dict[str, Any]]:
    """As `parse_spec`, where a list of recipes is allowed too: one per seed.

    Raises:
        BadInput: when it is neither, or an empty list.
    """
    where, spec = _read_json(text)
    if not isinstance(spec, list):
        return _mapping(where, spec)
    if not spec or not all(isinstance(recipe, dict) for recipe in spec):
        found = sorted({type(recipe).__name__ for recipe in spec})
        raise BadInput(
            f"{where}: found list of {', '.join(found) or 'nothing'}, needed a recipe object, or "
            "a list of one recipe object per seed"
        )
    return spec


def _mapping(where: str, found: Any, needed: str = RECIPE) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise BadInput(f"{where}: found {type(found).__name__}, needed {needed}")
    return found


def parse_config(text: str) -> dict[str, Any]:
    """The mapping given to `--config`: values in the place of those in --params.

    Raises:
        BadInput: when it is no JSON object.
    """
    needed = "an object of sections and their values"
    return _mapping(*_read_json(text, "--config", needed), needed)


def _read_json(text: str, option: str = "--spec", needed: str = RECIPE) -> tuple[str, Any]:
    """Where the JSON stands, and what it holds."""
    from pipeline.files import parse_json

    where = option
    if text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{option}: cannot read {where}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise BadInput(f"{where}: found no UTF-8 text ({error}); needed {needed}") from None
    try:
        return where, parse_json(text)
    except ValueError as error:
        raise BadInput(f"{where}: found no JSON ({error}); needed {needed}") from None


def take(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    """The named entries of a recipe.

    Raises:
        BadInput: naming the entries it lacks.
    """
    missing = [name for name in names if name not in spec]
    if missing:
        raise BadInput(
            f"--spec: found no {', '.join(missing)}; needed {', '.join(names)}. "
            "Leave --spec out to take the recipe from params.yaml."
        )
    return {name: spec[name] for name in names}


# Entries that the recipe of a view has (pipeline/jobs/recipes.py).
_OF_VIEWS = {
    "tables": (
        "grid",
        "methods",
        "settings",
        "seeds",
        "companions",
        "variants",
        "runs",
        "profiles",
        "studies",
    ),
    "figures": ("grid", "settings", "tables"),
    "report": ("grid", "tables", "figures"),
    "tracking": ("grid", "methods", "settings", "seeds", "tables", "figures"),
}


def take_all(spec: dict[str, Any], kind: str) -> dict[str, Any]:
    """The recipe of a view, when it has all that such a recipe needs.

    Raises:
        BadInput: naming the entries it lacks.
    """
    take(spec, *_OF_VIEWS[kind])
    return spec
