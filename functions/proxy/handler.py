"""Every LLM route, streamed. Handler `handler.app`, started by the exec wrapper of `layers/runtime`, which also awaits `drain`."""

from tollkeeper import bootstrap

app, drain = bootstrap.lambda_app(bootstrap.Running.proxy_app)
