"""The options that commands share, and the way to the gateway they name."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from tollkeeper.dev.gateway_client import GatewayClient, connect
from tollkeeper.settings import secret_env

T = TypeVar("T")
HERE = "http://127.0.0.1:4000"

Url = Annotated[str | None, typer.Option("--url", help=f"The gateway; default: TOLLKEEPER_URL, else {HERE}.", show_default=False)]
Key = Annotated[str | None, typer.Option("--key", help="A key that may; default: TOLLKEEPER_MASTER_KEY.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="The gateway's answer as it is.")]
Page = Annotated[int, typer.Option("--page", min=1)]
Size = Annotated[int, typer.Option("--size", min=1, max=100, help="Rows of a page.")]
Money = Annotated[float | None, typer.Option("--max-budget", help="US dollars.", show_default=False)]
Period = Annotated[str | None, typer.Option("--budget-duration", help="When the budget begins anew: 1d, 30d, 1mo.", show_default=False)]
ModelNames = Annotated[list[str] | None, typer.Option("--model", help="May be used; repeat for several. None: every model.")]


def ask(url: str | None, key: str | None, question: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """What the gateway answers to `question`. Raises BadParameter without a key, and what the client raises."""
    key = key or secret_env("TOLLKEEPER_MASTER_KEY")
    if not key:
        raise typer.BadParameter("no key; give --key or set TOLLKEEPER_MASTER_KEY", param_hint="--key")

    async def answer() -> T:
        async with connect(url or secret_env("TOLLKEEPER_URL") or HERE, key) as http:
            return await question(GatewayClient(http))

    return asyncio.run(answer())


def given(**fields: object) -> dict[str, object]:
    """Those that were given."""
    return {name: value for name, value in fields.items() if value is not None and value != []}
