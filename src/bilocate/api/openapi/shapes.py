"""Building blocks of JSON Schema, as OpenAPI 3.1 takes them."""

from collections.abc import Iterable, Mapping
from typing import Any

from bilocate.api.fields import SIZE_GIB_MAX, TEXT_BYTES_MAX

Json = dict[str, Any]

ID: Json = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
}
TIME: Json = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}$",
    "description": "UTC, in microseconds, without a zone",
}
KEYSTONE_TIME: Json = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"}
STRING: Json = {"type": "string"}
BOOLEAN: Json = {"type": "boolean"}
INTEGER: Json = {"type": "integer"}
COUNT: Json = {"type": "integer", "minimum": 0}
NULL: Json = {"type": "null"}
EMPTY: Json = {"type": "object", "additionalProperties": False}
STRINGS: Json = {"type": "object", "additionalProperties": STRING}
# A size in a request: clients send a number, or one as a text.
SIZE: Json = {
    "description": "in GiB",
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": SIZE_GIB_MAX},
        {"type": "string", "pattern": "^[0-9]{1,9}$"},
    ],
}


def ref(name: str) -> Json:
    """One of the document's own schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def words(found: Iterable[str]) -> Json:
    """One of these texts."""
    return {"type": "string", "enum": sorted(set(found))}


def constant(value: Any) -> Json:
    """This value alone."""
    return {"const": value}


def or_null(schema: Json) -> Json:
    """That, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, NULL]}


def list_of(schema: Json, **more: Any) -> Json:
    """An array."""
    return {"type": "array", "items": schema, **more}


def told(properties: Mapping[str, Json], optional: Iterable[str] = ()) -> Json:
    """An object of an answer: these properties and no others."""
    left_out = set(optional)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in left_out],
        "additionalProperties": False,
    }


def asked(properties: Mapping[str, Json], required: Iterable[str] = ()) -> Json:
    """An object of a request: what is not known in it is not looked at."""
    found: Json = {"type": "object", "properties": dict(properties)}
    needed = sorted(required)
    return {**found, "required": needed} if needed else found


def only(properties: Mapping[str, Json]) -> Json:
    """An object of a request in which what is not known is refused."""
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def one_action(actions: Mapping[str, Json]) -> Json:
    """An object with exactly one of these keys."""
    return {"oneOf": [{**only({name: value}), "required": [name]} for name, value in actions.items()]}


def within(key: str, schema: Json) -> Json:
    """A request's body: the object under its outer key."""
    return asked({key: schema}, [key])


def a_text(bytes_max: int = TEXT_BYTES_MAX, *, least: int = 0) -> Json:
    """A text of a request. Its limit is one of bytes in UTF-8, which JSON Schema can't say: so many characters at
    most."""
    found: Json = {"type": "string", "maxLength": bytes_max, "pattern": "^[^\\u0000]*$"}
    return {**found, "minLength": least} if least else found


def maybe_text(bytes_max: int = TEXT_BYTES_MAX) -> Json:
    """The same, or null, which is taken for nothing."""
    return or_null(a_text(bytes_max))


# Names and descriptions of what is made or changed.
NAMES: Json = {"name": maybe_text(), "description": maybe_text()}
