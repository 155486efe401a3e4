"""Model servers of one's own: an address on the local machine by default, or none, and no key unless they are given one."""

from dataclasses import replace

from tollkeeper.catalog.provider import own_server

_OLLAMA = "https://docs.ollama.com/api/chat"
_VLLM = "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"
_OPENAI_LIKE = "https://docs.litellm.ai/docs/providers/openai_compatible"

SERVERS = (
    own_server("hosted_vllm", "HOSTED_VLLM", "", _VLLM),
    own_server("vllm", "VLLM", "", _VLLM),
    # Ollama's own API, as LiteLLM speaks it; an api_base that ends in /v1 means its OpenAI-compatible one (providers.dialect_for).
    replace(own_server("ollama", "OLLAMA", "http://localhost:11434", _OLLAMA, "max_tokens", api_root=""), dialect="ollama_chat"),
    replace(own_server("ollama_chat", "OLLAMA", "http://localhost:11434", _OLLAMA, "max_tokens", api_root=""), dialect="ollama_chat"),
    own_server("lm_studio", "LM_STUDIO", "", "https://lmstudio.ai/docs/app/api/endpoints/openai", "max_tokens"),
    own_server("llamafile", "LLAMAFILE", "http://127.0.0.1:8080/v1", "https://github.com/mozilla-ai/llamafile", "max_tokens"),
    own_server("llamacpp", "LLAMACPP", "http://127.0.0.1:8080/v1", "https://github.com/ggml-org/llama.cpp/tree/master/tools/server"),
    own_server("xinference", "XINFERENCE", "http://127.0.0.1:9997/v1", "https://inference.readthedocs.io/", "max_tokens"),
    own_server("sglang", "SGLANG", "http://127.0.0.1:30000/v1", "https://docs.sglang.ai/basic_usage/openai_api_completions.html"),
    own_server("tgi", "TGI", "", "https://huggingface.co/docs/text-generation-inference/messages_api", "max_tokens"),
    own_server("localai", "LOCALAI", "http://localhost:8080/v1", "https://localai.io/", "max_tokens"),
    own_server("lmdeploy", "LMDEPLOY", "http://127.0.0.1:23333/v1", "https://lmdeploy.readthedocs.io/en/latest/llm/api_server.html"),
    own_server("koboldcpp", "KOBOLDCPP", "http://localhost:5001/v1", "https://github.com/LostRuins/koboldcpp", "max_tokens"),
    own_server("oobabooga", "OOBABOOGA", "", "https://github.com/oobabooga/text-generation-webui/wiki", "max_tokens"),
    own_server("jan", "JAN", "http://127.0.0.1:1337/v1", "https://jan.ai/docs/api-server", "max_tokens"),
    own_server("infinity", "INFINITY", "", "https://michaelfeil.eu/infinity/latest/", api_root=""),
    own_server(
        "docker_model_runner",
        "DOCKER_MODEL_RUNNER",
        "http://localhost:12434/engines/llama.cpp/v1",
        "https://docs.docker.com/ai/model-runner/api-reference/",
        api_root="/engines/llama.cpp/v1",
    ),
    own_server("lemonade", "LEMONADE", "http://localhost:8000/api/v1", "https://lemonade-server.ai/docs/", api_root="/api/v1"),
    own_server(
        "litellm_proxy", "LITELLM_PROXY", "", "https://docs.litellm.ai/docs/providers/litellm_proxy", "keeps_gateway_fields", api_root=""
    ),
    own_server("custom_openai", "OPENAI", "", _OPENAI_LIKE, api_root=""),
    own_server("openai_like", "OPENAI_LIKE", "", _OPENAI_LIKE, api_root=""),
)
