"""Tollkeeper: a serverless LLM gateway. Start reading at `bootstrap/` (what is wired) and `pipeline.py` (one request)."""

__version__ = "0.1.0"
