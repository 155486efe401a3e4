"""`os.environ/NAME`, `${NAME}`, `${NAME:-default}` and `secret:<id>#<field>` in a configuration.

What is not secret is resolved while compiling. A credential stays a reference until its first use, so that the compiled configuration can
lie in a Lambda layer; one that stands in the file itself is taken as it is, with a warning.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.litellm_keys import CREDENTIAL_HEADER, SECRET_KEYS
from tollkeeper.config.snapshot import Secret

Env = Callable[[str], str | None]

_LITELLM = "os.environ/"
_MANAGED = "secret:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_HOLDERS = frozenset({"litellm_params", "credential_values", "general_settings"})
_VERBATIM = frozenset({"mock_response", "environment_variables"})
_PLACEHOLDERS = frozenset({"none", "empty", "dummy", "fake", "na", "n/a", "no-key", "not-needed", "null", "ollama", "anything", "key"})


class References:
    """Looks names up in the file's own `environment_variables` first, as LiteLLM does, then in the process's environment."""

    def __init__(self, env: Env, declared: Mapping[str, Any], findings: Findings) -> None:
        self._env = env
        self._declared = {name: str(value) for name, value in declared.items() if isinstance(value, str | int | float)}
        self._findings = findings

    def value_of(self, name: str) -> str | None:
        """None: set nowhere. A declared variable may itself be `os.environ/OTHER`."""
        declared = self._declared.get(name)
        if declared is None:
            return self._env(name)
        return self._env(declared.removeprefix(_LITELLM)) if declared.startswith(_LITELLM) else declared

    def resolve(self, value: Any, path: Path = ()) -> Any:
        """Every string below `path` but credentials, which `secret` reads later."""
        if path and _left_alone(path):
            return value
        if isinstance(value, dict):
            return {key: self.resolve(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) else value

    def secret(self, value: str | None, path: Path) -> Secret | None:
        """A credential as written → where it is. Warns when it is in the file itself."""
        if not value:
            return None
        if value.startswith(_MANAGED):
            return self._managed(value.removeprefix(_MANAGED), path)
        if value.startswith(_LITELLM):
            name = value.removeprefix(_LITELLM)
            return self.variable(name, path) if self._good_name(name, path) else None
        if match := _BRACED.fullmatch(value):
            name, default = match.groups()
            if default and self.value_of(name) is None:
                return self._literal(default, path)
            return self.variable(name, path)
        return self._literal(self._text(value, path), path)

    def variable(self, name: str, path: Path) -> Secret:
        """The credential in an environment variable, or in the file's `environment_variables` if it is declared there."""
        declared = self._declared.get(name)
        if declared is None:
            return Secret("env", name)
        if declared.startswith(_LITELLM):
            return Secret("env", declared.removeprefix(_LITELLM))
        return self._literal(declared, ("environment_variables", name) if declared else path)

    def _managed(self, reference: str, path: Path) -> Secret | None:
        secret_id, _, _field = reference.partition("#")
        if not secret_id:
            self._findings.error(path, "names no secret", "write secret:<id>#<field>")
            return None
        return Secret("aws", reference)

    def _literal(self, value: str, path: Path) -> Secret:
        if value.lower() not in _PLACEHOLDERS:
            self._findings.warn(path, "the credential itself is in the configuration", "write os.environ/NAME and set NAME where it runs")
        return Secret("literal", value)

    def _text(self, text: str, path: Path) -> str:
        if text.startswith(_LITELLM):
            name = text.removeprefix(_LITELLM)
            found = self._found(name, path) if self._good_name(name, path) else ""
        elif "${" in text:
            found = _BRACED.sub(lambda match: self._found(match[1], path, match[2]), text)
        else:
            return text
        if len(path) > 1 and path[-2] in {"headers", "extra_headers"} and CREDENTIAL_HEADER.search(str(path[-1])):
            self._findings.warn(
                path, "this header's value is resolved now and kept in the compiled configuration", "use api_key if it can be"
            )
        return found

    def _found(self, name: str, path: Path, default: str | None = None) -> str:
        value = self.value_of(name)
        if value is not None:
            return value
        if default is None:
            self._findings.error(path, f"the environment variable {name} is not set", f"set it, or write ${{{name}:-default}}")
        return default or ""

    def _good_name(self, name: str, path: Path) -> bool:
        good = _NAME.fullmatch(name) is not None
        if not good:
            self._findings.error(path, "does not name an environment variable", "write os.environ/NAME")
        return good


def _left_alone(path: Path) -> bool:
    if path[-1] in _VERBATIM:
        return True
    if path[0] in {"mcp_servers", "agent_list"} or "pass_through_endpoints" in path:
        # config/upstreams.py reads these: `Bearer os.environ/NAME` is a credential with a word before it.
        return path[-1] in {"auth_value", "authentication_token"} or (len(path) > 2 and path[-2] in {"headers", "static_headers"})
    return len(path) > 1 and path[-2] in _HOLDERS and path[-1] in SECRET_KEYS
