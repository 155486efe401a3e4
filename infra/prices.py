"""List prices of AWS, us-east-1, in US dollars, as data. `AS_OF` is the day they were looked at; other regions differ by some percent."""

from dataclasses import dataclass

AS_OF = "2026-11-21"
HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Price:
    """Dollars per unit, and where it is said."""

    dollars: float
    unit: str
    source: str


_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_API = "https://aws.amazon.com/api-gateway/pricing/"
_TABLES = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
_WATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_BALANCER = "https://aws.amazon.com/elasticloadbalancing/pricing/"

LAMBDA_GB_SECOND = Price(0.0000133334, "GB-second, arm64", _LAMBDA)
LAMBDA_REQUEST = Price(0.20 / 1e6, "request", _LAMBDA)
LAMBDA_PROVISIONED = Price(0.0000033334, "GB-second kept ready, arm64", _LAMBDA)
SNAP_START_CACHE = Price(0.0000015046, "GB-second of a snapshot", _LAMBDA)
API_REQUEST = Price(3.50 / 1e6, "request (of up to 10 MB of streamed answer)", _API)
WRITE_UNIT = Price(0.625 / 1e6, "write request unit", _TABLES)
READ_UNIT = Price(0.125 / 1e6, "read request unit", _TABLES)
TABLE_GB = Price(0.25, "GB-month", _TABLES)
RESTORE_GB = Price(0.20, "GB-month of point-in-time recovery", _TABLES)
SECRET = Price(0.40, "secret-month", _SECRETS)
SECRET_CALL = Price(0.05 / 10_000, "call", _SECRETS)
ALARM = Price(0.10, "alarm-month", _WATCH)
METRIC = Price(0.30, "custom metric-month", _WATCH)
DASHBOARD = Price(3.00, "dashboard-month (the first three are free)", _WATCH)
LOG_GB = Price(0.50, "GB of logs taken in", _WATCH)
KEY = Price(1.00, "key-month", "https://aws.amazon.com/kms/pricing/")
FIREWALL_ACL = Price(5.00, "web ACL-month", "https://aws.amazon.com/waf/pricing/")
FIREWALL_RULE = Price(1.00, "rule-month", "https://aws.amazon.com/waf/pricing/")
FIREWALL_REQUEST = Price(0.60 / 1e6, "request", "https://aws.amazon.com/waf/pricing/")
BALANCER_HOUR = Price(0.0225, "hour of a load balancer", _BALANCER)
BALANCER_UNIT_HOUR = Price(0.008, "capacity unit-hour", _BALANCER)
SCHEDULE = Price(1.00 / 1e6, "scheduled start", "https://aws.amazon.com/eventbridge/pricing/")
