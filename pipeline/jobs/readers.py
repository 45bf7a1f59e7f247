"""What every reader asks before it reads: is this what I was told to read?

Snakemake orders jobs by recipes (pipeline/jobs/look.py), but it is not there when a file is
exchanged, restored or half-made behind its back. So each command that makes something of records
or of tables compares the recipes they carry with those it was given, and refuses others.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.jobs.artifacts import LISTED, STORED, carried_in, carried_recipe
from pipeline.runs.recipe import Recipe, digest
from pipeline.seals import digests, listed_fault, sealed_bytes, write_sealed

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
    """Refuse tables or figures of another recipe, or damaged; `file` is that which carries it.

    Args:
        wanted: digest of the recipe.
        what: `tables` or `figures`.

    Raises:
        BadInput: saying which command makes them anew.
    """
    for fault in _fault(file, wanted, f"recipe of {what}"):
        raise BadInput(f"{fault}. {_anew(file.parts[-3])}")
    check_listed(file)


def check_listed(carrier: Path) -> None:
    """Refuse tables or figures of which a file is not as it was made.

    Raises:
        BadInput: saying which command makes them anew.
    """
    _, listed = carried_in(carrier, sealed_bytes(carrier))
    if fault := listed_fault(carrier.parent, listed):
        raise BadInput(f"{carrier.parent}/{fault}. {_anew(carrier.parts[-3])}")


def check_tasks(folder: Path, figures: Recipe) -> None:
    """Refuse task sets that are not those of the recipe of figures.

    Raises:
        BadInput: saying which command makes them anew.
    """
    for name, wanted in figures["tasks"].items():
        for fault in _fault(folder / f"{name}.parquet", wanted, "task set"):
            raise BadInput(f"{fault}. {_anew(figures['grid'])}")


def check_champions(results_dir: Path, page: Recipe) -> None:
    """Refuse champions that are not those of the recipe of a page.

    Raises:
        BadInput: saying which command makes it of those that are there.
    """
    files = {path.stem: path for path in (results_dir / "champions").glob("*.safetensors")}
    for name, wanted in page.get("champions", {}).items():
        if name not in files or file_digest(files[name]) != wanted:
            raise BadInput(
                f"{results_dir}/champions: found another {name}.safetensors than the recipe of the "
                f"page names. {_anew(page['grid'])}"
            )


def _anew(grid: str) -> str:
    return f"Make them anew: `snakemake --config grid={grid}`."


def variants_of(results_dir: Path) -> Recipe:
    """What the names in a grid's tables vary, as their recipe says; none without one."""
    return (carried_recipe(results_dir / "tables/spec.json") or {}).get("variants", {})


def making(
    carrier: Path, recipe: Recipe, make: Callable[[], object], beside: Sequence[str] = ()
) -> None:
    """Call `make`, and let what it made carry its recipe: taken away before, written last.

    With the recipe stand digests of the files that carry none: those of the folder of a
    `spec.json`, or those that are named.

    Args:
        beside: names of files in the carrier's folder.
    """
    carrier.unlink(missing_ok=True)
    held = make()
    is_folder = carrier.name == "spec.json"
    files = [carrier.parent / name for name in beside]
    if is_folder:
        files = [p for p in carrier.parent.iterdir() if p.is_file() and p.name[0] != "."]
    listed = {LISTED: digests(files)} if files else {}
    stored = {STORED: held} if isinstance(held, dict) else {}
    write_sealed(carrier, (recipe if is_folder else {"spec": recipe}) | listed | stored)
