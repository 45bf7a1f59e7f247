"""The one reader of YAML: parameter files, the files of grids/ beside them, values in their place.

It reads scalars as YAML 1.2 has them, and so as DVC writes and reads them: 1e-06 is a number, 010
is ten, a date is a text.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import BadInput

LARGEST_FILE = 1_000_000  # bytes
DEEPEST = 30  # brackets within brackets
MOST_NODES = 100_000  # with every alias written out
LONGEST_INTEGER = 19  # digits: those of 2^63
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map", "merge")  # tags that are read


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"{_line(key)}: found a list or mapping as a key")
            if key.value in seen:
                raise yaml.YAMLError(f"{_line(key)}: the key `{key.value}` stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "").lower()
    digits = text.lstrip("+-")
    if not _INTEGER.fullmatch(node.value) or len(digits) > LONGEST_INTEGER:
        raise yaml.YAMLError(
            f"{_line(node)}: found {text[:30]}{'...' * (len(text) > 30)}, needed a whole number of "
            f"at most {LONGEST_INTEGER} digits"
        )
    return int(text, {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10))


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    if not _FLOAT.fullmatch(node.value):
        raise yaml.YAMLError(f"{_line(node)}: found {node.value[:30]!r}, needed a number")
    return float(node.value.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


# Implicit tags: those of YAML 1.1 but for numbers and dates; yes and no are true and false there.
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in found if pair[0].removeprefix(_TAG) in ("null", "bool", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern, _read in (("int", _INTEGER, _integer), ("float", _FLOAT, _float)):
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_TAG + _name, _whole, list("-+.0123456789"))
    _Loader.add_constructor(_TAG + _name, _read)


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: when it is none, has a key twice, a tag that is none of JSON's types, whole
            numbers beyond 64 bits, or brackets or aliases within one another without end.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_odd(root, {}, set(), 0)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except KeyError as error:  # of `!!bool` before another word
        raise ValueError(f"found {error}, needed true or false") from None
    except RecursionError:
        raise ValueError(f"found brackets within brackets, needed at most {DEEPEST}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse_odd(node: yaml.Node, sizes: dict[int, int], above: set[int], depth: int) -> int:
    """The nodes at and below a node, every alias written out."""
    if node.tag.removeprefix(_TAG) not in _PLAIN:
        raise yaml.YAMLError(f"{_line(node)}: found the tag {node.tag[:60]}, needed none")
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above or depth > DEEPEST:
        raise yaml.YAMLError(f"{_line(node)}: found brackets within brackets, beyond {DEEPEST}")
    if id(node) not in sizes:
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        below = above | {id(node)}
        sizes[id(node)] = 1 + sum(_refuse_odd(part, sizes, below, depth + 1) for part in parts)
    if sizes[id(node)] > MOST_NODES:
        raise yaml.YAMLError(
            f"{_line(node)}: found more than {MOST_NODES:,} values, every alias written out"
        )
    return sizes[id(node)]


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The sections of a parameter file, not checked.

    Raises:
        BadInput: when it is missing, too large, no mapping, or refused by `parse_yaml`.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise BadInput(f"{path}: found {size:,} bytes, needed at most {LARGEST_FILE:,}")
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run from the project's root folder") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{path}: not YAML: {error}") from None
    if not isinstance(raw, Mapping):
        raise BadInput(f"{path}: found {type(raw).__name__}, needed a mapping of sections")
    return raw


def read_overrides(files: Sequence[Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """What Snakemake's `--configfile` and `--config` put in the place of parameters.

    Args:
        files: read here once more, as the parameter file is.
        given: of `--config`; Snakemake leaves what stands in brackets as texts.

    Raises:
        BadInput: as `read_mapping`.
    """
    found: dict[str, Any] = {}
    for file in files:
        found = replaced(found, read_mapping(file))
    return replaced(found, {k: _typed(v) if _is_nested(v) else v for k, v in given.items()})


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list)


def _typed(value: Any, depth: int = 0) -> Any:
    """Texts that are numbers, true, false or null in YAML as those."""
    if depth > DEEPEST:
        raise BadInput(f"--config: found brackets within brackets, beyond {DEEPEST}")
    if isinstance(value, Mapping):
        return {key: _typed(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part, depth + 1) for part in value]
    try:
        read = parse_yaml(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return value if _is_nested(read) or isinstance(read, str) else read


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
