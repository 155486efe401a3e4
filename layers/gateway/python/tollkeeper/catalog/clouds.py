"""Providers with an address, a credential or a wire format of their own: OpenAI, Anthropic, Google, AWS, Azure, Cohere, and platforms whose
address names an account.
"""

from tollkeeper.catalog.provider import Blank, Provider
from tollkeeper.catalog.vertex import VERTEX_BASE

_REGION = Blank("region", "aws_region_name", ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"))
_PROJECT = Blank("project", "vertex_project", ("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"))
_LOCATION = Blank("location", "vertex_location", ("VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"), "us-central1")
_AZURE = "https://learn.microsoft.com/azure/ai-foundry/openai/reference"
_COHERE = "https://docs.cohere.com/reference/chat"

CLOUDS = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        link="https://platform.openai.com/docs/api-reference/chat",
    ),
    Provider(
        "aiohttp_openai",
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
    # Their addresses are made in azure.py
    Provider(
        "azure",
        auth="entra",
        key_env=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        base_env=("AZURE_API_BASE",),
        version_env="AZURE_API_VERSION",
        link=_AZURE,
    ),
    # Text completions, at the same addresses.
    Provider(
        "azure_text",
        auth="entra",
        key_env=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        base_env=("AZURE_API_BASE",),
        version_env="AZURE_API_VERSION",
        link=_AZURE,
    ),
    Provider(
        "text-completion-openai",
        "https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        link="https://platform.openai.com/docs/api-reference/completions",
    ),
    Provider("azure_ai", auth="entra", key_env=("AZURE_AI_API_KEY",), base_env=("AZURE_AI_API_BASE",), link=_AZURE),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        dialect="gemini_generate",
        auth="x-goog-api-key",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_env=("GEMINI_API_BASE",),
        link="https://ai.google.dev/api/generate-content",
    ),
    # Their addresses are made in vertex.py, one for each family of models.
    *(
        Provider(
            name,
            VERTEX_BASE,
            dialect="gemini_generate",
            auth="google",
            key_env=("GOOGLE_APPLICATION_CREDENTIALS",),
            blanks=(_PROJECT, _LOCATION),
            link="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        )
        for name in ("vertex_ai", "vertex_ai_beta")
    ),
    Provider(
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        dialect="bedrock_converse",
        auth="sigv4",
        service="bedrock",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_env=("AWS_BEDROCK_RUNTIME_ENDPOINT",),
        blanks=(_REGION,),
        link="https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html",
    ),
    # The model's name is the endpoint's. Containers with OpenAI's chat format (TGI's, DJL's, vLLM's Messages API; Nova's), or TGI's own.
    *(
        Provider(
            name,
            "https://runtime.sagemaker.{region}.amazonaws.com",
            dialect=dialect,
            auth="sigv4",
            service="sagemaker",
            key_env=("AWS_ACCESS_KEY_ID",),
            blanks=(_REGION,),
            link="https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-test-endpoints.html",
        )
        for name, dialect in (("sagemaker_chat", "sagemaker_chat"), ("sagemaker_nova", "sagemaker_chat"), ("sagemaker", "sagemaker_tgi"))
    ),
    Provider(
        "deepgram",
        "https://api.deepgram.com/v1",
        "deepgram",
        auth="header",
        key_header=("authorization", "Token "),
        key_env=("DEEPGRAM_API_KEY",),
        base_env=("DEEPGRAM_API_BASE",),
        api_root="/v1",
        link="https://developers.deepgram.com/reference/deepgram-api-overview",
    ),
    Provider(
        "elevenlabs",
        "https://api.elevenlabs.io/v1",
        "elevenlabs",
        auth="header",
        key_header=("xi-api-key", ""),
        key_env=("ELEVENLABS_API_KEY",),
        base_env=("ELEVENLABS_API_BASE",),
        api_root="/v1",
        link="https://elevenlabs.io/docs/api-reference/introduction",
    ),
    Provider(
        "replicate",
        "https://api.replicate.com/v1",
        "replicate",
        key_env=("REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
        base_env=("REPLICATE_API_BASE",),
        link="https://replicate.com/docs/reference/http",
    ),
    Provider(
        "bedrock_mantle",
        "https://bedrock-mantle.{region}.api.aws/v1",
        auth="sigv4",
        service="bedrock-mantle",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_env=("BEDROCK_MANTLE_API_BASE",),
        blanks=(_REGION,),
        link="https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html",
    ),
    Provider(
        "cohere",
        "https://api.cohere.com",
        "cohere_v2",
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        base_env=("COHERE_API_BASE",),
        link=_COHERE,
    ),
    Provider(
        "cohere_chat",
        "https://api.cohere.com",
        "cohere_v2",
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        base_env=("COHERE_API_BASE",),
        link=_COHERE,
    ),
    Provider(
        "databricks",
        auth="databricks",
        key_env=("DATABRICKS_API_KEY", "DATABRICKS_TOKEN"),
        base_env=("DATABRICKS_API_BASE",),
        link="https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models",
    ),
    Provider(
        "watsonx",
        dialect="watsonx_chat",
        auth="ibm_iam",
        key_env=("WATSONX_APIKEY", "WATSONX_API_KEY", "WX_API_KEY"),
        base_env=("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL"),
        link="https://cloud.ibm.com/apidocs/watsonx-ai#text-chat",
        quirks=frozenset({"max_tokens"}),
    ),
    Provider(
        "snowflake",
        "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
        key_env=("SNOWFLAKE_JWT",),
        base_env=("SNOWFLAKE_API_BASE",),
        blanks=(Blank("account", None, ("SNOWFLAKE_ACCOUNT_ID",)),),
        link="https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api",
    ),
    Provider(
        "cloudflare",
        "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        key_env=("CLOUDFLARE_API_KEY",),
        base_env=("CLOUDFLARE_API_BASE",),
        quirks=frozenset({"max_tokens"}),
        blanks=(Blank("account", None, ("CLOUDFLARE_ACCOUNT_ID",)),),
        link="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/",
    ),
    Provider(
        "heroku",
        key_env=("HEROKU_API_KEY",),
        base_env=("HEROKU_API_BASE",),
        api_root="/v1",
        link="https://devcenter.heroku.com/articles/heroku-inference-api-v1-chat-completions",
    ),
)
