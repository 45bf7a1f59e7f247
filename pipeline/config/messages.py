"""Schema faults in the words of the user: key, value found, what is allowed."""

import difflib
import re
import types
import typing
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.config.own_data import OWN_KINDS

_LONGEST = 160
_NO_MAPPING = ("dict_type", "model_type", "model_attributes_type")


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line per fault of a pydantic `ValidationError`, with a guess for misspelt keys."""
    return [_explain_one(fault, root) for fault in error.errors()]


def did_you_mean(found: Any, allowed: Iterable[str]) -> str:
    """A guess to put behind a sentence; empty where nothing is near."""
    close = difflib.get_close_matches(str(found), list(allowed), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def not_among(found: Any, allowed: Collection[str], what: str = "not allowed") -> str:
    """The text of a value that is none of those allowed; `what` it is none of."""
    guess = did_you_mean(found, allowed)
    return f"found {shown(found)}, {what}.{guess} Allowed: {', '.join(allowed)}."


def shown(found: Any) -> str:
    """A value as a message has it: not longer than a line or two."""
    text = repr(found)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _explain_one(fault: Any, root: type[BaseModel]) -> str:
    path = typed = tuple(fault["loc"])
    if path[:1] == ("methods",) and len(path) > 2:
        # pydantic names the method after the label: it says which keys are allowed
        path, typed = path[:2] + path[3:], path[:1] + path[2:]
    if path[:1] == ("datasets",) and len(path) > 2:  # and here the kind of the entry
        root, path, typed = OWN_KINDS[path[2]], path[:2] + path[3:], path[3:]
    key = shown(".".join(str(part) for part in path))[1:-1]
    found = fault.get("input")
    kind = fault["type"]
    if kind == "extra_forbidden":
        name = str(path[-1])
        allowed = _keys_at(root, typed[:-1])
        known = f" Allowed here: {', '.join(allowed)}." if allowed else ""
        return f"{key}: unknown key (value {shown(found)}).{did_you_mean(name, allowed)}{known}"
    if kind == "missing":
        return f"{key}: missing; it has no default, write it in."
    if kind in ("union_tag_invalid", "literal_error"):
        tagged = kind == "union_tag_invalid"
        name = fault["ctx"]["tag"] if tagged else found
        allowed = re.findall(r"'([^']*)'", fault["ctx"]["expected_tags" if tagged else "expected"])
        return f"{key}: {not_among(name, allowed, 'no method' if tagged else 'not allowed')}"
    if kind == "value_error":  # one of the schema's own checks, which says all itself
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    if kind == "string_pattern_mismatch" and "shots" in path:
        return f"{key}: found {shown(found)}, needed support/query rows of a task, such as 50/50"
    if kind == "string_pattern_mismatch":
        return f"{key}: found {shown(found)}; a name has letters, digits, `.`, `_`, `-` only"
    if kind in _NO_MAPPING:
        empty = " ({} for none)" if path[:1] == ("methods",) else ""
        return f"{key}: found {shown(found)}; needed a mapping of its keys to values{empty}"
    return f"{key}: found {shown(found)}; {fault['msg']}{_number_hint(kind, found)}"


def _number_hint(kind: str, found: Any) -> str:
    """The remedy for a number that YAML reads as text, or as one of another type."""
    try:
        value = float(found) if isinstance(found, str | float | int) else None
    except (ValueError, OverflowError):
        return ""
    if kind in ("int_type", "int_from_float") and value is not None and value.is_integer():
        return f" (write {int(value)})"
    if kind == "float_type" and isinstance(found, str) and value is not None:
        return " (write it without quotes)"
    if kind == "string_type" and value is not None:
        return " (a name that is a number: in quotes; of a folder on the command line, ./NAME)"
    return ""


def _keys_at(root: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Field names allowed at `path` below `root`, as far as types tell."""
    models = [root]
    for part in path:
        models = [child for model in models for child in _children(model, part)]
    return sorted({name for model in models for name in model.model_fields})


def _children(model: type[BaseModel], part: Any) -> list[type[BaseModel]]:
    field = model.model_fields.get(str(part))
    if field is not None:
        return _models_in(field.annotation)
    tagged = model.model_fields.get("method")
    if tagged is None:
        return [model]  # a dictionary's own key
    return [model] if part in typing.get_args(tagged.annotation) else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated, dict, list):
        return [found for arg in typing.get_args(annotation) for found in _models_in(arg)]
    return []
