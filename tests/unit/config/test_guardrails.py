"""`guardrails`: what is compiled, what survives the disk, and what is said of mistakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tollkeeper.config.compile import compile_config, compile_file
from tollkeeper.config.snapshot import Secret, dump, load
from tollkeeper.errors import ConfigError

API = {
    "guardrail": "generic_guardrail_api",
    "mode": ["pre_call", "post_call"],
    "api_base": "os.environ/GUARD_URL/",
    "api_key": "os.environ/KEY",
}
FILTER = {"guardrail": "litellm_content_filter", "mode": "pre_call", "patterns": [{"pattern_type": "prebuilt", "pattern_name": "email"}]}
ENV = {"KEY": "s3cr3t", "GUARD_URL": "https://guard.example"}


def compiled(*rows: Any, **sections: Any) -> Any:
    return compile_config(yaml.safe_dump({"guardrails": list(rows), **sections}), env=ENV.get)


def row(name: str, **params: Any) -> dict[str, Any]:
    return {"guardrail_name": name, "litellm_params": params}


def test_credentials_stay_references_and_the_rest_survives_the_disk() -> None:
    snapshot = compiled(row("a", **{**API, "api_base": "os.environ/GUARD_URL"}), row("b", **FILTER, default_on=True))
    assert load(dump(snapshot)).guardrails == snapshot.guardrails
    assert b"s3cr3t" not in dump(snapshot)
    first, second = snapshot.guardrails
    assert (first.url, first.stages, first.credentials) == (
        "https://guard.example",
        ("pre_call", "post_call"),
        {"api_key": Secret("env", "KEY")},
    )
    assert (second.default_on, second.terms["patterns"][0]["action"]) == (True, "BLOCK")


def test_litellm_settings_may_hold_them_and_unspoken_parts_are_listed() -> None:
    params = {**FILTER, "categories": [{"category": "harmful_violence"}], "mode": "logging_only"}
    nested = {"guardrails": [row("a", **params)]}
    snapshot = compiled(litellm_settings=nested)
    assert [each.name for each in snapshot.guardrails] == ["a"]
    assert set(snapshot.unsupported) == {
        "litellm_settings.guardrails[0].litellm_params.categories",
        "litellm_settings.guardrails[0].litellm_params.mode",
    }


def test_words_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("blocked_words:\n  - {keyword: apollo, action: mask}\n")
    config = tmp_path / "gateway.yaml"
    params = {"guardrail": "litellm_content_filter", "blocked_words_file": "words.yaml"}
    config.write_text(yaml.safe_dump({"guardrails": [row("a", **params)]}))
    [found] = compile_file(config, env=ENV.get).guardrails
    assert found.terms["blocked_words"] == [{"keyword": "apollo", "action": "MASK", "description": None}]
    (tmp_path / "words.yaml").write_text("blocked_words: {")
    with pytest.raises(ConfigError, match=r"guardrails\[0\].litellm_params.blocked_words_file.*cannot be read"):
        compile_file(config, env=ENV.get)


MISTAKES: list[tuple[Any, str]] = [
    (row("a", guardrail="litellm_content_filtre"), "did you mean litellm_content_filter"),
    (row("a", guardrail="lakera"), "use one of"),
    (row("a", guardrail="litellm_content_filter", mode="precall"), "did you mean pre_call"),
    (row("a", guardrail="litellm_content_filter", patterns=[{"pattern_name": "emial"}]), "did you mean email"),
    (row("a", guardrail="litellm_content_filter", patterns=[{"pattern_type": "regex", "pattern": "("}]), "is no regular expression"),
    (row("a", guardrail="litellm_content_filter", patterns=[{"pattern_type": "regex"}]), "has no pattern"),
    (row("a", guardrail="litellm_content_filter", pattern_redaction_format="***"), "has no {pattern_name} in it"),
    (row("a", guardrail="litellm_content_filter", blocked_words=[{"keyword": ""}]), "is empty"),
    (row("a", guardrail="generic_guardrail_api"), "api_base"),
    (row("a", guardrail="generic_guardrail_api", api_base="guard.example"), "is no http"),
    (row("a", guardrail="bedrock"), "guardrailIdentifier"),
    ({"guardrail_name": "a"}, "litellm_params"),
    ("a", "must be a mapping"),
]


@pytest.mark.parametrize(("entry", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_place(entry: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=r"guardrails\[0\]") as raised:
        compiled(entry)
    assert said in str(raised.value)


def test_two_of_one_name() -> None:
    with pytest.raises(ConfigError, match=r"guardrails\[1\].guardrail_name.*a is there already"):
        compiled(row("a", **FILTER), row("a", **FILTER))
