"""Adds an entry to a section of a parameter file, and leaves all else in it as it stands."""

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.config.load import parse_yaml
from pipeline.data.own_files import is_number
from pipeline.errors import BadInput


def with_entry(text: str, section: str, name: str, entry: Mapping[str, Any], where: str) -> str:
    """The text of a YAML file with `entry` under `name` in a section, which is made if need be.

    Args:
        where: the file, for messages.

    Raises:
        BadInput: when the section is written in a way that cannot be added to; nothing else would
            be the same.
    """
    before = parse_yaml(text)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    found = next((pair for pair in root.value if pair[0].value == section), None)
    block = f"  {name}:\n" + "".join(f"    {_line(*given)}\n" for given in entry.items())
    if found is None:
        added = f"{text.rstrip()}\n\n{section}:\n{block}"
    else:
        added = _added(text, found[0], found[1], block)
    wanted = dict(before) | {section: dict(before.get(section) or {}) | {name: dict(entry)}}
    try:
        sound = parse_yaml(added) == wanted
    except ValueError:
        sound = False
    if not sound:
        raise BadInput(
            f"{where}: {section}: is written in a way that nothing can be added to. Write it in by "
            f"hand:\n{section}:\n{block}".rstrip()
        )
    return added


def _line(key: str, value: Any) -> str:
    dumped: str = yaml.dump(
        {key: value},
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        width=10**9,
        allow_unicode=True,
    )
    return dumped.strip()[1:-1]


class _Dumper(yaml.SafeDumper):
    """Quotes texts that YAML 1.2 takes for numbers and PyYAML, which is of 1.1, does not: 1e5."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "'" * is_number(value) or None)


_Dumper.add_representer(str, _text)


def _added(text: str, key: yaml.Node, value: yaml.Node, block: str) -> str:
    """With the block below the last line of the section, or in the place of an empty one."""
    lines = text.splitlines(keepends=True)
    if not value.value:  # `datasets:` alone, or `datasets: {}`
        start = key.end_mark.line
        rest = lines[start][key.end_mark.column + 1 :].replace("{}", "", 1).strip()
        lines[start] = f"{lines[start][: key.end_mark.column]}:{' ' * bool(rest)}{rest}\n"
        return "".join([*lines[: start + 1], block, *lines[start + 1 :]])
    last = _last_line(value)
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    first = value.value[0][0].start_mark.column
    indented = "".join(f"{' ' * (first - 2)}{line}\n" for line in block.splitlines())
    return "".join([*lines[: last + 1], indented, *lines[last + 1 :]])


def _last_line(node: yaml.Node) -> int:
    """The last line of a block; its end mark stands behind comments that follow."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    line: int = node.end_mark.line
    is_open = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return line - 1 if is_open else line
