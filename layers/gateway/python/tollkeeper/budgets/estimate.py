"""What a call used when its provider does not say: a stream that was cut or cancelled, or one that ends without usage.

A cut call must neither be free (that is an invitation) nor cost its whole hold (that would let one cancelled call eat a budget). What was
received bounds what was generated: in every one of the 158 recorded answers without reasoning a token has at least 1.35 bytes of text and
tool arguments, once 16 tokens a call and 48 a tool call are allowed for frames (the next has 2.5; the median of longer texts is 4.8). So
three quarters of the bytes is the estimate: about 3.5 times the truth for prose, which is the price of never falling below the bill.

The input is known better: JSON of 1,500 bytes or more has 5 bytes a token in the median, and more than 2 wherever the provider's own prompt
is small; two bytes a token and that prompt are used. What a provider reads by itself (its tools, files it stores) is in no byte of the
request: an estimate cannot see it.
"""

from collections.abc import Mapping
from typing import Any

from tollkeeper.budgets.media import TOOL_PROMPT_TOKENS, hidden_tokens, media_tokens, survey

_FRAME, _TOOL_FRAME = 16, 48
_BYTES_PER_FILE_TOKEN = 16
"""A PDF of 19 kB of base64 was 1,000 tokens (recorded, OpenAI)."""
_EXPECTED_OUTPUT = 512
_BYTES_PER_TOKEN = 4


def output_tokens(received: int, tool_calls: int = 0) -> int:
    """At most so many tokens were generated, `received` being the UTF-8 bytes of text, reasoning and tool arguments."""
    return _FRAME + _TOOL_FRAME * tool_calls + -(-received * 3 // 4) if received or tool_calls else 0


def input_tokens(request: Mapping[str, Any], size: int, provider: str = "", model: str = "") -> int:
    """What the provider is likely to count for a request of `size` JSON bytes."""
    found = survey(request)
    media = sum(media_tokens(item, provider, model) or item.encoded // _BYTES_PER_FILE_TOKEN for item in found.media)
    hidden = hidden_tokens(provider, model, formatted=found.formatted) + (TOOL_PROMPT_TOKENS if found.has_tools else 0)
    return (size - found.encoded) // 2 + media + hidden


def expected_tokens(request: Mapping[str, Any], size: int) -> int:
    """What a tpm limit charges before the call: four bytes a token, and the output limit or 512. Corrected by the usage afterwards."""
    limits = [request.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")]
    asked = [int(limit) for limit in limits if isinstance(limit, int | float) and not isinstance(limit, bool) and limit >= 0]
    return (size - survey(request).encoded) // _BYTES_PER_TOKEN + min([_EXPECTED_OUTPUT, *asked])
