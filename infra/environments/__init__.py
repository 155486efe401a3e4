"""One folder per environment: settings.py (an `Environment` named ENVIRONMENT) and gateway.yaml."""

import importlib
from pathlib import Path

from infra.settings import Environment, SettingsError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/settings.py"))


def load(name: str) -> Environment:
    """Raises SettingsError for an environment that does not exist or cannot be deployed."""
    if name not in names():
        raise SettingsError(f"there is no environment {name!r}: write ENV=<one of {', '.join(names())}>, or add infra/environments/{name}/")
    module = importlib.import_module(f"infra.environments.{name}.settings")
    environment = getattr(module, "ENVIRONMENT", None)
    if not isinstance(environment, Environment):
        raise SettingsError(f"infra/environments/{name}/settings.py: set ENVIRONMENT to an infra.settings.Environment")
    if environment.name != name:
        raise SettingsError(f"infra/environments/{name}/settings.py: name is {environment.name!r}, its folder {name!r}; make them the same")
    return environment.checked()


def gateway_yaml(name: str) -> Path:
    return FOLDER / name / "gateway.yaml"
