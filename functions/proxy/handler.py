"""Every LLM route, streamed. Handler `handler.app`, started by the exec wrapper of `layers/runtime`, which also awaits `drain`.

`handler.handler` is the same application on the managed runtime, with whole answers: for emulators, which do not stream.
"""

from tollkeeper import bootstrap
from tollkeeper.awslambda import whole

app, drain = bootstrap.lambda_app(bootstrap.Running.proxy_app)
handler = whole.Handler(app, drain)
