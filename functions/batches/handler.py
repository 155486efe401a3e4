"""Schedule → open batches, a slice at a time, until this invocation's time is over."""

from tollkeeper import bootstrap

handler = bootstrap.batches_handler()
