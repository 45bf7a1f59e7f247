"""Reads a parameter file, and the files of grids/ beside it, as they stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import BadInput


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


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The sections of a parameter file, not checked.

    Raises:
        BadInput: when it is missing, not YAML, no mapping, or has a key twice.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run from the project's root folder") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise BadInput(
            f"{path}: found brackets within brackets, too deep to read; needed a mapping of "
            "sections"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{path}: not YAML: {error}") from None
    if not isinstance(raw, Mapping):
        raise BadInput(f"{path}: found {type(raw).__name__}, needed a mapping of sections")
    return raw


def read_parameters(path: Path, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The sections of a parameter file alone, with `overrides` in the place of its values.

    Raises:
        BadInput: as `read_mapping`.
    """
    return replaced(read_mapping(path), overrides or {})


def read_config(path: Path, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The sections of a parameter file, and under `grids` those of `grids/*.yaml` beside it.

    Args:
        overrides: values in the place of the file's, section by section.

    Raises:
        BadInput: when a file is missing, not YAML, no mapping, or has a key twice, or when the
            parameter file holds grids itself.
    """
    found = dict(read_mapping(path))
    for key in ("grids", "settings"):
        if key in found:
            raise BadInput(
                f"{path}: {key}: unknown key; a grid and its settings stand in a file "
                f"{path.parent / 'grids'}/NAME.yaml. Move it there."
            )
    files = sorted((path.parent / "grids").glob("*.yaml"), key=lambda file: file.stem)
    grids = {file.stem: read_mapping(file) for file in files}
    return replaced(found, overrides or {}) | {"grids": grids}


def replaced(values: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with values of another in the place of its own, section by section."""
    found = dict(values)
    for key, value in by.items():
        there = found.get(key)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            value = replaced(there, value)
        found[key] = value
    return found
