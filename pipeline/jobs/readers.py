"""What every reader asks before it reads: is this what I was told to read?

Snakemake orders jobs by recipes (pipeline/jobs/look.py), but it is not there when a file is
exchanged, restored or half-made behind its back. So each command that makes something of records
or of tables compares the recipes they carry with those it was given, and refuses others.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.jobs.artifacts import carried_recipe
from pipeline.runs.recipe import Recipe, digest
from pipeline.seals import write_sealed

SHOWN = 3  # of many faults


def check_records(results_dir: Path, tables: Recipe) -> None:
    """Refuse references, runs, profiles and studies that are not those of the recipe of tables.

    Raises:
        BadInput: naming them and the command that makes them anew.
    """
    faults = list(_faults(results_dir, tables))
    if faults:
        more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise BadInput(
            "\n".join([*faults[:SHOWN], *more])
            + f"\nTables of grid '{tables['grid']}' may be made of records of its recipes only; "
            f"make these anew: `snakemake --config grid={tables['grid']}`."
        )


def _faults(results_dir: Path, tables: Recipe) -> Iterator[str]:
    for setting, of_setting in tables["runs"].items():
        for label, of_label in of_setting.items():
            for seed, wanted in of_label.items():
                spec = results_dir / "runs" / label / setting / seed / "spec.json"
                yield from _fault(spec, wanted, "run")
    for pattern, named in (
        ("reference/{}.parquet", "references"),
        ("profile/{}.json", "profiles"),
        ("studies/{}.json", "studies"),
    ):
        for name, wanted in tables[named].items():
            yield from _fault(results_dir / pattern.format(name), wanted, "record")


def _fault(file: Path, wanted: str, what: str) -> Iterator[str]:
    if not file.is_file():
        yield f"{file}: found no {what} there"
    elif (found := carried_recipe(file)) is None:
        yield f"{file}: found no readable recipe in it"
    elif digest(found) != wanted:
        yield f"{file}: found a {what} with digest {digest(found)}, needed {wanted}"


def check_view(file: Path, wanted: str, what: str) -> None:
    """Refuse tables or figures of another recipe; `file` is that which carries it.

    Args:
        wanted: digest of the recipe.
        what: `tables` or `figures`.

    Raises:
        BadInput: saying which command makes them anew.
    """
    for fault in _fault(file, wanted, f"recipe of {what}"):
        raise BadInput(f"{fault}. Make them anew: `snakemake --config grid={file.parts[-3]}`.")


def variants_of(results_dir: Path) -> Recipe:
    """What the names in a grid's tables vary, as their recipe says; none without one."""
    return (carried_recipe(results_dir / "tables/spec.json") or {}).get("variants", {})


def making(carrier: Path, recipe: Recipe, make: Callable[[], object]) -> None:
    """Call `make`, and let what it made carry its recipe: taken away before, written last."""
    carrier.unlink(missing_ok=True)
    make()
    write_sealed(carrier, recipe if carrier.name == "spec.json" else {"spec": recipe})
