"""gateway.yaml → plain data, with the file and line of every path.

YAML is read as nodes (PyYAML on libyaml), not as values, because only nodes know their lines and their duplicate keys. Dates stay the text
they were written as (`api_version: 2024-10-21` is not a date to anybody), no tag constructs an object, and aliases are bounded: what they
expand to is counted, not what was typed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from tollkeeper.config.findings import Findings, Path, Place
from tollkeeper.errors import ConfigError

MAX_BYTES = 10 * 2**20
MAX_NODES = 250_000
MAX_DEPTH = 60

_PREFIX = "tag:yaml.org,2002:"
_MERGE = _PREFIX + "merge"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = yaml.constructor.SafeConstructor()


@dataclass(slots=True)
class Document:
    """A configuration as written: nothing resolved, nothing checked but its YAML."""

    data: dict[str, Any]
    name: str
    findings: Findings = field(default_factory=Findings)


def load_text(text: str, name: str = "gateway.yaml") -> Document:
    """Raises ConfigError when there is no mapping to speak of; every lesser mistake becomes a finding. `include` needs a file."""
    findings = Findings()
    data = _Converter(name, findings).document(text)
    if "include" in data:
        findings.error(("include",), "files are included relative to a file, and this configuration is none", "write it all in one")
        del data["include"]
    return Document(data, name, findings)


def load_file(path: FilePath) -> Document:
    """As `load_text`, with `include`d files merged: lists are joined, mappings filled up; a key in both is an error."""
    findings = Findings()
    data = _Converter(path.name, findings).document(_read(path, path.name))
    _include(data, path, findings, (path.resolve(),))
    return Document(data, path.name, findings)


def _read(path: FilePath, name: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or 'unknown error'}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {MAX_BYTES // 2**20} MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: is not UTF-8 text") from None


def _include(data: dict[str, Any], path: FilePath, findings: Findings, chain: tuple[FilePath, ...]) -> None:
    included = data.pop("include", None)
    names = included if isinstance(included, list) else [included] if included else []
    for index, name in enumerate(names):
        here: Path = ("include", index)
        if not isinstance(name, str):
            findings.error(here, "must be the name of a file")
            continue
        target = path.parent / name
        if target.resolve() in chain:
            findings.error(here, f"{name} includes itself", "remove one of the two")
            continue
        part = Findings()
        try:
            more = _Converter(name, part).document(_read(target, name))
            _include(more, target, part, (*chain, target.resolve()))
        except ConfigError as error:
            findings.error(here, str(error))
            continue
        findings.errors.extend(part.errors)
        _join(data, more, findings, part)


def _join(data: dict[str, Any], more: dict[str, Any], findings: Findings, part: Findings) -> None:
    for key, value in more.items():
        mine = data.get(key)
        offset = len(mine) if isinstance(mine, list) and isinstance(value, list) else 0
        if mine is None:
            data[key] = value
        elif isinstance(mine, list) and isinstance(value, list):
            mine.extend(value)
        elif isinstance(mine, dict) and isinstance(value, dict):
            for name in [name for name in value if name in mine]:
                findings.error((key, name), f"is also set in {part.place((key, name))}", "keep one")
            data[key] = {**value, **mine}
        else:
            findings.error((key,), f"is also set in {part.place((key,))}", "keep one")
        for path, place in part.places.items():
            if path[0] == key:
                findings.places.setdefault(_shifted(path, offset), place)


def _shifted(path: Path, offset: int) -> Path:
    return (path[0], path[1] + offset, *path[2:]) if offset and len(path) > 1 and isinstance(path[1], int) else path


class _Converter:
    """One file's nodes → values. Mistakes go to `findings` with their line; reading goes on after them."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings
        self._open: set[int] = set()
        self._count = 0

    def document(self, text: str) -> dict[str, Any]:
        try:
            self._refuse_depth(text)
            node = yaml.compose(text, Loader=_Loader)
            data = None if node is None else self._value(node, ())
        except (yaml.YAMLError, UnicodeEncodeError) as error:
            raise ConfigError(f"{self._file}{_at(error)}: is not YAML: {_problem(error)}") from None
        if data is None:
            raise ConfigError(f"{self._file}: is empty; write at least a model_list")
        if not isinstance(data, dict):
            raise ConfigError(f"{self._file}: must be a mapping of sections (model_list: …), not a {_kind(data)}")
        return data

    def _refuse_depth(self, text: str) -> None:
        """libyaml's composer recurses in C without a limit and would take the process with it; its event stream does not recurse."""
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise self._too_deep(event.start_mark.line if event.start_mark else 0)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1

    def _too_deep(self, line: int) -> ConfigError:
        return ConfigError(f"{self._file}:{line + 1}: is nested deeper than {MAX_DEPTH} levels")

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise ConfigError(f"{self._file}: has more than {MAX_NODES} values once its aliases are expanded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._wrong(node, path, "an alias that contains itself")
            return None
        if len(path) > MAX_DEPTH:
            raise self._too_deep(node.start_mark.line)
        self._open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        finally:
            self._open.discard(id(node))

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._findings.places[here] = self._place(item)
            items.append(self._value(item, here))
        return items

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE or (key := self._key(key_node, path)) is None:
                continue
            here = (*path, key)
            if key in result:
                first = self._findings.places[here].line
                self._wrong(key_node, here, f"is set twice (first on line {first})", "keep one")
                continue
            self._findings.places[here] = self._place(key_node)
            result[key] = self._value(value_node, here)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(value_node, path, result)
        return result

    def _merge(self, node: yaml.Node, path: Path, result: dict[str, Any]) -> None:
        """`<<: *base`: keys that are not set here. https://yaml.org/type/merge.html"""
        for source in self._merged(node, path):
            # The path of a merged value is where it is used, so its lines must not replace those of a value set here.
            places = dict(self._findings.places)
            merged = self._value(source, path)
            self._findings.places.update(places)
            for key, value in (merged or {}).items():
                result.setdefault(key, value)

    def _merged(self, node: yaml.Node, path: Path) -> Iterator[yaml.Node]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                yield source
            else:
                self._wrong(source, path, "`<<` takes a mapping or a list of mappings", "write `<<: *name`")

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        value = self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(value, str):
            return value
        written = f"the key {node.value} is read as {_kind(value)}" if isinstance(node, yaml.ScalarNode) else "a key must be text"
        self._wrong(node, path, written, "put it in quotes")
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        if kind in {"str", "timestamp", "merge", "value"}:
            return node.value
        if kind == "null":
            return None
        try:
            if kind == "bool":
                return _SCALARS.construct_yaml_bool(node)
            if kind == "float":
                return _SCALARS.construct_yaml_float(node)
            if kind == "int" and abs(number := _SCALARS.construct_yaml_int(node)) < 2**63:
                return number
        except (ValueError, KeyError):
            pass
        problem = "is not a number this gateway can hold" if kind == "int" else f"the YAML tag {node.tag} is not supported"
        self._wrong(node, path, problem, "write plain text, numbers, lists and mappings")
        return None

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1)

    def _wrong(self, node: yaml.Node, path: Path, problem: str, remedy: str = "") -> None:
        self._findings.error(path, problem, remedy, place=self._place(node))


def _kind(value: Any) -> str:
    names = {bool: "true/false", int: "number", float: "number", str: "text", list: "list", dict: "mapping", type(None): "null"}
    return names.get(type(value), "something else")


def _at(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _problem(error: Exception) -> str:
    """libyaml's own words. They name characters, anchors and tags, never a value."""
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    return ", ".join(part for part in parts if part) or "it has characters that YAML does not allow"
