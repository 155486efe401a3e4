"""`python -m tollkeeper.awslambda`: what the exec wrapper starts instead of AWS's runtime client.

Serves the ASGI application that `_HANDLER` names (`handler.app`). The module may also define the coroutine functions `drain`,
`before_snapshot` and `after_restore`.
"""

import asyncio
import importlib
import io
import sys
from types import ModuleType
from typing import Any

from tollkeeper import settings
from tollkeeper.awslambda import faults, runtime
from tollkeeper.awslambda.runtime_api import RuntimeApi


def load(handler: str) -> tuple[ModuleType, Any]:
    """`a/b.app` or `a.b.app` → module and application, found as the managed runtime finds them. Raises ImportError."""
    path, _, attribute = handler.rpartition(".")
    if not path:
        raise ImportError(f"_HANDLER={handler!r} is not module.attribute", name=handler)
    module = importlib.import_module(path.replace("/", "."))
    if not hasattr(module, attribute):
        raise ImportError(f"{path} has no {attribute}", name=handler)
    return module, getattr(module, attribute)


def main() -> int:
    env = settings.runtime_env()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A frozen sandbox keeps what is in a buffer, and may never thaw.
        sys.stdout.reconfigure(line_buffering=True)
    if env.task_root not in sys.path:
        sys.path.insert(0, env.task_root)
    try:
        module, app = load(env.handler)
    except Exception as error:  # noqa: BLE001 - Lambda is told why the function cannot start, whatever the reason
        asyncio.run(_cannot_start(env.api, error))
        return 1
    hooks = {name: getattr(module, name) for name in ("drain", "before_snapshot", "after_restore") if hasattr(module, name)}
    return runtime.run(app, api=env.api, snap_start=env.snap_start, buffered=env.buffered, **hooks)


async def _cannot_start(address: str, error: Exception) -> None:
    api = RuntimeApi(address)
    kind = "Runtime.ImportModuleError" if isinstance(error, ImportError) else faults.name(error)
    await runtime.report_failure(api, "/init", kind, error, faults.log_line)
    await api.close()


if __name__ == "__main__":
    sys.exit(main())
