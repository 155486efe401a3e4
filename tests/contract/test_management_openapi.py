"""Every operation of /openapi.json with generated requests: no 5xx, no answer that is not in the document, every refusal in the envelope.

Authenticated as the master key, and as nobody. A few examples each in the suite; `-m slow` draws many.
"""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator, ValidationError
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from tests.support.admin import MASTER, Admin, Vault, make_admin

from tollkeeper.config.compile import compile_config

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FILE = """
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}, model_info: {id: from-file}}
"""
ENVELOPE = Draft202012Validator({
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"type": "string", "minLength": 1},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
})  # fmt: skip


@pytest.fixture(scope="module")
def admin() -> Iterator[Admin]:
    admin = make_admin(models=compile_config(FILE, env={}.get), secrets=Vault())
    yield admin
    admin.store.close()


def drawn(admin: Admin, examples: int) -> None:
    """Draws requests for every operation and checks what comes back. The first failures of each operation, all together."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", admin.app)
    failures: list[Exception] = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def hold(case: schemathesis.Case) -> None:
            answer = case.call(headers={"authorization": f"Bearer {MASTER}"})
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400:
                ENVELOPE.validate(answer.json())

        try:
            hold()
        except* (AssertionError, ValidationError) as group:  # the next operation is looked at all the same
            failures.append(ExceptionGroup(operation.label, list(group.exceptions)))
    if failures:
        raise ExceptionGroup("operations that do not answer as their document says", failures)


def test_every_operation_answers_as_its_document_says(admin: Admin) -> None:
    drawn(admin, 2)


@pytest.mark.slow
def test_every_operation_answers_as_its_document_says_however_often_it_is_asked(admin: Admin) -> None:
    drawn(admin, 15)
