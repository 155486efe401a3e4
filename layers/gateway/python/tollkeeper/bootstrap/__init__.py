"""The composition root: Settings → wired apps. The only place that knows which store, transport and features there are.

Nothing is fetched at import: secrets and connections are first used inside the first request, so that a SnapStart snapshot holds none.
What one function does not need (FastAPI for the proxy, the embedded store on Lambda, YAML for a compiled config) is imported where it is
used.

    installation   one process's parts: configuration, secrets, transport, store
    running        the features, wired over them, and the proxy's app
    management     the management API's app
    batches        files and batches: endpoints and worker
    functions      what the folders of functions/ start
"""

from tollkeeper.bootstrap.functions import batches_handler, janitor_handler, lambda_app, rollup_handler
from tollkeeper.bootstrap.installation import Installation, Store, kept_secret, load_snapshot, secret_of
from tollkeeper.bootstrap.management import keys_app, local_app, reports_app
from tollkeeper.bootstrap.running import Running

__all__ = [
    "Installation",
    "Running",
    "Store",
    "batches_handler",
    "janitor_handler",
    "kept_secret",
    "keys_app",
    "lambda_app",
    "load_snapshot",
    "local_app",
    "reports_app",
    "rollup_handler",
    "secret_of",
]
