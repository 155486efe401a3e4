"""Public services that speak OpenAI's chat API. One line each: name, address, environment variables of the key, page, quirks."""

from dataclasses import replace

from tollkeeper.catalog.provider import hosted

_ALIBABA = "https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope"
_MISTRAL = "https://docs.mistral.ai/api/"
_NIM = "https://docs.api.nvidia.com/nim/"
_TOGETHER = "https://docs.together.ai/reference/chat-completions-1"

_STRICT = tuple(f"history:{name}" for name in ("reasoning_content", "annotations", "refusal", "audio", "function_call", "images"))
"""Services that answer 400 to a field of an assistant message that they do not know."""
_MISTRALS = (*_STRICT, "history:reasoning", "history:reasoning_details", "tool_ids:9")

SERVICES = (
    hosted("abliteration", "https://api.abliteration.ai/v1", "ABLITERATION_API_KEY", "https://docs.abliteration.ai/"),
    hosted("ai21", "https://api.ai21.com/studio/v1", "AI21_API_KEY", "https://docs.ai21.com/reference/jamba-1-6-api-ref", "max_tokens"),
    hosted(
        "ai21_chat", "https://api.ai21.com/studio/v1", "AI21_API_KEY", "https://docs.ai21.com/reference/jamba-1-6-api-ref", "max_tokens"
    ),
    hosted("aiand", "https://api.aiand.com/v1", "AIAND_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("aihubmix", "https://aihubmix.com/v1", "AIHUBMIX_API_KEY", "https://docs.aihubmix.com/"),
    hosted("aiml", "https://api.aimlapi.com/v1", "AIML_API_KEY", "https://docs.aimlapi.com/"),
    hosted("amazon_nova", "https://api.nova.amazon.com/v1", "AMAZON_NOVA_API_KEY", "https://nova.amazon.com/dev/documentation"),
    hosted("apertis", "https://api.stima.tech/v1", "STIMA_API_KEY", "https://docs.stima.tech/", "max_tokens"),
    hosted("assemblyai", "https://llm-gateway.assemblyai.com/v1", "ASSEMBLYAI_API_KEY", "https://www.assemblyai.com/docs/llm-gateway"),
    hosted("baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY", "https://docs.baseten.co/"),
    hosted(
        "bigmodel", "https://open.bigmodel.cn/api/paas/v4", "BIGMODEL_API_KEY ZHIPUAI_API_KEY", "https://docs.bigmodel.cn/", "max_tokens"
    ),
    hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "https://inference-docs.cerebras.ai/", *_STRICT),
    hosted(
        "charity_engine",
        "https://api.charityengine.services/remotejobs/v2/inference",
        "CHARITY_ENGINE_API_KEY",
        "https://docs.litellm.ai/docs/providers/charity_engine",
        "max_tokens",
    ),
    hosted("chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY", "https://chutes.ai/docs", "max_tokens"),
    hosted("clarifai", "https://api.clarifai.com/v2/ext/openai/v1", "CLARIFAI_API_KEY CLARIFAI_PAT", "https://docs.clarifai.com/"),
    hosted(
        "codestral",
        "https://codestral.mistral.ai/v1",
        "CODESTRAL_API_KEY",
        _MISTRAL,
        "max_tokens",
        "developer_to_system",
        "no_stream_options",
        *_MISTRALS,
    ),
    hosted("cognition", "https://api.cognition.ai/v1", "COGNITION_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("cometapi", "https://api.cometapi.com/v1", "COMETAPI_KEY COMETAPI_API_KEY", "https://api.cometapi.com/doc"),
    hosted("compactifai", "https://api.compactif.ai/v1", "COMPACTIFAI_API_KEY", "https://docs.compactif.ai/"),
    hosted("coralbricks", "https://inference.coralbricks.ai/v1", "CORALBRICKS_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("cortecs", "https://api.cortecs.ai/v1", "CORTECS_API_KEY", "https://docs.cortecs.ai/"),
    hosted("crusoe", "https://api.inference.crusoecloud.com/v1", "CRUSOE_API_KEY", "https://docs.crusoecloud.com/", "max_tokens"),
    hosted("darkbloom", "https://api.darkbloom.dev/v1", "DARKBLOOM_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", _ALIBABA, "max_tokens"),
    hosted("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "https://deepinfra.com/docs/openai_api", "max_tokens"),
    hosted(
        "deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "https://api-docs.deepseek.com/", "max_tokens", "developer_to_system"
    ),
    hosted("doubleword", "https://api.doubleword.ai/v1", "DOUBLEWORD_API_KEY", "https://docs.doubleword.ai/"),
    hosted("empiriolabs", "https://api.empiriolabs.ai/v1", "EMPIRIOLABS_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted("empower", "https://app.empower.dev/api/v1", "EMPOWER_API_KEY", "https://docs.empower.dev/"),
    hosted("featherless_ai", "https://api.featherless.ai/v1", "FEATHERLESS_AI_API_KEY", "https://featherless.ai/docs/"),
    hosted(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_AI_API_KEY FIREWORKS_API_KEY",
        "https://docs.fireworks.ai/api-reference/post-chatcompletions",
    ),
    hosted("friendliai", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN FRIENDLIAI_API_KEY", "https://friendli.ai/docs/"),
    hosted("galadriel", "https://api.galadriel.com/v1", "GALADRIEL_API_KEY", "https://docs.galadriel.com/"),
    hosted("github", "https://models.github.ai/inference", "GITHUB_API_KEY GITHUB_TOKEN", "https://docs.github.com/en/rest/models"),
    hosted("glama", "https://glama.ai/api/gateway/openai/v1", "GLAMA_API_KEY", "https://glama.ai/gateway"),
    hosted("gmi", "https://api.gmi-serving.com/v1", "GMI_API_KEY", "https://docs.gmicloud.ai/"),
    hosted(
        "gradient_ai",
        "https://inference.do-ai.run/v1",
        "GRADIENT_AI_API_KEY DIGITALOCEAN_INFERENCE_KEY",
        "https://docs.digitalocean.com/products/gradient-ai-platform/",
    ),
    hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/docs/openai", *_STRICT),
    hosted("helicone", "https://ai-gateway.helicone.ai", "HELICONE_API_KEY", "https://docs.helicone.ai/gateway/overview"),
    hosted("hostinger_router", "https://router.hostinger.com/v1", "HOSTINGER_ROUTER_API_KEY", "https://docs.litellm.ai/docs/providers"),
    # An api_base that is a bare host is an Inference Endpoint of one's own; see providers.dialect_for for TGI's own API.
    replace(
        hosted(
            "huggingface",
            "https://router.huggingface.co/v1",
            "HUGGINGFACE_API_KEY HF_TOKEN",
            "https://huggingface.co/docs/inference-providers/",
        ),
        api_root="/v1",
    ),
    hosted("hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY", "https://docs.hyperbolic.xyz/"),
    hosted("inception", "https://api.inceptionlabs.ai/v1", "INCEPTION_API_KEY", "https://docs.inceptionlabs.ai/", "max_tokens"),
    hosted("inferenceapis", "https://api.inferenceapis.com/v1", "INFERENCEAPIS_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("ionos", "https://openai.inference.de-txl.ionos.com/v1", "IONOS_API_TOKEN", "https://docs.ionos.com/cloud/ai/ai-model-hub"),
    hosted("jina_ai", "https://api.jina.ai/v1", "JINA_AI_API_KEY JINA_API_KEY", "https://jina.ai/embeddings/"),
    hosted("kyma", "https://kymaapi.com/v1", "KYMA_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("lambda_ai", "https://api.lambda.ai/v1", "LAMBDA_API_KEY", "https://docs.lambda.ai/"),
    hosted("libertai", "https://api.libertai.io/v1", "LIBERTAI_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted(
        "llamagate", "https://api.llamagate.dev/v1", "LLAMAGATE_API_KEY", "https://docs.litellm.ai/docs/providers/llamagate", "max_tokens"
    ),
    hosted("maritalk", "https://chat.maritaca.ai/api", "MARITALK_API_KEY", "https://docs.maritaca.ai/", "max_tokens"),
    hosted("meta", "https://api.meta.ai/v1", "META_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("meta_llama", "https://api.llama.com/compat/v1", "LLAMA_API_KEY", "https://llama.developer.meta.com/docs/"),
    hosted("minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY", "https://platform.minimax.io/docs"),
    hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        _MISTRAL,
        "max_tokens",
        "developer_to_system",
        "no_stream_options",
        *_MISTRALS,
    ),
    hosted(
        "modelscope",
        "https://api-inference.modelscope.cn/v1",
        "MODELSCOPE_API_KEY",
        "https://modelscope.cn/docs/model-service/API-Inference/intro",
    ),
    hosted("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "https://platform.moonshot.ai/docs/api/chat", "max_tokens"),
    hosted("morph", "https://api.morphllm.com/v1", "MORPH_API_KEY", "https://docs.morphllm.com/", "max_tokens"),
    hosted("nano-gpt", "https://nano-gpt.com/api/v1", "NANOGPT_API_KEY", "https://docs.nano-gpt.com/", "max_tokens"),
    hosted("nebius", "https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY", "https://docs.nebius.com/studio/"),
    hosted("neosantara", "https://api.neosantara.xyz/v1", "NEOSANTARA_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted("nousresearch", "https://inference-api.nousresearch.com/v1", "NOUS_API_KEY", "https://portal.nousresearch.com/api-docs"),
    hosted("novita", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY", "https://novita.ai/docs/"),
    hosted("nscale", "https://inference.api.nscale.com/v1", "NSCALE_API_KEY", "https://docs.nscale.com/"),
    hosted("nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", _NIM, "max_tokens"),
    hosted("openinfer", "https://api.openinfer.ai/v1", "OPENINFER_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "https://openrouter.ai/docs/api-reference/overview"),
    hosted(
        "ovhcloud",
        "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        "OVHCLOUD_API_KEY",
        "https://www.ovhcloud.com/en/public-cloud/ai-endpoints/catalog/",
    ),
    hosted("parasail", "https://api.parasail.io/v1", "PARASAIL_API_KEY", "https://docs.parasail.io/"),
    hosted(
        "perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY PERPLEXITY_API_KEY", "https://docs.perplexity.ai/", "max_tokens"
    ),
    hosted("pinstripes", "https://pinstripes.io/v1", "PINSTRIPES_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted(
        "poe",
        "https://api.poe.com/v1",
        "POE_API_KEY",
        "https://creator.poe.com/docs/external-applications/openai-compatible-api",
        "max_tokens",
    ),
    hosted("prism", "https://api.prisminference.com/v1", "PRISM_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("publicai", "https://api.publicai.co/v1", "PUBLICAI_API_KEY", "https://platform.publicai.co/docs", "max_tokens"),
    hosted("qianfan", "https://qianfan.baidubce.com/v2", "QIANFAN_API_KEY", "https://cloud.baidu.com/doc/qianfan-api/"),
    hosted("refuseless", "https://api.refuseless.com/v1", "REFUSELESS_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("reka", "https://api.reka.ai/v1", "REKA_API_KEY", "https://docs.reka.ai/"),
    hosted("requesty", "https://router.requesty.ai/v1", "REQUESTY_API_KEY", "https://docs.requesty.ai/"),
    hosted("sail", "https://api.sailresearch.com/v1", "SAIL_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("salad_cloud", "https://ai.salad.cloud/v1", "SALAD_CLOUD_API_KEY", "https://docs.salad.com/"),
    hosted("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", "https://docs.sambanova.ai/"),
    hosted("sarvam", "https://api.sarvam.ai/v1", "SARVAM_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted("scaleway", "https://api.scaleway.ai/v1", "SCW_SECRET_KEY", "https://www.scaleway.com/en/docs/generative-apis/"),
    hosted("scx-ai", "https://api.scx.ai/v1", "SCX_API_KEY", "https://docs.litellm.ai/docs/providers", "max_tokens"),
    hosted("siliconflow", "https://api.siliconflow.com/v1", "SILICONFLOW_API_KEY", "https://docs.siliconflow.com/", "max_tokens"),
    hosted("stepfun", "https://api.stepfun.com/v1", "STEPFUN_API_KEY", "https://platform.stepfun.com/docs/", "max_tokens"),
    hosted(
        "streamlake",
        "https://vanchin.streamlake.ai/api/gateway/v1/endpoints",
        "STREAMLAKE_API_KEY",
        "https://www.streamlake.com/document/WANQING/",
        "max_completion_tokens",
    ),
    hosted("synthetic", "https://api.synthetic.new/openai/v1", "SYNTHETIC_API_KEY", "https://dev.synthetic.new/docs", "max_tokens"),
    hosted("targon", "https://api.targon.com/v1", "TARGON_API_KEY", "https://docs.targon.com/"),
    hosted("tencent", "https://tokenhub-intl.tencentcloudmaas.com/v1", "TENCENT_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted(
        "tensormesh",
        "https://serverless.tensormesh.ai/v1",
        "TENSORMESH_INFERENCE_API_KEY",
        "https://docs.litellm.ai/docs/providers",
        "max_tokens",
    ),
    hosted(
        "text-completion-codestral",
        "https://codestral.mistral.ai/v1/fim",
        "CODESTRAL_API_KEY",
        _MISTRAL,
        "max_tokens",
        "no_stream_options",
    ),
    hosted(
        "together_ai", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY TOGETHER_API_KEY TOGETHER_AI_API_KEY", _TOGETHER, "max_tokens"
    ),
    hosted("upstage", "https://api.upstage.ai/v1", "UPSTAGE_API_KEY", "https://console.upstage.ai/docs"),
    hosted("v0", "https://api.v0.dev/v1", "V0_API_KEY", "https://v0.dev/docs/api/model"),
    hosted("veniceai", "https://api.venice.ai/api/v1", "VENICE_AI_API_KEY", "https://docs.venice.ai/"),
    hosted("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_KEY", "https://vercel.com/docs/ai-gateway"),
    hosted(
        "volcengine",
        "https://ark.cn-beijing.volces.com/api/v3",
        "VOLCENGINE_API_KEY ARK_API_KEY",
        "https://www.volcengine.com/docs/82379",
    ),
    hosted("voyage", "https://api.voyageai.com/v1", "VOYAGE_API_KEY", "https://docs.voyageai.com/reference/embeddings-api"),
    hosted("wally", "https://inference.runanywhere.ai/v1", "WALLY_API_KEY", "https://docs.litellm.ai/docs/providers"),
    hosted("wandb", "https://api.inference.wandb.ai/v1", "WANDB_API_KEY", "https://docs.wandb.ai/inference/"),
    hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY", "https://docs.x.ai/docs/api-reference"),
    hosted("xiaomi_mimo", "https://api.xiaomimimo.com/v1", "XIAOMI_MIMO_API_KEY", "https://platform.xiaomimimo.com/", "max_tokens"),
    hosted("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "https://docs.z.ai/api-reference/introduction", "max_tokens"),
    hosted("zerogpu", "https://api.zerogpu.ai/v1", "ZEROGPU_API_KEY", "https://docs.litellm.ai/docs/providers"),
)
