"""The API as published: `docs/openapi.json`, and what of it a client may rely on.

A change is breaking if a client written for the published document can fail because of it: an operation, a
parameter or a member of a body is gone; one that is required is new; a type or the set of values became
narrower. ``python -m lab.api --write`` refuses such a change unless ``--break`` says that it is meant.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")


def current() -> Json:
    """Return the OpenAPI document of this version."""
    from lab.api.app import create_api
    from lab.home import Home
    from lab.lab import Lab

    with tempfile.TemporaryDirectory() as folder:
        document: Json = create_api(Lab(Home(Path(folder)))).openapi()
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def text(document: Json) -> str:
    """Return a document as it is committed."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def breaks(published: Json, now: Json) -> list[str]:
    """Return what a client of `published` can no longer rely on, in words."""
    return list(_breaks(published, now))


def _breaks(published: Json, now: Json) -> Iterator[str]:
    for path, operations in published["paths"].items():
        for method in _METHODS:
            if method not in operations:
                continue
            where = f"{method.upper()} {path}"
            operation = now["paths"].get(path, {}).get(method)
            if operation is None:
                yield f"{where} is gone"
                continue
            yield from _parameters(where, operations[method], operation, published, now)
            yield from _body(where, operations[method], operation, published, now)
            yield from _answers(where, operations[method], operation)


def _parameters(where: str, old: Json, new: Json, published: Json, now: Json) -> Iterator[str]:
    before = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
    after = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
    for key, parameter in before.items():
        what = f"{where}: parameter {key[1]}"
        if key not in after:
            yield f"{what} is gone"
        else:
            yield from _narrower(what, parameter["schema"], after[key]["schema"], published, now)
    for key, parameter in after.items():
        if parameter.get("required") and not before.get(key, {}).get("required"):
            yield f"{where}: parameter {key[1]} is required now"


def _body(where: str, old: Json, new: Json, published: Json, now: Json) -> Iterator[str]:
    before, after = old.get("requestBody"), new.get("requestBody")
    if after and after.get("required") and not (before and before.get("required")):
        yield f"{where}: a body is required now"
    for media, content in (before or {}).get("content", {}).items():
        if media not in (after or {}).get("content", {}):
            yield f"{where}: a body of {media} is no longer taken"
        elif after:
            schema = after["content"][media].get("schema", {})
            yield from _narrower(f"{where}: body", content.get("schema", {}), schema, published, now)


def _answers(where: str, old: Json, new: Json) -> Iterator[str]:
    for status in old["responses"]:
        if status.startswith("2") and status not in new["responses"]:
            yield f"{where} no longer answers {status}"


def _narrower(what: str, old: Json, new: Json, published: Json, now: Json) -> Iterator[str]:
    """Yield in what `new` takes less than `old` did."""
    old, new = _resolved(old, published), _resolved(new, now)
    types, left = _types(old, published), _types(new, now)
    if left and not types <= left:
        yield f"{what}: of {' or '.join(sorted(types))}, only {' or '.join(sorted(left))} is taken"
        return
    if "enum" in new and not set(map(str, old.get("enum", ["*"]))) <= set(map(str, new["enum"])):
        yield f"{what}: fewer values are taken"
    if new.get("pattern") != old.get("pattern") and "pattern" in new:
        yield f"{what}: its pattern is another one, {new['pattern']}"
    for bound, tighter in (("maximum", int.__lt__), ("maxLength", int.__lt__), ("maxItems", int.__lt__)):
        if bound in new and (bound not in old or tighter(int(new[bound]), int(old[bound]))):
            yield f"{what}: {bound} is {new[bound]}"
    for bound in ("minimum", "minLength", "minItems"):
        if bound in new and (bound not in old or new[bound] > old[bound]):
            yield f"{what}: {bound} is {new[bound]}"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{what}: {name} is required now"
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{what}: {name} is gone"
        else:
            yield from _narrower(f"{what}.{name}", schema, new["properties"][name], published, now)


def _resolved(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _types(schema: Json, document: Json) -> frozenset[str]:
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        return frozenset().union(*(_types(each, document) for each in schema["anyOf"]))
    kind = schema.get("type")
    found = frozenset({kind} if isinstance(kind, str) else kind or ())
    return found | {"integer"} if "number" in found else found
