"""`ser-ops params`: every setting with its type, its value, the file that sets it and its meaning."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.config.evaluation import Limit
from ser_ops.config.params import PARAMS, Params, load_params, read_preset
from ser_ops.config.section import Section
from ser_ops.errors import UserError

_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


@dataclass(frozen=True)
class Setting:
    """A setting by its dotted key; `file` is where its value stands."""

    key: str
    value: Any
    type: str
    file: str
    meaning: str

    def lies_in(self, section: str) -> bool:
        """Whether `section` is this key, or a section around it."""
        return f"{self.key}.".startswith(f"{section}.")


def params(sections: Annotated[list[str] | None, typer.Argument(
               help="Sections or keys to list, such as train or explain.listen; all by default.")] = None,
           preset: Annotated[str | None, typer.Option(
               help="A file of presets/; by default the one that params.yaml names.")] = None,
           as_json: Json = False) -> None:
    """List every setting: key, value, type and meaning, and the preset's file where that sets it."""
    settings = list(list_settings(preset))
    for section in sections or []:
        if not any(setting.lies_in(section) for setting in settings):
            names = dict.fromkeys(setting.key.partition(".")[0] for setting in settings)
            raise UserError(f"{section}: no section or key of params.yaml: choose one of {', '.join(names)}")
    for setting in settings:
        if not sections or any(setting.lies_in(section) for section in sections):
            source = "" if setting.file == str(PARAMS) else f" ({setting.file})"
            print_answer(asdict(setting), as_json,
                         f"{setting.key} = {json.dumps(setting.value)}{source} [{setting.type}] {setting.meaning}")


def list_settings(preset: str | None = None) -> Iterator[Setting]:
    """All settings in the order of the sections, as `load_params` reads them; raises as it does.

    >>> next(setting for setting in list_settings("demo") if setting.key == "features.seconds").value
    2.0
    """
    settings = load_params(preset=preset)
    file, overlay = read_preset(PARAMS, settings.preset)
    for section in Params.model_fields:
        if section != "over":
            for key, value, kind, meaning in _described(settings, section, section):
                name = key.removeprefix(f"{section}.").partition(".")[0]
                source = file if name in overlay.get(section, {}) else PARAMS
                yield Setting(key, value, kind, str(source), meaning)


def _described(parent: Section, name: str, key: str) -> Iterator[tuple[str, Any, str, str]]:
    """Key, value, type and meaning of a field, or of all fields of the section that it is."""
    value, meaning = getattr(parent, name), type(parent).model_fields[name].description or ""
    if isinstance(value, Section):
        for field in type(value).model_fields:
            for inner_key, inner_value, kind, inner in _described(value, field, f"{key}.{field}"):
                whole = isinstance(value, Limit) and field == "limit"
                yield inner_key, inner_value, kind, meaning if whole else inner
        return
    schema = _schema(type(parent))
    plain = parent.model_dump(mode="json", include={name})[name]
    yield key, plain, _type_of(schema["properties"][name], schema.get("$defs", {})), meaning


@cache
def _schema(section: type[Section]) -> dict[str, Any]:
    return section.model_json_schema()


def _type_of(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """A JSON schema in words.

    >>> _type_of({"type": "array", "items": {"type": "integer", "minimum": 0, "exclusiveMaximum": 2000}}, {})
    'list of (integer, at least 0, below 2,000)'
    """
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_type_of(choice, parts) for choice in schema["anyOf"])
    if "$ref" in schema:
        return "{" + ", ".join(parts[schema["$ref"].rpartition("/")[2]]["properties"]) + "}"
    if schema["type"] == "array":
        items = [_type_of(item, parts) for item in schema.get("prefixItems", [schema.get("items")])]
        if len(items) == 1:
            return f"list of ({items[0]})"
        return f"{len(items)} of ({items[0]})" if len(set(items)) == 1 else f"[{'; '.join(items)}]"
    if schema["type"] == "object":
        return f"mapping to ({_type_of(schema['additionalProperties'], parts)})"
    bounds = [f"{words} {schema[name]:,}" for name, words in _BOUNDS.items() if name in schema]
    return ", ".join([_TYPES[schema["type"]], *bounds])
