"""Where finished calls are told to, beside the ledger: log pipelines, queues, buckets, traces.

A sink is a class with a `name` and `send` (base.Sink). Sinks never see a call in progress and never delay a reply: they are fed from the
ledger's stream, batch by batch, after the entry is safe. What a sink did not take waits in an outbox and is offered again (outbox.py), so
each entry arrives at least once; `id` tells one that arrives twice. No prompt and no answer is in an entry.
"""
