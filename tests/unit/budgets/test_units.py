"""Calls that are paid by the character, the hour or the image: never more than what was set aside for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.budgets.bound import PriceUnknown, Tariff, worst_case
from tollkeeper.budgets.units import Units, has_price, heard_ms
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.dialects.multipart import File
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.edge.media import listened, painted, spoken
from tollkeeper.ledger.cost import cost_of

HOUR = Prices({"audio_hour": Rate(360_000_000_000_000)}, "t")
CHARACTER = Prices({"character": Rate(15_000_000_000)}, "t")
TOKENS = Prices({"input": Rate(5_000_000_000), "image_input": Rate(10_000_000_000), "output": Rate(40_000_000_000)}, "t")


def bound(units: Units, prices: Prices | None) -> int:
    return worst_case({}, [Tariff("d", "openai", "m", prices)], units=units).amount


@given(st.integers(0, 10**9))
def test_an_hours_price_is_exact_to_the_millisecond(milliseconds: int) -> None:
    cost = cost_of(Usage(audio_ms=milliseconds), HOUR).total
    assert abs(cost - milliseconds * 100_000 / 1_000) <= 1, "$0.36 an hour is 100,000 nano-dollars a second"


@given(st.text(min_size=1, max_size=500))
def test_what_speech_costs_was_set_aside(text: str) -> None:
    measured = spoken({"input": text})
    for prices in (CHARACTER, TOKENS, Prices({**CHARACTER.rates, **TOKENS.rates}, "t")):
        assert cost_of(usage_from_hub(measured.likely), prices).total <= bound(measured.units, prices)
    assert cost_of(usage_from_hub(measured.likely), CHARACTER).total == len(text) * 15_000


@given(st.integers(1, 200_000), st.booleans())
def test_what_hearing_likely_costs_was_set_aside(size: int, wav: bool) -> None:
    head = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00" if wav else b"ID3"
    measured = listened({"form": [("file", File("a", "audio/x", head + bytes(size)))]})
    for prices in (HOUR, TOKENS):
        assert cost_of(usage_from_hub(measured.likely), prices).total <= bound(measured.units, prices)


def test_uncompressed_sound_is_shorter_than_its_bytes_could_be() -> None:
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00" + bytes(79_978)
    assert heard_ms(wav) == 10_000
    assert heard_ms(b"OggS" + wav[4:]) > 100_000


def test_an_image_of_tokens_was_set_aside() -> None:
    measured = painted({"prompt": "x", "n": 2})
    stated = Usage(input=14, output=2 * 6_240, image_output=2 * 6_240, images=2)
    assert cost_of(stated, TOKENS).total <= bound(measured.units, TOKENS)


def test_images_among_the_tokens_have_a_price_of_their_own() -> None:
    usage = Usage(input=100, image_input=60, output=10)
    assert cost_of(usage, TOKENS).total == 40 * 5_000 + 60 * 10_000 + 10 * 40_000


@pytest.mark.parametrize("prices", [None, Prices({}, "t"), CHARACTER, Prices({"output": Rate(1)}, "t")])
def test_a_price_by_another_measure_is_no_price(prices: Prices | None) -> None:
    units = listened({"form": [("file", File("a", "audio/x", b"ID3"))]}).units
    assert not has_price(units, prices)
    with pytest.raises(PriceUnknown):
        bound(units, prices)
    assert worst_case({}, [Tariff("d", "openai", "m", prices)], units=units, hard=False).amount == 0
