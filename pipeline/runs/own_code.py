"""A person's own classes and functions by import path: where they lie, and how they are loaded.

Code runs only for what params.yaml marks as code (`module`, `loss`), and only from the project's
folder, where params.yaml lies and commands are run, or from installed packages.
"""

import importlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from typing import Any

from pipeline.errors import BadInput

BESIDE = Path(__file__).parents[2]  # where this package lies: a served model's code does, too
PATH = r"^[A-Za-z]\w*(\.[A-Za-z_]\w*)+$"  # MODULE.NAME, of a package PACKAGE.MODULE.NAME
_INSTALLED = ("site-packages", "dist-packages")


def module_file(path: str, where: str) -> Path | None:
    """The file of MODULE in the project's folder; None of one of an installed package.

    Nothing is imported.

    Args:
        path: MODULE.NAME.
        where: the key that says it, for messages.

    Raises:
        BadInput: for what is no such path, and for code of neither kind.
    """
    if not re.fullmatch(PATH, path) or "__" in path:
        raise BadInput(
            f"{where}: found '{path}', needed a class or function by its import path, such as "
            "my_models.ConvNet, in a module of the project's folder or an installed package."
        )
    *parts, _ = path.split(".")
    if parts[0] in sys.stdlib_module_names:
        raise BadInput(
            f"{where}: found '{path}', a module of Python itself; needed one of the project's "
            "folder or of an installed package. Rename yours if it has that name."
        )
    if root := _root(parts[0]):
        place = root.joinpath(*parts)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                if not file.resolve().is_relative_to(root.resolve()):
                    raise BadInput(
                        f"{where}: found '{path}' in {file.resolve()}, needed a file in the "
                        "project's folder. Copy it there."
                    )
                return file
    elif (found := importlib.util.find_spec(parts[0])) and _is_installed(found.origin):
        return None
    raise BadInput(
        f"{where}: found no module {'.'.join(parts)}, needed {'/'.join(parts)}.py in the project's "
        "folder, or an installed package of that name. Correct the path, or write it."
    )


def _root(package: str) -> Path | None:
    """The project's folder that has a module or package of that name."""
    for root in (Path.cwd(), BESIDE):
        if any((root / f"{package}{end}").exists() for end in (".py", "")):
            return root
    return None


def _is_installed(origin: str | None) -> bool:
    return origin is not None and any(part in _INSTALLED for part in Path(origin).parts)


def load(path: str, where: str) -> Any:
    """The class or function at MODULE.NAME.

    Raises:
        BadInput: for what `module_file` refuses, a module that cannot be imported, and a name that
            it does not have.
    """
    file = module_file(path, where)
    module, _, name = path.rpartition(".")
    if file is not None and (root := str(_root(module.partition(".")[0]))) not in sys.path:
        sys.path.insert(0, root)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise BadInput(f"{where}: cannot import {module}: {said(error)}") from error
    if file is not None and Path(str(found.__file__)).resolve() != file.resolve():
        raise BadInput(
            f"{where}: {module} is {found.__file__} here, needed {file}: two modules have that "
            "name. Rename yours."
        )
    if not hasattr(found, name):
        raise BadInput(f"{where}: found no {name} in {file or module}. Correct the path.")
    return getattr(found, name)


def said(error: BaseException) -> str:
    """An error of a person's own code in one line, with its file and line."""
    if isinstance(error, BadInput):
        return str(error)
    words = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}: line {error.lineno}: {error.msg}"
    if not isinstance(error, ValueError) or _place(error):
        words = f"{type(error).__name__}: {words}" if str(error) else words
    return f"{_place(error)}{words}"


def _place(error: BaseException) -> str:
    """The last line of the person's own code on the way to an error, or to what caused it."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:  # errors may name each other as causes
        seen.add(id(cause))
        for frame in reversed(traceback.extract_tb(cause.__traceback__)):
            if _is_own(Path(frame.filename)):
                return f"{_short(frame.filename)}: line {frame.lineno}: "
        cause = cause.__cause__
    return ""


def _is_own(file: Path) -> bool:
    own_package = Path(__file__).parents[1]
    return (
        file.is_relative_to(Path.cwd())
        and not file.is_relative_to(own_package)
        and not _is_installed(str(file))
    )


def _short(filename: str) -> str:
    file = Path(filename)
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
