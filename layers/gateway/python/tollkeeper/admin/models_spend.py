"""Bodies of the spend routes, by LiteLLM's field names."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin.values import Count


class EndUserSpend(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: str | None = Field(None, max_length=512)
    startTime: str | None = Field(None, max_length=40)  # noqa: N815 - LiteLLM's name
    endTime: str | None = Field(None, max_length=40)  # noqa: N815 - LiteLLM's name


class SpendCalculate(BaseModel):
    """Either a request (`model` and `messages`) or an answer with its usage."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    model: str | None = Field(None, max_length=512)
    messages: list[dict[str, Any]] | None = None
    completion_response: dict[str, Any] | None = None


class CostEstimate(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    model: str = Field(max_length=512)
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    reasoning_tokens: Count = 0
    num_requests_per_day: Count | None = None
    num_requests_per_month: Count | None = None
