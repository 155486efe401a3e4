"""Providers with an address, a credential or a wire format of their own: OpenAI, Anthropic, Google, AWS, Azure, Cohere, and platforms whose
address names an account.
"""

from tollkeeper.catalog.provider import Blank, Provider

_REGION = Blank("region", "aws_region_name", ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"))
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
        auth="api-key",
        key_env=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        base_env=("AZURE_API_BASE",),
        version_env="AZURE_API_VERSION",
        link=_AZURE,
    ),
    Provider("azure_ai", auth="api-key", key_env=("AZURE_AI_API_KEY",), base_env=("AZURE_AI_API_BASE",), link=_AZURE),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        dialect="gemini_generate",
        auth="x-goog-api-key",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_env=("GEMINI_API_BASE",),
        link="https://ai.google.dev/api/generate-content",
    ),
    # With a Bedrock API key (https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html)
    Provider(
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        dialect="bedrock_converse",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_env=("AWS_BEDROCK_RUNTIME_ENDPOINT",),
        blanks=(_REGION,),
        link="https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html",
    ),
    Provider(
        "bedrock_mantle",
        "https://bedrock-mantle.{region}.api.aws/v1",
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
        key_env=("DATABRICKS_API_KEY", "DATABRICKS_TOKEN"),
        base_env=("DATABRICKS_API_BASE",),
        link="https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models",
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
