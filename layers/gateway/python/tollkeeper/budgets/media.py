"""What of a request is not text: pictures, sound, files, and what the provider adds by itself. Each row says where its number comes from.

Only parts of the shapes that providers document count as media; anything else stays text, where every byte counts as a token.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["image", "audio", "opaque"]
"""`opaque`: a file, video or reference whose tokens nothing here can bound, so that the context window does."""

_IMAGE_TOKENS: tuple[tuple[str, str, int], ...] = (
    # 2,833 + 5,667 for each of at most 8 tiles. https://platform.openai.com/docs/guides/images-vision#calculating-costs
    ("openai|azure", "gpt-4o-mini", 48_169),
    # At most 10,000 patches, the dearest multiplier of those models 1.2 (same page).
    ("openai|azure", "", 12_288),
    # At most 4,784 visual tokens. https://platform.claude.com/docs/en/build-with-claude/vision
    ("anthropic", "", 4_800),
    ("bedrock|vertex|databricks|snowflake", "claude", 4_800),
    # 258 for each 768-pixel tile of at most 3,072 x 3,072 pixels. https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens
    ("gemini|vertex|google", "", 4_200),
)
_IMAGE_TOKENS_ELSEWHERE = 16_384
"""For models no row knows: more than any published picture encoder gives."""

_BYTES_PER_AUDIO_TOKEN = {"wav": 200, "pcm16": 200, "pcm": 200}
"""32 tokens a second (https://ai.google.dev/gemini-api/docs/tokens; OpenAI has 10) of at least 8,000 one-byte samples a second."""
_BYTES_PER_COMPRESSED_AUDIO_TOKEN = 16
"""The same 32 tokens a second at 6 kbit/s, the least that speech is coded with (https://opus-codec.org)."""

_HIDDEN_TOKENS: tuple[tuple[str, int], ...] = (
    # Prompt templates that are billed but not sent by the caller; the largest recorded excess over bytes is 1,069 (Cohere), 548 (xAI).
    ("cohere", 2_048),
    ("xai", 1_024),
)
_HIDDEN_TOKENS_ELSEWHERE = 512
_PLAINLY_COUNTED = re.compile(r"(?:.*/)?(?:gpt-(?!oss)|chatgpt-|o[1-9]\b|claude-|gemini-|deepseek-)")
_HIDDEN_WHERE_PLAIN = 128
"""Models whose providers add nothing to a plain conversation: in every recorded one they counted at least 32 tokens less than its JSON
has bytes. A format for the answer is rendered into a prompt of its own (recorded: 332), and so is not plain."""
"""Chat templates and system notes; the largest recorded excess over bytes elsewhere is 332."""
TOOL_PROMPT_TOKENS = 1_536
"""Added when the request has tools: up to 804 at Anthropic, 1,204 recorded with its tool search.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing"""

TOOL_FEE_FEMTO = 50_000_000_000_000
"""$0.05 for each use of a tool the provider runs: the dearest listed are $50 and $35 per 1,000 searches.
https://platform.openai.com/docs/pricing https://ai.google.dev/gemini-api/docs/pricing https://docs.x.ai/docs/models"""
_TOOL_USES = 10

_OWN_TOOLS = frozenset({"function", "custom"})
_TOOL_SWITCHES = ("web_search_options", "search_parameters", "plugins", "mcp_servers", "enable_search", "web_search")
_SEARCHING_MODELS = re.compile(r"compound|:online|-search|sonar-deep|deep-research")
_REFERENCES = ("cachedContent", "cached_content", "previous_response_id", "conversation", "container")
_FORMS = ("response_format", "output_format", "output_config", "text", "generationConfig", "format", "guided_json", "structured_outputs")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]*")
_SAMPLE = 256


@dataclass(frozen=True, slots=True)
class Media:
    """One part that is not text. `encoded` are the bytes of the JSON that are its payload, `form` its file format if it says one."""

    kind: Kind
    encoded: int = 0
    form: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a request has besides text. `tool_uses` counts how often a provider may run its own tools in it."""

    media: tuple[Media, ...]
    has_tools: bool
    tool_uses: int
    referenced: bool
    """It names content that lies with the provider."""
    formatted: bool = False
    """It asks for an answer in a certain form."""

    @property
    def encoded(self) -> int:
        return sum(item.encoded for item in self.media)

    @property
    def has_audio(self) -> bool:
        return any(item.kind == "audio" for item in self.media)

    @property
    def opaque(self) -> bool:
        return self.referenced or any(item.kind == "opaque" for item in self.media)


def survey(request: Mapping[str, Any]) -> Survey:
    """Reads OpenAI, Anthropic, Gemini, Converse and Ollama shapes. Never raises: what it does not understand counts as text."""
    tools = [tool for tool in _list(request.get("tools")) if isinstance(tool, dict)]
    uses = sum(map(_uses, tools)) + sum(_TOOL_USES for switch in _TOOL_SWITCHES if request.get(switch))
    return Survey(
        media=tuple(_media(request)),
        has_tools=bool(tools or request.get("functions") or request.get("toolConfig")),
        tool_uses=uses,
        referenced=any(request.get(name) for name in _REFERENCES) or isinstance(request.get("prompt"), dict),
        formatted=any(request.get(name) for name in _FORMS),
    )


def own_tool_uses(model: str) -> int:
    """How often a model may run its provider's tools unasked; `model` is the provider's name for it."""
    return _TOOL_USES if _SEARCHING_MODELS.search(model) else 0


def media_tokens(item: Media, provider: str, model: str) -> int:
    """At most so many input tokens. An opaque part has none of its own: it fills the window."""
    if item.kind == "image":
        rows = (most for who, what, most in _IMAGE_TOKENS if re.match(who, provider) and what in model)
        return next(rows, _IMAGE_TOKENS_ELSEWHERE)
    if item.kind == "audio":
        return 16 + item.encoded // _BYTES_PER_AUDIO_TOKEN.get(item.form, _BYTES_PER_COMPRESSED_AUDIO_TOKEN)
    return 0


def hidden_tokens(provider: str, model: str, *, formatted: bool) -> int:
    """Input tokens the provider adds to every request by itself."""
    elsewhere = _HIDDEN_WHERE_PLAIN if not formatted and _PLAINLY_COUNTED.match(model) else _HIDDEN_TOKENS_ELSEWHERE
    return next((most for who, most in _HIDDEN_TOKENS if provider.startswith(who)), elsewhere)


def _uses(tool: Mapping[str, Any]) -> int:
    """How often the provider may run this tool by itself; 0 for one the caller answers."""
    if tool.get("type", "function") in _OWN_TOOLS and ("function" in tool or "name" in tool):
        return 0
    if tool.keys() & {"toolSpec", "functionDeclarations", "function_declarations", "cachePoint"}:
        return 0 if len(tool) == 1 else _TOOL_USES
    limit = tool.get("max_uses")
    return min(limit, 100) if isinstance(limit, int) and limit > 0 else _TOOL_USES


def _media(request: Mapping[str, Any]) -> Iterator[Media]:
    for name in ("messages", "input", "contents"):
        for message in _list(request.get(name)):
            if isinstance(message, dict):
                yield from _in_parts(message.get("content"))
                yield from _in_parts(message.get("parts"))
                yield from (Media("image", len(image)) for image in _list(message.get("images")) if isinstance(image, str))
    yield from (Media("image", len(image)) for image in _list(request.get("images")) if isinstance(image, str))


def _in_parts(parts: Any) -> Iterator[Media]:
    for part in _list(parts):
        if not isinstance(part, dict):
            continue
        found = _part(part)
        if found is not None:
            yield found
        for nested in (part, part.get("toolResult"), part.get("output")):
            content = nested.get("content") if isinstance(nested, dict) else nested
            yield from _in_parts(content)


def _part(part: Mapping[str, Any]) -> Media | None:
    kind = part.get("type")
    reader = _TYPED.get(kind) if isinstance(kind, str) else None
    if reader is None:
        reader = next((read for name, read in _KEYED.items() if isinstance(part.get(name), dict)), None)
    return reader(part) if reader else None


def _image(part: Mapping[str, Any]) -> Media:
    return Media("image", _payload(part))


def _audio(part: Mapping[str, Any]) -> Media:
    form = _first(part, ("format", "mimeType", "mime_type", "media_type")).rpartition("/")[2].removeprefix("x-")
    size = _payload(part)
    return Media("audio", size, form) if size else Media("opaque")


def _file(part: Mapping[str, Any]) -> Media | None:
    """A file's text can be larger than its bytes; plain text is counted where it stands."""
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") in {"text", "content"}:
        return None
    return Media("opaque", _payload(part))


def _inline(part: Mapping[str, Any]) -> Media | None:
    """Gemini's inlineData: what it is stands in its MIME type."""
    mime = _first(part, ("mimeType", "mime_type"))
    if mime.startswith("image/"):
        return _image(part)
    return _audio(part) if mime.startswith("audio/") else _file(part)


_Reader = Callable[[Mapping[str, Any]], Media | None]
_TYPED: dict[str, _Reader] = {
    "image_url": _image,
    "input_image": _image,
    "image": _image,
    "input_audio": _audio,
    "audio": _audio,
    "audio_url": lambda part: Media("opaque", _payload(part)),
    "video_url": lambda part: Media("opaque", _payload(part)),
    "video": lambda part: Media("opaque", _payload(part)),
    "file": _file,
    "input_file": _file,
    "document": _file,
    "document_url": _file,
    "container_upload": lambda _: Media("opaque"),
    "item_reference": lambda _: Media("opaque"),
}
_KEYED: dict[str, _Reader] = {
    "inlineData": _inline,
    "inline_data": _inline,
    "fileData": lambda _: Media("opaque"),
    "file_data": lambda _: Media("opaque"),
    "image": _image,
    "image_url": _image,
    "document": _file,
    "video": lambda part: Media("opaque", _payload(part)),
    "audio": _audio,
}


def _payload(part: Mapping[str, Any]) -> int:
    """Bytes of the encoded strings in a part. Prose is none: it has spaces, and counts as text."""
    return sum(len(text) for text in _strings(part) if len(text) >= _SAMPLE and _encoded(text))


def _encoded(text: str) -> bool:
    head = text[:_SAMPLE]
    return bool(_BASE64.fullmatch(head.partition(",")[2] if head.startswith("data:") else head))


def _strings(value: Any, depth: int = 4) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth:
        for name, each in value.items():
            if name not in {"text", "content"}:
                yield from _strings(each, depth - 1)


def _first(value: Mapping[str, Any], names: tuple[str, ...], depth: int = 3) -> str:
    """The first of `names` anywhere in a part, lower case."""
    for name in names:
        if isinstance(value.get(name), str):
            return str(value[name]).lower()
    nested = (_first(each, names, depth - 1) for each in value.values() if isinstance(each, dict) and depth)
    return next((found for found in nested if found), "")


def _list(value: Any) -> list[Any]:
    """Google takes one thing for a list of one."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []
