"""Responses that are made while nobody waits for them: the jobs in the store, what they say as they go, and who works on them."""
