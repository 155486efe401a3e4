"""Every partition and sort key of the three tables, on one page.

directory   pk                        sk          gsi1 (listing)        gsi2 (by team)     gsi3 (by user)
  virtual key   key#<hash>            key         keys / created#hash   team#<id>/keys#…   user#<id>/keys#…
  key alias     keyalias#<alias>      keyalias
  team          team#<id>             team        teams / created#id
  user          user#<id>             user        users / created#id
  user's email  useremail#<email>     useremail
  budget        budget#<id>           budget      budgets / created#id
  organization  organization#<id>     organization   organizations / created#id
  project       project#<id>          project     projects / created#id  team#<id>/projects#…
  customer      customer#<id>         customer    customers / created#id
  tag           tag#<name>            tag         tags / created#name
  access group  accessgroup#<name>    accessgroup accessgroups / created#name
  membership    team#<id> or organization#<id>   member#<user id>        user#<id>/<teams or organizations>#…
  rotated key   key#<hash of its new text>       key      (points to the record: auth/records.py KeyPointer)
  key to rotate rotations             <due>#<hash>
  model         models                <model id>
  credential    routes                credential#<name>
  fallback      routes                fallback#<type>/<model>
ledger
  entry         day#<yyyy-mm-dd>#<shard>  <request id>    key#<hash> / <request id>   team#<id> / …   user#<id> / …
  sum           sum#<kind>#<yyyy-mm>  month#<value> or day#<dd>#<value>   (ledger/sums.py)
  sum of all    sum#all               month#<yyyy-mm> or day#<yyyy-mm-dd>
  its parts     part#<kind>#<value>#<yyyy-mm>   <dd>#<digest of key, model, provider …>
  ids already in them   rolled#<7 characters of ids>#<lane>   rolled
  content note  content#<yyyy-mm-dd>  <request id>     what may be removed after that day (ledger/content.py)
  rollup lane   lane#<number>         lane        (ledger/roller.py)
  alert         alert#<digest>        alert       alerts/pending or alerts/told / when it was raised
  audit entry   audit                 <number in 12 digits>   audit/<kind>#<id> / number   audit/by#<who> / number
  audit mark    audit (in directory)  mark            the number and hash of the newest entry, so that a cut-off tail shows
counters
  budget window  <scope>              <window>            (budgets/windows.py names windows: total, day#…, week#…, month#…)
  lifetime       <scope>              lifetime            (admission/spending.py)
  its slices     <scope>#~<number>    <window>            (budgets/slices.py)
  rate window    <scope>              minute#<minute since epoch> | utcday#<day since epoch>
  kept things    kept#<kind>#<id>     part#<number>       (store/archive.py)
  hold register  holds#<shard>        <hour>#<scope>#<window>   (budgets/janitor.py)
  file           file#<id>            file          (batches/: what the files API and batches know; their bytes are objects)
  batch          batch#<id>           batch
  its lines      batch#<id>/lines     <line number in 9 digits>
  open batches   batches              <batch id>
  who has what   <scope>/files        <file id>     (and <scope>/batches; scope: key#<hash>, user#<id>, team#<id>)
  background     background#<response id>   job     (background/: responses that are made while nobody waits)
  open ones      background           <response id>
  upload         upload#<id>          upload        its parts: part#<part id>
  breaker        routing#<group>      breaker#<deployment>      (routing/cells.py)
  its statistics routing#<group>      use#<deployment>#minute#<minute since epoch>   (routing/statistics.py)
  canary         routing#<group>      canary#<deployment>, there once it is rolled back; …#<settings>#utcday#<day>: its calls
  health probes  health#latest        <deployment>              (routing/checks.py); health#log / <time-ordered id>
  drift          drift               found#<kind>#<id>#<scope>#<window> | round   (reports/drift.py)
  watched days   watched              <yyyy-mm-dd>  (bootstrap/watch.py)
  export         exports              <export id>   (reports/exports.py); exports#open: those that are not done
  daily exports  exports#plan         plan          how far they have come (reports/export_plan.py)
  outbox         outbox#<sink>        0<entry id> | state       (sinks/outbox.py)
"""

from hashlib import sha256
from zlib import crc32

KEY_SK = "key"
TEAM_SK = "team"
USER_SK = "user"
BUDGET_SK = "budget"
ORGANIZATION_SK = "organization"
PROJECT_SK = "project"
CUSTOMER_SK = "customer"
TAG_SK = "tag"
ACCESS_GROUP_SK = "accessgroup"
AUDIT_PK = "audit"
AUDIT_MARK_SK = "mark"
ROTATIONS_PK = "rotations"
MODELS_PK = "models"
ROUTES_PK = "routes"
KEY_ALIAS = "keyalias"
USER_EMAIL = "useremail"
LEDGER_SHARDS = 8
"""A day's entries are spread over this many partitions: one partition takes 1,000 writes a second."""


def key_pk(key_hash: str) -> str:
    return f"key#{key_hash}"


def unique_name_pk(kind: str, name: str) -> str:
    """The item that keeps a name to one owner; `kind` (KEY_ALIAS, USER_EMAIL) is its sort key too."""
    return f"{kind}#{name}"


def team_pk(team_id: str) -> str:
    return f"team#{team_id}"


def user_pk(user_id: str) -> str:
    return f"user#{user_id}"


def budget_pk(budget_id: str) -> str:
    return f"budget#{budget_id}"


def organization_pk(organization_id: str) -> str:
    return f"organization#{organization_id}"


def project_pk(project_id: str) -> str:
    return f"project#{project_id}"


def customer_pk(customer_id: str) -> str:
    return f"customer#{customer_id}"


def tag_pk(name: str) -> str:
    return f"tag#{name}"


def access_group_pk(name: str) -> str:
    return f"accessgroup#{name}"


def credential_sk(name: str) -> str:
    return f"credential#{name}"


def fallback_sk(fallback_id: str) -> str:
    return f"fallback#{fallback_id}"


def member_sk(user_id: str) -> str:
    """Under the pk of a team or an organization: what this user has there."""
    return f"member#{user_id}"


def memberships(user_id: str, kind: str) -> str:
    """The gsi3 partition that lists a user's memberships; `kind` is teams or organizations."""
    return f"{user_pk(user_id)}/{kind}"


def audit_sk(number: int) -> str:
    return f"{number:012d}"


def audited(kind: str, record_id: str) -> str:
    """The gsi1 partition of the ledger that lists the audit entries about one record."""
    return f"audit/{kind}#{record_id}"


def audited_by(author: str) -> str:
    """The gsi2 partition of the ledger that lists one author's audit entries."""
    return f"audit/by#{author}"


def listing(kind: str) -> str:
    """The gsi1 partition that lists every record of a kind (`keys`, `teams`, `users`, `budgets` …), newest last."""
    return kind


def owned_keys(owner_pk: str) -> str:
    """The gsi2 (team) or gsi3 (user) partition that lists an owner's virtual keys, newest last."""
    return f"{owner_pk}/keys"


def listing_sk(created_at: str, record_id: str) -> str:
    """`created_at` is ISO 8601 in UTC, so that index order is age order."""
    return f"{created_at}#{record_id}"


def ledger_pk(day: str, entry_id: str) -> str:
    """`day` is yyyy-mm-dd; the shard follows from the id, so that a writer's retry lands on the same item."""
    return f"day#{day}#{sum(entry_id[-4:].encode()) % LEDGER_SHARDS}"


SUM_ALL_PK = "sum#all"
ROLLED_SK = "rolled"
LANE_SK = "lane"
_ROLLED_CHARACTERS = 7
"""So many characters of a time-ordered id are the same for eight seconds."""


def sum_pk(kind: str, month: str) -> str:
    """What every key, team … (`kind`) spent in a month (yyyy-mm) and on its days."""
    return f"sum#{kind}#{month}"


def sum_sk(value: str, day: str = "") -> str:
    """`day` is dd; without it, the month's."""
    return f"day#{day}#{_id(value)}" if day else f"month#{_id(value)}"


def part_pk(kind: str, value: str, month: str) -> str:
    """A month of one key, team …, by day and by what it was spent on."""
    return f"part#{kind}#{_id(value)}#{month}"


def rolled_pk(entry_id: str, lane: int) -> str:
    """Where it is noted that an entry is in the sums; `rolled_name` is its attribute there."""
    return f"rolled#{entry_id[:_ROLLED_CHARACTERS]}#{lane}"


def rolled_name(entry_id: str) -> str:
    return entry_id[_ROLLED_CHARACTERS:]


def content_pk(day: str) -> str:
    return f"content#{day}"


def lane_pk(lane: int) -> str:
    return f"lane#{lane}"


WATCHED_PK = "watched"
DRIFT_PK, DRIFT_ROUND_SK, DRIFT_FOUND = "drift", "round", "found#"
EXPORTS_PK, OPEN_EXPORTS_PK = "exports", "exports#open"
EXPORT_PLAN = ("exports#plan", "plan")
ALERT_SK = "alert"
ALERTS_PENDING = "alerts/pending"
ALERTS_TOLD = "alerts/told"
OUTBOX_STATE_SK = "state"


def alert_pk(digest: str) -> str:
    return f"alert#{digest}"


def outbox_pk(sink: str) -> str:
    """What a sink has not taken yet: `0<entry id>`, and how it is (`state`)."""
    return f"outbox#{sink}"


LIFETIME_SK = "lifetime"
"""Beside a scope's windows: what it has spent in all, for showing (admission/spending.py)."""
HOLD_SHARDS = 4
"""An hour's entries of the hold register are spread over this many partitions."""
_LONGEST_ID = 256


def scope_pk(kind: str, *ids: str) -> str:
    """The counters partition of one scope. Ids come from callers (a customer may be any text): no two of them can meet in one key."""
    return "#".join((kind, *(_id(text) for text in ids)))


def scope_of(pk: str) -> tuple[str, tuple[str, ...]]:
    """The inverse of `scope_pk`: (kind, ids). An id too long for a key comes back as its digest."""
    kind, *ids = pk.split("#")
    return kind, tuple(text.replace("%23", "#").replace("%25", "%") for text in ids if not text.startswith("~"))


def slice_pk(scope: str, number: int) -> str:
    """Slice 0 is the scope's own item."""
    return f"{scope}#~{number}" if number else scope


def kept_pk(kind: str, identifier: str) -> str:
    """`identifier` may be any text a caller asks for."""
    return scope_pk("kept", kind, identifier)


def part_sk(number: int) -> str:
    return f"part#{number:03d}"


def minute_sk(epoch: float) -> str:
    return f"minute#{int(epoch // 60)}"


def day_sk(epoch: float) -> str:
    return f"utcday#{int(epoch // 86400)}"


def hold_register_pk(scope: str) -> str:
    return f"holds#{crc32(scope.encode()) % HOLD_SHARDS}"


def hold_register_sk(hour: int, scope: str, window: str) -> str:
    """`hour` counts from the epoch, in seven digits so that entries sort by age."""
    return f"{hour:07d}#{scope}#{window}"


BREAKER_PREFIX, USE_PREFIX, CANARY_PREFIX = "breaker#", "use#", "canary#"


FILE_SK, BATCH_SK, UPLOAD_SK = "file", "batch", "upload"
OPEN_BATCHES_PK = "batches"
BACKGROUND_SK, OPEN_BACKGROUND_PK = "job", "background"


def background_pk(response_id: str) -> str:
    return scope_pk("background", response_id)


def file_pk(file_id: str) -> str:
    return scope_pk("file", file_id)


def batch_pk(batch_id: str) -> str:
    return scope_pk("batch", batch_id)


def batch_lines_pk(batch_id: str) -> str:
    return f"{batch_pk(batch_id)}/lines"


def batch_line_sk(line: int) -> str:
    return f"{line:09d}"


def upload_pk(upload_id: str) -> str:
    return scope_pk("upload", upload_id)


def upload_part_sk(part_id: str) -> str:
    return f"part#{part_id}"


def owned_pk(scope: str, kind: str) -> str:
    """The partition that lists what one scope (as `scope_pk` names it) has of a kind, oldest first."""
    return f"{scope}/{kind}"


HEALTH_LATEST_PK, HEALTH_LOG_PK = "health#latest", "health#log"


def health_sk(deployment_id: str) -> str:
    return _id(deployment_id)


def routing_pk(group: str) -> str:
    """Everything that routing remembers of a group's deployments: one query reads it."""
    return scope_pk("routing", group)


def breaker_sk(deployment_id: str) -> str:
    return BREAKER_PREFIX + _id(deployment_id)


def canary_sk(deployment_id: str) -> str:
    """There once a canary was rolled back."""
    return CANARY_PREFIX + _id(deployment_id)


def canary_day_sk(deployment_id: str, settings: str, epoch: float) -> str:
    """How its calls went that day, under these settings."""
    return f"{CANARY_PREFIX}{_id(deployment_id)}#{sha256(settings.encode()).hexdigest()[:12]}#{day_sk(epoch)}"


def routing_use_sk(deployment_id: str, minute: str = "") -> str:
    """`minute` as `minute_sk` makes it; without it, what the sort keys of all of a deployment's minutes begin with."""
    return f"{USE_PREFIX}{_id(deployment_id)}#{minute}"


def _id(text: str) -> str:
    """Keys are at most 2,048 bytes, so a long id stands by its digest (`%%` cannot come out of the escaping)."""
    if len(text) > _LONGEST_ID:
        return "%%" + sha256(text.encode(errors="surrogatepass")).hexdigest()
    return text.replace("%", "%25").replace("#", "%23")
