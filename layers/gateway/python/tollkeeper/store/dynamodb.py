"""The state ring on DynamoDB, signed by hand over whatever HTTP client is passed in.

Every verb is one request on one item. Two things need care:

- **A write whose answer is lost may have happened.** `put`, `delete` and the reads are repeated freely. `put_new` is repeated, and if the
  item that stands in its way is its own, the earlier try did succeed. `apply` is not repeated: an ADD twice is money booked twice, and
  only the caller knows whether its `when` makes the write idempotent. It gets StoreUnavailable with code `write_outcome_unknown`.
- **DynamoDB deletes expired items up to days late** (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html).
  Reads filter them. Writes carry the condition that the item they meet has not expired; one that has is removed first, so that nothing
  is ever added to a dead counter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tollkeeper.clock import Clock, system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store import paging
from tollkeeper.store.attributes import Expressions, marshal, unmarshal
from tollkeeper.store.aws import CredentialSource, HttpSend
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService
from tollkeeper.store.table import Condition, ConditionFailed, Item, Page
from tollkeeper.store.values import check_item, check_key, check_query, check_update, is_expired, unless_expired

OnRequest = Callable[[str, float], None]
_CONDITION_FAILED = "ConditionalCheckFailedException"
_EXPIRED_TRIES = 3


class DynamoTable:
    """`store.table.Table` over one DynamoDB table.

    `on_request(operation, capacity_units)` is told of every answered request; asking DynamoDB for the units costs nothing.
    A refused condition consumes a write too, but its answer carries no figure: it is reported as 0.0.
    """

    def __init__(
        self,
        name: str,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        clock: Clock = system,
        on_request: OnRequest | None = None,
    ) -> None:
        self.name = name
        self.on_request = on_request
        self._clock = clock
        service = AwsService("dynamodb", "DynamoDB_20120810", "1.0", f"DynamoDB table {name}")
        self._aws = AwsJson(service, send, credentials, region, endpoint, clock=clock)

    async def get(self, pk: str, sk: str, *, consistent: bool = False) -> Item | None:
        check_key(pk, sk)
        answer = await self._call("GetItem", {"Key": _key(pk, sk), "ConsistentRead": consistent})
        return unless_expired(_item(answer, "Item"), self._clock.now())

    async def query(
        self,
        pk: str,
        *,
        index: str | None = None,
        prefix: str = "",
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Page:
        check_query(index, limit)
        partition, sort, *_ = paging.key_names(index)
        expressions = Expressions()
        text = f"{expressions.name(partition)} = {expressions.value(pk)}"
        if prefix:
            text += f" AND begins_with({expressions.name(sort)}, {expressions.value(prefix)})"
        request: dict[str, Any] = {"KeyConditionExpression": text, "Limit": limit, "ScanIndexForward": not descending}
        if index:
            request["IndexName"] = index
        if after is not None:
            request["ExclusiveStartKey"] = marshal(paging.decode(after, index, pk, prefix))
        answer = await self._call("Query", expressions.into(request))
        now = self._clock.now()
        items = [item for item in map(unmarshal, answer.get("Items", ())) if not is_expired(item, now)]
        last = answer.get("LastEvaluatedKey")
        return Page(items, paging.encode(unmarshal(last)) if last else None)

    async def put_new(self, item: Item) -> None:
        check_item(item)
        attributes = marshal(item)
        expressions = Expressions()
        absent, ttl, now = expressions.name("pk"), expressions.name("ttl"), expressions.value(int(self._clock.now()))
        request = {
            "Item": attributes,
            "ConditionExpression": f"attribute_not_exists({absent}) OR {ttl} <= {now}",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            await self._call("PutItem", expressions.into(request))
        except AwsRefused as refusal:
            old = _item(refusal.answer, "Item")
            if refusal.perhaps_before and old == unmarshal(attributes):
                return
            raise ConditionFailed(old) from None

    async def put(self, item: Item) -> None:
        check_item(item)
        await self._call("PutItem", {"Item": marshal(item)})

    async def delete(self, pk: str, sk: str) -> Item | None:
        """If a first try's answer was lost and a second one finds nothing, the answer is None though there was an item."""
        check_key(pk, sk)
        answer = await self._call("DeleteItem", {"Key": _key(pk, sk), "ReturnValues": "ALL_OLD"})
        return unless_expired(_item(answer, "Attributes"), self._clock.now())

    async def apply(
        self,
        pk: str,
        sk: str,
        *,
        add: Mapping[str, int] | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - the verb's name in the protocol
        remove: Iterable[str] = (),
        when: Sequence[Condition] = (),
    ) -> Item:
        add, assign, remove = add or {}, set or {}, tuple(remove)
        check_key(pk, sk)
        check_update(add, assign, remove)
        expressions = Expressions()
        request: dict[str, Any] = {"Key": _key(pk, sk), "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if update := expressions.update(add, assign, remove):
            request["UpdateExpression"] = update
        ttl, now = expressions.name("ttl"), expressions.value(int(self._clock.now()))
        alive = f"(attribute_not_exists({ttl}) OR {ttl} > {now})"
        request["ConditionExpression"] = " AND ".join((alive, *map(expressions.condition, when)))
        expressions.into(request)
        for _ in range(_EXPIRED_TRIES):
            try:
                answer = await self._call("UpdateItem", request, repeatable=False)
            except AwsRefused as refusal:
                old = _item(refusal.answer, "Item")
                if old is None or not is_expired(old, self._clock.now()):
                    raise ConditionFailed(old) from None
                await self._remove_expired(old)
            else:
                return _item(answer, "Attributes") or {"pk": pk, "sk": sk}
        raise StoreUnavailable(f"DynamoDB table {self.name}: an expired item keeps coming back")

    async def _remove_expired(self, old: Item) -> None:
        expressions = Expressions()
        request = {
            "Key": _key(old["pk"], old["sk"]),
            "ConditionExpression": f"{expressions.name('ttl')} = {expressions.value(old['ttl'])}",
        }
        try:
            await self._call("DeleteItem", expressions.into(request))
        except AwsRefused:
            return  # somebody else removed it, and perhaps began a new one: the next try meets that

    async def _call(self, operation: str, request: dict[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        """Lets only a failed condition through as AwsRefused."""
        request["TableName"] = self.name
        if self.on_request:
            request["ReturnConsumedCapacity"] = "TOTAL"
        try:
            answer = await self._aws.call(operation, request, repeatable=repeatable)
        except AwsRefused as refusal:
            self._count(operation, refusal.answer)
            if refusal.code == _CONDITION_FAILED:
                raise
            if refusal.code == "ValidationException":
                # Ours: a value, size or index that DynamoDB does not take. Its message may quote the item, so it stays in the cause.
                raise ValueError(f"DynamoDB table {self.name} does not take this {operation}") from refusal
            raise self._aws.refused(refusal) from refusal
        self._count(operation, answer)
        return answer

    def _count(self, operation: str, answer: Mapping[str, Any]) -> None:
        if self.on_request:
            consumed = answer.get("ConsumedCapacity") or {}
            self.on_request(operation, float(consumed.get("CapacityUnits", 0.0)))


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _item(answer: Mapping[str, Any], name: str) -> Item | None:
    attributes = answer.get(name)
    return unmarshal(attributes) if attributes else None
