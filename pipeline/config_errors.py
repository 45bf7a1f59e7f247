"""Schema faults in the words of the user: key, value found, what is allowed."""

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line per fault of a pydantic `ValidationError`, with a guess for misspelt keys."""
    return [_explain_one(fault, root) for fault in error.errors()]


def _explain_one(fault: Any, root: type[BaseModel]) -> str:
    path = tuple(fault["loc"])
    if path[:1] == ("methods",) and len(path) > 2:
        path = path[:2] + path[3:]  # pydantic repeats the method's name as the union's tag
    key = ".".join(str(part) for part in path)
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        name = str(path[-1])
        allowed = _keys_at(root, path[:-1])
        close = difflib.get_close_matches(name, allowed, n=1)
        guess = f" Did you mean `{close[0]}`?" if close else ""
        known = f" Allowed here: {', '.join(allowed)}." if allowed else ""
        return f"{key}: unknown key (value {found!r}).{guess}{known}"
    if fault["type"] == "missing":
        return f"{key}: missing; it has no default, write it in."
    if fault["type"] == "union_tag_invalid":
        return (
            f"{key}: unknown method {fault['ctx']['tag']!r}; "
            f"allowed: {fault['ctx']['expected_tags']}."
        )
    hint = ""
    if isinstance(found, str) and fault["type"] in ("float_type", "int_type"):
        hint = " (YAML reads 1e-6 as text: write 1.0e-6, 1.0e+6)"
    return f"{key}: found {found!r}; {fault['msg']}{hint}"


def _keys_at(root: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Field names allowed at `path` below `root`, as far as types tell."""
    models = [root]
    for part in path:
        models = [child for model in models for child in _children(model, part)]
    return sorted({name for model in models for name in model.model_fields})


def _children(model: type[BaseModel], part: Any) -> list[type[BaseModel]]:
    field = model.model_fields.get(str(part))
    if field is None:
        return [model]  # a dictionary's own key, or the tag of a union
    return _models_in(field.annotation)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated, dict, list):
        return [found for arg in typing.get_args(annotation) for found in _models_in(arg)]
    return []
