"""Errors of a study file in the user's words: which key, what it holds, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from powerseek.errors import InvalidInput

Nested: TypeAlias = Mapping[tuple[type[BaseModel], str], type[BaseModel]]
Location: TypeAlias = Sequence[int | str]


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """``did you mean X?``, or nothing where no known name is near."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def study_error_line(
    error: ErrorDetails, data: object, root: type[BaseModel], nested: Nested
) -> InvalidInput:
    """One pydantic error as field, value and what is allowed."""
    if error["type"] == "extra_forbidden":
        model = _model_at(error["loc"][:-1], root, nested)
        known = list(model.model_fields)
        key = error["loc"][-1]
        allowed = f"no key {key!r} here; known keys: {', '.join(known)}"
        return InvalidInput(
            _path(error["loc"], data), error["input"], allowed, did_you_mean(key, known)
        )
    if error["type"] == "invalid_key":
        return InvalidInput(
            _path(error["loc"][:-1], data) or "key", error["input"], "text as a key"
        )
    where, field = _path(error["loc"], data), _field(error["loc"], root, nested)
    if isinstance(said := error.get("ctx", {}).get("error"), InvalidInput):
        name = f"{where}.{said.field}" if where and said.field else where or said.field
        return InvalidInput(name, said.value, said.allowed, said.hint)
    allowed = (field.description if field else "") or ""
    example = f"Write {field.examples[0]}." if field and field.examples else ""
    if error["type"] == "missing":
        return InvalidInput(where, None, f"{allowed} (this key is required)", example)
    value, hint = error["input"], ""
    if error["type"] in _OF_ANOTHER_TYPE:
        hint = number_hint(value)
    elif allowed.startswith("one of "):
        hint = did_you_mean(value, allowed.removeprefix("one of ").split(", "))
    return InvalidInput(where, value, allowed, hint or example)


_OF_ANOTHER_TYPE = {"int_type", "float_type", "int_from_float", "int_parsing", "float_parsing"}


def number_hint(value: object) -> str:
    """The number to write where one stands as text, as 3e5 does, or as a float (3.0)."""
    if isinstance(value, str | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            return ""
        if number.is_integer() and abs(number) < 1e15:
            return f"write {int(number)}"
        return f"write {number}" if isinstance(value, str) else ""
    return ""


def _model_at(loc: Location, root: type[BaseModel], nested: Nested) -> type[BaseModel]:
    """The model whose keys stand at `loc`."""
    model = root
    for part in loc:
        model = nested.get((model, str(part)), model)
    return model


def _field(loc: Location, root: type[BaseModel], nested: Nested) -> FieldInfo | None:
    """The innermost key on the way to an error."""
    model, found = root, None
    for part in loc:
        if part in model.model_fields:
            found = model.model_fields[str(part)]
            model = nested.get((model, str(part)), model)
    return found


def _path(loc: Location, data: object) -> str:
    """``worlds[0].openness``: the keys as the user wrote them."""
    path, here = "", data
    for part in loc:
        if isinstance(part, int):
            if not isinstance(here, list | tuple):
                continue
            path += f"[{part}]"
            here = here[part] if part < len(here) else None
        else:
            if isinstance(here, Mapping):
                here = here.get(part)
            elif not isinstance(here, list | tuple) and path:
                continue
            path += f".{part}" if path else part
    return path
