"""Who serves models, as rows: where, how the credential is sent, in which dialect, with which quirks.

A provider that speaks an existing dialect is a row here and nothing else. Names, environment variables and default addresses are LiteLLM's
(https://docs.litellm.ai/docs/providers), so that its configurations work unchanged; `link` is the provider's own page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Auth = Literal["bearer", "x-api-key", "api-key", "none"]

_AUTH_HEADERS: Mapping[str, tuple[str, str]] = {
    "bearer": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "api-key": ("api-key", ""),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One row. An empty `base_url` means that the deployment must say where (`api_base`)."""

    name: str
    base_url: str = ""
    dialect: str = "openai_chat"
    auth: Auth = "bearer"
    key_env: tuple[str, ...] = ()
    """Environment variables that hold the credential, the first that is set wins."""
    base_env: tuple[str, ...] = ()
    """Environment variables that replace base_url."""
    key_required: bool = True
    quirks: frozenset[str] = frozenset()
    """Flags of catalog/profiles.py that hold for all of its models."""
    api_root: str = ""
    """Path of the API for an `api_base` that is a bare host, as people write it for servers of their own."""
    link: str = ""


def _hosted(name: str, base_url: str, key: str | tuple[str, ...], link: str, *quirks: str) -> Provider:
    """A public service that speaks OpenAI's chat API; `<FIRST KEY VARIABLE'S STEM>_API_BASE` replaces its address, as in LiteLLM."""
    key_env = (key,) if isinstance(key, str) else key
    stem = key_env[0].removesuffix("_API_KEY").removesuffix("_KEY").removesuffix("_TOKEN")
    return Provider(name, base_url, key_env=key_env, base_env=(f"{stem}_API_BASE",), quirks=frozenset(quirks), link=link)


def _own_server(name: str, stem: str, base_url: str, link: str, *quirks: str, api_root: str = "/v1") -> Provider:
    """A server somebody runs: a key is possible and not needed."""
    return Provider(
        name,
        base_url,
        key_env=(f"{stem}_API_KEY",),
        base_env=(f"{stem}_API_BASE",),
        key_required=False,
        quirks=frozenset(quirks),
        api_root=api_root,
        link=link,
    )


_OLLAMA = "https://docs.ollama.com/api/openai-compatibility"
_VLLM = "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"

_ROWS = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        link="https://platform.openai.com/docs/api-reference/chat",
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com",
        dialect="anthropic_messages",
        auth="x-api-key",
        key_env=("ANTHROPIC_API_KEY",),
        base_env=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        link="https://docs.claude.com/en/api/messages",
    ),
    # Servers of one's own
    _own_server("hosted_vllm", "HOSTED_VLLM", "", _VLLM),
    _own_server("vllm", "VLLM", "", _VLLM),
    _own_server("ollama", "OLLAMA", "http://localhost:11434/v1", _OLLAMA, "max_tokens"),
    _own_server("ollama_chat", "OLLAMA", "http://localhost:11434/v1", _OLLAMA, "max_tokens"),
    _own_server("lm_studio", "LM_STUDIO", "", "https://lmstudio.ai/docs/app/api/endpoints/openai", "max_tokens"),
    _own_server("llamafile", "LLAMAFILE", "http://127.0.0.1:8080/v1", "https://github.com/mozilla-ai/llamafile", "max_tokens"),
    _own_server("xinference", "XINFERENCE", "http://127.0.0.1:9997/v1", "https://inference.readthedocs.io/", "max_tokens"),
    _own_server(
        "docker_model_runner",
        "DOCKER_MODEL_RUNNER",
        "http://localhost:12434/engines/llama.cpp/v1",
        "https://docs.docker.com/ai/model-runner/api-reference/",
        api_root="/engines/llama.cpp/v1",
    ),
    _own_server("lemonade", "LEMONADE", "http://localhost:8000/api/v1", "https://lemonade-server.ai/docs/", api_root="/api/v1"),
    _own_server("litellm_proxy", "LITELLM_PROXY", "", "https://docs.litellm.ai/docs/providers/litellm_proxy", api_root=""),
    _own_server("custom_openai", "OPENAI", "", "https://docs.litellm.ai/docs/providers/openai_compatible", api_root=""),
    _own_server("openai_like", "OPENAI_LIKE", "", "https://docs.litellm.ai/docs/providers/openai_compatible", api_root=""),
    Provider(
        "databricks",
        key_env=("DATABRICKS_API_KEY", "DATABRICKS_TOKEN"),
        base_env=("DATABRICKS_API_BASE",),
        link="https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models",
    ),
    # Public services
    _hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "https://openrouter.ai/docs/api-reference/overview"),
    _hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/docs/openai"),
    _hosted(
        "together_ai",
        "https://api.together.xyz/v1",
        ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
        "https://docs.together.ai/reference/chat-completions-1",
        "max_tokens",
    ),
    _hosted(
        "deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "https://api-docs.deepseek.com/", "max_tokens", "developer_to_system"
    ),
    _hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        "https://docs.mistral.ai/api/",
        "max_tokens",
        "developer_to_system",
        "no_stream_options",
    ),
    _hosted(
        "codestral",
        "https://codestral.mistral.ai/v1",
        "CODESTRAL_API_KEY",
        "https://docs.mistral.ai/api/",
        "max_tokens",
        "developer_to_system",
        "no_stream_options",
    ),
    _hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY", "https://docs.x.ai/docs/api-reference"),
    _hosted(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
        "https://docs.fireworks.ai/api-reference/post-chatcompletions",
    ),
    _hosted(
        "perplexity",
        "https://api.perplexity.ai",
        ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
        "https://docs.perplexity.ai/",
        "max_tokens",
    ),
    _hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "https://inference-docs.cerebras.ai/"),
    _hosted("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "https://deepinfra.com/docs/openai_api", "max_tokens"),
    _hosted("nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", "https://docs.api.nvidia.com/nim/", "max_tokens"),
    _hosted("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", "https://docs.sambanova.ai/"),
    _hosted("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "https://platform.moonshot.ai/docs/api/chat", "max_tokens"),
    _hosted("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "https://docs.z.ai/api-reference/introduction", "max_tokens"),
    _hosted(
        "dashscope",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        "https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope",
        "max_tokens",
    ),
    _hosted(
        "volcengine",
        "https://ark.cn-beijing.volces.com/api/v3",
        ("VOLCENGINE_API_KEY", "ARK_API_KEY"),
        "https://www.volcengine.com/docs/82379",
    ),
    _hosted("minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY", "https://platform.minimax.io/docs"),
    _hosted(
        "huggingface",
        "https://router.huggingface.co/v1",
        ("HUGGINGFACE_API_KEY", "HF_TOKEN"),
        "https://huggingface.co/docs/inference-providers/",
    ),
    _hosted("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_KEY", "https://vercel.com/docs/ai-gateway"),
    _hosted("github", "https://models.github.ai/inference", ("GITHUB_API_KEY", "GITHUB_TOKEN"), "https://docs.github.com/en/rest/models"),
    _hosted("nebius", "https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY", "https://docs.nebius.com/studio/"),
    _hosted("novita", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY", "https://novita.ai/docs/"),
    _hosted("hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY", "https://docs.hyperbolic.xyz/"),
    _hosted("featherless_ai", "https://api.featherless.ai/v1", "FEATHERLESS_AI_API_KEY", "https://featherless.ai/docs/"),
    _hosted("lambda_ai", "https://api.lambda.ai/v1", "LAMBDA_API_KEY", "https://docs.lambda.ai/"),
    _hosted("nscale", "https://inference.api.nscale.com/v1", "NSCALE_API_KEY", "https://docs.nscale.com/"),
    _hosted("baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY", "https://docs.baseten.co/"),
    _hosted("meta_llama", "https://api.llama.com/compat/v1", "LLAMA_API_KEY", "https://llama.developer.meta.com/docs/"),
    _hosted("scaleway", "https://api.scaleway.ai/v1", "SCW_SECRET_KEY", "https://www.scaleway.com/en/docs/generative-apis/"),
    _hosted("friendliai", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN", "https://friendli.ai/docs/"),
    _hosted("wandb", "https://api.inference.wandb.ai/v1", "WANDB_API_KEY", "https://docs.wandb.ai/inference/"),
    _hosted("publicai", "https://api.publicai.co/v1", "PUBLICAI_API_KEY", "https://platform.publicai.co/docs", "max_tokens"),
)

PROVIDERS: Mapping[str, Provider] = {row.name: row for row in _ROWS}


def base_url_for(provider: Provider, api_base: str | None) -> str:
    """The deployment's address without a trailing slash; "" if neither the row nor the configuration has one.

    `http://gpu-1:8000` is completed with the row's API root, `http://gpu-1:8000/v1` and any other path are taken as they are. Ollama's
    native paths (`/api`, `/api/chat`), which LiteLLM configurations contain, stand for the host.
    """
    if not api_base:
        return provider.base_url
    url = api_base.rstrip("/")
    if provider.name in {"ollama", "ollama_chat"}:
        for native in ("/api/chat", "/api/generate", "/api"):
            url = url.removesuffix(native)
    has_path = "/" in url.partition("://")[2]
    return url if has_path else url + provider.api_root


def auth_headers(provider: str, value: str) -> dict[str, str]:
    """The header that carries this credential, name in lower case; a name that is no row sends it as a bearer token."""
    row = PROVIDERS.get(provider)
    auth = row.auth if row else "bearer"
    if auth == "none":
        return {}
    name, prefix = _AUTH_HEADERS[auth]
    return {name: prefix + value}
