"""What an environment may differ in, as frozen values. infra/environments/<name>/settings.py makes one `Environment`.

Money words: `on-demand maximum` is DynamoDB's cap on request units per second; `reserved` is Lambda's reserved concurrency.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address, ip_address, ip_network
from types import MappingProxyType

SNAP_START_LARGEST_TMP_MB = 512
"""https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-runtimes"""
LONGEST_STREAM_SECONDS = 900
"""Lambda's limit, and the longest integration timeout of a streamed REST method."""
LONGEST_BUFFERED_SECONDS = 29
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
POOL_KINDS: Mapping[str, tuple[int, str]] = MappingProxyType({"vllm": (8000, "/health"), "ollama": (11434, "/api/version")})
"""kind → usual port, and the path that answers 200 when the server can serve.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html · https://github.com/ollama/ollama/blob/main/docs/api.md
"""
LOG_DAYS: Mapping[int, str] = MappingProxyType({
    1: "ONE_DAY", 3: "THREE_DAYS", 5: "FIVE_DAYS", 7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS", 90: "THREE_MONTHS",
    120: "FOUR_MONTHS", 150: "FIVE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR", 400: "THIRTEEN_MONTHS", 545: "EIGHTEEN_MONTHS",
    731: "TWO_YEARS", 1827: "FIVE_YEARS", 2557: "SEVEN_YEARS", 3653: "TEN_YEARS",
})  # fmt: skip
"""Days → the CDK's name. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
FUNCTIONS = ("proxy", "keys", "reports", "rollup", "janitor", "batches")
"""The rows of infra/functions.py."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_MODEL_ARN = re.compile(r"arn:[a-z-]+:(?:bedrock|sagemaker|bedrock-mantle):[a-z0-9*-]*:[0-9*]*:.+")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
# A load balancer's IP targets outside its VPC must be in one of these.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-type
_PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))


class SettingsError(Exception):
    """An environment that cannot be deployed as written. The message is one line per finding, each with what to write instead."""


@dataclass(frozen=True, kw_only=True)
class FunctionSize:
    """Memory in MB (1,769 is one whole CPU), times in seconds. `reserved` None: shares the account's concurrency."""

    memory: int = 512
    timeout: int = LONGEST_BUFFERED_SECONDS
    reserved: int | None = None
    snap_start: bool = False
    provisioned: int = 0
    temporary_mb: int = 512


@dataclass(frozen=True, kw_only=True)
class TableLimit:
    """The on-demand maximum in request units per second: what a runaway loop can cost."""

    read: int = 4000
    write: int = 4000


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A name of your own for the API; execute-api's is switched off then. `certificate` is an ACM ARN in the same region."""

    name: str
    certificate: str
    base_path: str = ""


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """AWS WAF. `requests_per_5_minutes` is per client address."""

    requests_per_5_minutes: int = 2000


@dataclass(frozen=True, kw_only=True)
class Api:
    """The front door. `rate` is requests per second for all callers together, `burst` the bucket above it."""

    rate: int = 500
    burst: int = 1000
    stream: bool = True
    """False only for emulators without response streaming: answers are whole and take at most 29 s."""
    firewall: Firewall | None = None
    domain: Domain | None = None
    allowed_addresses: tuple[str, ...] = ()
    """CIDR blocks that may call; empty: everyone who has a key."""
    private_endpoints: tuple[str, ...] = ()
    """Ids of execute-api VPC endpoints. Not empty: the API is private and answers only through them."""
    account_log_role: bool = True
    """Make the role with which API Gateway writes logs. It is one per account and region: exactly one environment there needs it."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Inference servers of one kind outside AWS, behind one name: `api_base: onprem://<name>` in gateway.yaml."""

    name: str
    kind: str
    addresses: tuple[str, ...]
    port: int = 0
    """0: the kind's usual port."""
    health_path: str = ""

    @property
    def port_or_usual(self) -> int:
        return self.port or POOL_KINDS[self.kind][0]

    @property
    def health(self) -> str:
        return self.health_path or POOL_KINDS[self.kind][1]


@dataclass(frozen=True, kw_only=True)
class Network:
    """An existing VPC (all three ids), or the block for a new one. Zones are explicit: a synth asks AWS nothing.

    The road to the pools (Direct Connect, VPN, transit gateway) is yours: attach it to these subnets.
    """

    zones: tuple[str, ...]
    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    cidr: str = "10.77.0.0/24"


@dataclass(frozen=True, kw_only=True)
class OnPrem:
    network: Network
    pools: tuple[Pool, ...]
    probe_minutes: int = 5
    """A VPC link without traffic goes to sleep after 60 days, and its first requests then fail."""
    idle_seconds: int = LONGEST_STREAM_SECONDS


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """Whom to tell. `latency_seconds` is for the proxy's p99 duration, which a long answer legitimately reaches."""

    emails: tuple[str, ...] = ()
    error_percent: float = 1.0
    """Of a function's invocations; 0: the first error alarms."""
    latency_seconds: int = 720
    concurrency_share: float = 0.8
    stream_age_seconds: int = 300


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One deployment. `name` is its folder; `account` empty: whichever account deploys."""

    name: str
    region: str
    account: str = ""
    production: bool = False
    """Deletion protection, RETAIN on what holds data, termination protection on its stack."""
    own_key: bool = False
    """Encrypt with a KMS key of your own ($1 a month, and a price per call) instead of AWS's."""
    provider_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"providers": ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")})
    """Provider group → the fields its JSON secret is to hold. The fields stand in for environment variables."""
    functions: Mapping[str, FunctionSize] = field(default_factory=dict)
    """Sizes by function; a missing one has the size in infra/functions.py."""
    tables: Mapping[str, TableLimit] = field(default_factory=dict)
    api: Api = Api()
    on_prem: OnPrem | None = None
    alarms: Alarms = Alarms()
    log_days: int = 30
    export_days: int = 2555
    """How long an export is kept; seven years."""
    file_days: int = 60
    """After which an uploaded file or a batch's answer is removed, if nobody did before; they expire for callers after 30."""
    janitor_minutes: int = 5
    batch_minutes: int = 1
    """How often open batches are looked for: the longest a new one waits."""
    model_arns: tuple[str, ...] = ()
    """Bedrock models and SageMaker endpoints that are added at runtime. Those in gateway.yaml are permitted without being named here."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Settings of the program that differ from its defaults, by field name of tollkeeper.settings.Settings."""
    packages_for: str = "lambda"
    """`lambda` (python3.13, arm64), or `host`: an emulator runs the functions on this machine."""

    def checked(self) -> "Environment":
        """Itself. Raises SettingsError."""
        if found := list(problems(self)):
            raise SettingsError("\n".join(f"environment {self.name}: {line}" for line in found))
        return self


def problems(env: Environment) -> Iterator[str]:
    if not _NAME.fullmatch(env.name):
        yield f"name {env.name!r}: write lower-case letters, digits and dashes, 20 at most, a letter first"
    if env.packages_for not in {"lambda", "host"}:
        yield f"packages_for {env.packages_for!r}: write 'lambda' or 'host'"
    if env.log_days not in LOG_DAYS:
        yield f"log_days {env.log_days}: write one of {', '.join(map(str, LOG_DAYS))}"
    for name, size in env.functions.items():
        if name not in FUNCTIONS:
            yield f"functions: there is no function {name!r}; write one of {', '.join(FUNCTIONS)}"
        yield from (f"functions[{name!r}].{line}" for line in _size_problems(size))
    yield from (f"variables[{name!r}]: write a field of Settings" for name in env.variables if not _VARIABLE.fullmatch(name))
    for arn in env.model_arns:
        if not _MODEL_ARN.fullmatch(arn):
            yield f"model_arns: {arn!r}: write the ARN of a Bedrock model or profile, or of a SageMaker endpoint"
    yield from _secret_problems(env)
    yield from (f"api.{line}" for line in _api_problems(env.api))
    if env.on_prem:
        yield from (f"on_prem.{line}" for line in _on_prem_problems(env.on_prem))


def _size_problems(size: FunctionSize) -> Iterator[str]:
    if not 128 <= size.memory <= 10240:
        yield f"memory {size.memory}: Lambda takes 128 to 10240 MB"
    if not 1 <= size.timeout <= LONGEST_STREAM_SECONDS:
        yield f"timeout {size.timeout}: Lambda takes 1 to {LONGEST_STREAM_SECONDS} s"
    if not SNAP_START_LARGEST_TMP_MB <= size.temporary_mb <= 10240:
        yield f"temporary_mb {size.temporary_mb}: Lambda takes 512 to 10240 MB"
    if size.snap_start and size.provisioned:
        yield "snap_start does not go with provisioned concurrency: leave one of them out"
    if size.snap_start and size.temporary_mb > SNAP_START_LARGEST_TMP_MB:
        yield f"snap_start takes {SNAP_START_LARGEST_TMP_MB} MB of temporary storage at most: lower temporary_mb"


def _secret_problems(env: Environment) -> Iterator[str]:
    homes: dict[str, str] = {}
    for group, names in env.provider_secrets.items():
        if not _NAME.fullmatch(group):
            yield f"provider_secrets[{group!r}]: write lower-case letters, digits and dashes"
        for name in names:
            if name in homes:
                yield f"provider_secrets[{group!r}]: {name} is also in {homes[name]!r}, so which one counts? Keep it in one group"
            homes[name] = group


def _api_problems(api: Api) -> Iterator[str]:
    if api.rate < 1 or api.burst < 1:
        yield "rate and burst must be at least 1"
    for block in api.allowed_addresses:
        try:
            ip_network(block)
        except ValueError as error:
            yield f"allowed_addresses: {error}; write a CIDR block as in 203.0.113.0/24"
    if api.private_endpoints and api.firewall:
        # https://docs.aws.amazon.com/waf/latest/developerguide/how-aws-waf-works-resources.html
        yield "firewall: callers of a private API come from the VPC's own addresses; leave the firewall out"
    if api.private_endpoints and api.domain:
        yield "domain: a private API has no custom domain here; leave one of the two out"
    if api.domain and not api.domain.certificate.startswith("arn:"):
        yield "domain.certificate: write the ARN of an ACM certificate in the environment's region"


def _on_prem_problems(on_prem: OnPrem) -> Iterator[str]:
    network = on_prem.network
    if len(network.zones) < 2:
        yield "network.zones: an application load balancer needs two zones at least, as in ('eu-central-1a', 'eu-central-1b')"
    if bool(network.vpc_id) != bool(network.subnet_ids):
        yield "network: an existing VPC needs both vpc_id and subnet_ids; a new one needs neither"
    if network.subnet_ids and len(network.subnet_ids) != len(network.zones):
        yield "network.subnet_ids: write one subnet for each zone, in the order of zones"
    if not on_prem.pools:
        yield "pools is empty: add one, or leave on_prem out"
    names = [pool.name for pool in on_prem.pools]
    yield from (f"pools: there are two named {name!r}" for name in sorted({name for name in names if names.count(name) > 1}))
    for pool in on_prem.pools:
        yield from (f"pools[{pool.name!r}].{line}" for line in _pool_problems(pool))


def _pool_problems(pool: Pool) -> Iterator[str]:
    if not _NAME.fullmatch(pool.name):
        yield "name: write lower-case letters, digits and dashes"
    if pool.kind not in POOL_KINDS:
        yield f"kind {pool.kind!r}: write one of {', '.join(POOL_KINDS)}"
    if not pool.addresses:
        yield "addresses is empty: write the servers' IPv4 addresses, as in ('10.1.2.3',)"
    for text in pool.addresses:
        if not _private(text):
            yield f"addresses: {text!r} is no private IPv4 address (10/8, 172.16/12, 192.168/16, 100.64/10)"


def _private(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return isinstance(address, IPv4Address) and any(address in block for block in _PRIVATE)


def differences(one: Environment, other: Environment) -> list[str]:
    """The fields in which two environments differ."""
    return [field.name for field in fields(Environment) if getattr(one, field.name) != getattr(other, field.name)]
