"""The program's own metrics, by the names that tollkeeper/telemetry/emf.py writes them under. A test holds the two together."""

NAMESPACE = "Tollkeeper"
ENVIRONMENT = "environment"
BY_MODEL = (ENVIRONMENT, "provider", "model")
BY_OUTCOME = (ENVIRONMENT, "outcome")
REQUESTS, LATENCY, FIRST_TOKEN = "Requests", "Latency", "TimeToFirstToken"
COST, INPUT_TOKENS, OUTPUT_TOKENS = "CostNanoUSD", "InputTokens", "OutputTokens"
FALLBACKS, REFUSALS, ERRORS = "Fallbacks", "Refusals", "Errors"
UNCONFIRMED_HOLDS, BOUND_VIOLATIONS = "UnconfirmedHolds", "BoundViolations"
LEDGER_DRIFT, COUNTERS_MENDED = "LedgerDriftNanoUSD", "CountersMended"
