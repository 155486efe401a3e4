"""Files that callers upload, and batches of requests worked off line by line.

    owner     whose a record is, and who may see it
    files     file records over the object store; a file is a list of parts, so that none is ever whole in memory
    lines     JSONL, fed in any split; one line of a batch
    records   the batch as its caller sees it
    register  batches in the store: made, claimed by one worker at a time, checkpointed, ended
    checking  validation of an input file
    journal   what is known of each line: sent, answered; why none is paid twice
    worker    slices of work that survive timeouts and restarts

State is in the counters table, bytes are objects. Nothing here knows HTTP or providers: how a line is run is the worker's `LineRunner`.
https://platform.openai.com/docs/guides/batch
"""
