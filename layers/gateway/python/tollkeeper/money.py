"""Money is a whole number of nano-dollars (1 USD = 10**9), so that sums are exact in every store.

Rates are finer than that: a cached token may cost 37.5 nano-dollars. A rate is therefore a whole number of
femto-dollars per unit (1 nano-dollar = 10**6 femto-dollars), and one call is rounded once, after its parts are summed.
Floats appear only where JSON asks for dollars, and never in a sum.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import NewType

NanoUSD = NewType("NanoUSD", int)
FemtoUSD = NewType("FemtoUSD", int)

NANO_PER_USD = 10**9
FEMTO_PER_NANO = 10**6
FEMTO_PER_USD = NANO_PER_USD * FEMTO_PER_NANO
ZERO = NanoUSD(0)


def usd_to_nano(usd: Decimal | float | str) -> NanoUSD:
    """Dollars as a human wrote them → nano-dollars, rounded up: a budget of 0.0000000001 is not nothing.

    Floats go through their shortest decimal spelling, so 0.1 is a tenth and not its binary neighbour.
    """
    return NanoUSD(int((_decimal(usd) * NANO_PER_USD).to_integral_value(ROUND_CEILING)))


def usd_to_femto(usd: Decimal | float | str) -> FemtoUSD:
    """A price per unit in dollars → femto-dollars per unit, to the nearest (provider price lists have at most 13 decimals)."""
    return FemtoUSD(int((_decimal(usd) * FEMTO_PER_USD).to_integral_value(ROUND_HALF_EVEN)))


def nano_to_usd(nano: int) -> float:
    """Nano-dollars → the JSON number LiteLLM's clients read. For showing only."""
    return nano / NANO_PER_USD


def round_cost(femto: int) -> NanoUSD:
    """What a finished call cost: to the nearest nano-dollar, half to even."""
    quotient, rest = divmod(femto, FEMTO_PER_NANO)
    half = FEMTO_PER_NANO // 2
    return NanoUSD(quotient + (rest > half or (rest == half and quotient % 2 == 1)))


def round_hold(femto: int) -> NanoUSD:
    """What to set aside for a call: upward, so that a hold is never smaller than its cost."""
    return NanoUSD(-(-femto // FEMTO_PER_NANO))


def _decimal(usd: Decimal | float | str) -> Decimal:
    return usd if isinstance(usd, Decimal) else Decimal(str(usd))
