"""The runtime from Lambda's side: its own process behind the exec wrapper, a Runtime API that records the order of things."""

import base64
import json
import subprocess
from typing import Any

import pytest
from tests.support.runtime_api import WRAPPER

SECRET = "sk-0123456789-very-secret"


def event(path: str, **fields: Any) -> dict[str, Any]:
    return {"httpMethod": "POST", "path": f"/{path}", "headers": {"host": "api"}, "requestContext": {}, "body": None, **fields}


async def test_each_chunk_leaves_before_the_next_is_made(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("steps"))
        await box.api.until("chunk", "data: one\n\n")
        await box.api.until("waits", "second")
        assert ("chunk", "data: two\n\n") not in box.api.log
        await box.api.release("second")
        await box.api.until("chunk", "data: two\n\n")
        await box.api.until("waits", "third")
        await box.api.release("third")
        await box.api.until("end", answer.request_id)

        assert answer.chunks[1:] == [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]
        assert answer.streamed[0] == {
            "statusCode": 200,
            "headers": {"content-type": "text/event-stream"},
            "multiValueHeaders": {},
            "cookies": [],
        }
        assert answer.response_headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        assert answer.response_headers["lambda-runtime-function-response-mode"] == "streaming"
        assert answer.response_headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        assert answer.trailers == {}


async def test_the_answer_ends_for_the_caller_before_work_after_it_and_settlement_before_the_next_invocation(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("steps"))
        await box.api.release("second")
        await box.api.release("third")
        await box.api.until("next", times=2)
        api = box.api
        assert api.at("chunk", "data: [DONE]\n\n") < api.at("afterwards") < api.at("drained", "1") < api.at("next", nth=2)
        assert api.at("end", answer.request_id) < api.at("next", nth=2)


async def test_one_sandbox_serves_one_invocation_after_another_and_keeps_nothing_of_the_caller(sandbox):
    async with sandbox() as box:
        answers = [box.api.invoke(event("echo")) for _ in range(3)]
        await box.api.until("next", times=4)
        facts = [json.loads(answer.streamed[1]) for answer in answers]
        assert [fact["served"] for fact in facts] == [1, 2, 3]
        assert {fact["context"] for fact in facts} == {"nothing"}
        assert [fact["state"] for fact in facts] == [{"pool": "open"}] * 3
        assert [entry for entry in box.api.log if entry[0] == "started"] == [("started", "")]
        assert [entry[1] for entry in box.api.log if entry[0] == "drained"] == ["1", "2", "3"]


async def test_a_failure_before_the_answer_is_an_error_with_a_type_and_nothing_else(sandbox):
    async with sandbox() as box:
        failed = box.api.invoke(event("fails_before"), headers={"Lambda-Runtime-Invocation-Id": "nonce-1"})
        after = box.api.invoke(event("echo"))
        await box.api.until("next", times=3)
        assert failed.chunks == []
        assert failed.error["errorType"] == failed.error["headers"]["lambda-runtime-function-error-type"] == "Function.ValueError"
        assert failed.error["stackTrace"] == []
        assert failed.error["headers"]["lambda-runtime-invocation-id"] == "nonce-1"
        assert SECRET not in json.dumps(failed.error)
        assert after.streamed[0]["statusCode"] == 200
        assert ("drained", "1") in box.api.log

        _, output = await box.stop()
        line = next(json.loads(line) for line in output.splitlines() if "runtime.app_failed" in line)
        assert (line["error"], line["request_id"]) == ("ValueError", failed.request_id)
        assert "fails_before" in line["at"][-1]
        assert SECRET not in output


@pytest.mark.parametrize(
    ("path", "error_type"),
    [("fails_middle", "Function.ValueError"), ("stops_short", "Runtime.IncompleteResponse")],
)
async def test_a_failure_in_the_middle_is_told_in_the_trailers(sandbox, path, error_type):
    async with sandbox() as box:
        failed = box.api.invoke(event(path))
        await box.api.until("next", times=2)
        assert failed.streamed[1] == b"data: one\n\n"
        assert failed.trailers["lambda-runtime-function-error-type"] == error_type
        assert failed.trailer_error["errorType"] == error_type
        assert SECRET not in json.dumps(failed.trailer_error)
        assert failed.error is None


async def test_a_failure_after_a_whole_answer_leaves_the_answer_alone(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("fails_after"))
        await box.api.until("next", times=2)
        assert (answer.streamed[1], answer.trailers, answer.error) == (b"whole", {}, None)
        assert "runtime.app_failed" in (await box.stop())[1]


@pytest.mark.parametrize(
    ("path", "error_type"),
    [("cancels_itself", "Function.CancelledError"), ("says_nothing", "Runtime.IncompleteResponse")],
)
async def test_an_application_that_never_answers_is_an_error_and_the_sandbox_goes_on(sandbox, path, error_type):
    async with sandbox() as box:
        failed = box.api.invoke(event(path))
        after = box.api.invoke(event("echo"))
        await box.api.until("next", times=3)
        assert failed.error["errorType"] == error_type
        assert after.streamed[0]["statusCode"] == 200


async def test_what_lambda_says_of_the_invocation_reaches_the_application(sandbox):
    headers = {
        "Lambda-Runtime-Deadline-Ms": "1795000000500",
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:proxy:live",
        "Lambda-Runtime-Trace-Id": "Root=1-5e-1;Parent=2;Sampled=1",
        "Lambda-Runtime-Aws-Tenant-Id": "acme",
        "Lambda-Runtime-Invocation-Id": "nonce-1",
    }
    async with sandbox() as box:
        told = box.api.invoke(event("echo"), headers=headers)
        untold = box.api.invoke(event("echo"))
        await box.api.until("next", times=3)
        facts = json.loads(told.streamed[1])
        assert facts["deadline"] == 1795000000.5
        assert facts["request_id"] == told.request_id
        assert facts["arn"] == headers["Lambda-Runtime-Invoked-Function-Arn"]
        assert facts["tenant"] == "acme"
        assert facts["trace"] == [headers["Lambda-Runtime-Trace-Id"]] * 2
        assert told.response_headers["lambda-runtime-invocation-id"] == "nonce-1"

        later = json.loads(untold.streamed[1])
        assert (later["deadline"], later["tenant"], later["trace"]) == (None, None, [None, None])
        assert "lambda-runtime-invocation-id" not in untold.response_headers


async def test_a_base64_body_and_the_stage_prefix_arrive_as_the_client_sent_them(sandbox):
    sent = bytes(range(256)) * 2000
    fields = {
        "body": base64.b64encode(sent).decode(),
        "isBase64Encoded": True,
        "multiValueHeaders": {"X-Tag": ["a", "b"]},
        "requestContext": {"path": "/prod/echo", "stage": "prod"},
    }
    async with sandbox() as box:
        answer = box.api.invoke(event("echo", **fields))
        await box.api.until("end", answer.request_id)
        facts = json.loads(answer.streamed[1])
        assert base64.b64decode(facts["body"]) == sent
        assert facts["more_body"] is False
        assert (facts["path"], facts["root_path"]) == ("/prod/echo", "/prod")
        assert [value for name, value in facts["headers"] if name == "x-tag"] == ["a", "b"]


@pytest.mark.parametrize("script", [{"status": 410}, {"status": 410, "early": True}, {"status": 500}, {"status": 500, "early": True}])
async def test_a_refused_answer_costs_one_log_line_and_the_next_invocation_is_served(sandbox, script):
    async with sandbox() as box:
        refused = box.api.invoke(event("steps"), **script)
        after = box.api.invoke(event("echo"))
        await box.api.release("second")
        await box.api.release("third")
        await box.api.until("end", after.request_id)
        await box.api.until("drained", "2")
        assert ("drained", "1") in box.api.log
        assert refused.error is None
        _, output = await box.stop()
        lines = [json.loads(line) for line in output.splitlines()]
        expected = "runtime.stale" if script["status"] == 410 else "runtime.refused"
        assert [(line["message"], line["request_id"]) for line in lines] == [(expected, refused.request_id)]


async def test_when_the_connection_breaks_the_application_runs_to_its_end_and_settles(sandbox):
    async with sandbox() as box:
        broken = box.api.invoke(event("goes_on"), break_after=2)
        after = box.api.invoke(event("echo"))
        await box.api.until("broken", broken.request_id)
        await box.api.release("broken")
        await box.api.until("end", after.request_id)
        api = box.api
        assert api.at("broken") < api.at("finished") < api.at("drained", "1") < api.at("next", nth=2)
        assert broken.error is None
        lines = (await box.stop())[1].splitlines()
        assert [json.loads(line)["message"] for line in lines] == ["runtime.connection_broken"]


async def test_an_application_faster_than_its_reader_waits_for_it(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("floods"), held="reader")
        await box.api.until("still flooding", times=20)
        await box.api.release("reader")
        await box.api.until("end", answer.request_id)
        await box.api.until("flooded")
        assert box.api.at("still flooding", nth=20) < box.api.at("flooded")
        assert len(answer.streamed[1]) == 64 << 20


async def test_an_application_that_asks_learns_that_nobody_reads_any_more(sandbox):
    async with sandbox() as box:
        box.api.invoke(event("notices"), break_after=2)
        await box.api.until("http.disconnect")


@pytest.mark.parametrize("ping", [{"warmup": True}, [], None, "ping", {"httpMethod": "GET"}, {"Records": [{"eventSource": "aws:sqs"}]}])
async def test_an_event_that_is_not_http_is_answered_and_never_reaches_the_application(sandbox, ping):
    async with sandbox() as box:
        answer = box.api.invoke(ping)
        after = box.api.invoke(event("echo"))
        await box.api.until("end", after.request_id)
        metadata, body = answer.streamed
        assert metadata["statusCode"] == 400
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        assert json.loads(after.streamed[1])["served"] == 1


async def test_an_event_that_is_not_json_is_an_error(sandbox):
    async with sandbox() as box:
        broken = box.api.invoke(b'{"httpMethod": ')
        after = box.api.invoke(event("echo"))
        await box.api.until("end", after.request_id)
        assert broken.error["errorType"] == "Runtime.UnmarshalError"


async def test_headers_beyond_what_api_gateway_reads_are_left_out_and_logged(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("big_head"))
        await box.api.until("next", times=2)
        metadata, body = answer.streamed
        assert metadata["headers"] == {"content-type": "text/plain", "x-small": "y"}
        assert body == b"fits"
        line = json.loads((await box.stop())[1])
        assert (line["message"], line["headers"]) == ("runtime.headers_dropped", ["x-big"])


async def test_buffered_mode_answers_with_proxy_json(sandbox):
    async with sandbox(TOLLKEEPER_RESPONSE_MODE="buffered") as box:
        text, binary, ping, failed = (
            box.api.invoke(e) for e in (event("echo"), event("not_text"), {"warmup": True}, event("fails_middle"))
        )
        await box.api.until("next", times=5)
        answer = json.loads(text.chunks[0])
        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
        assert json.loads(answer["body"])["path"] == "/echo"
        answer = json.loads(binary.chunks[0])
        assert base64.b64decode(answer["body"]) == b"\xff\xfb\x00"
        assert answer["isBase64Encoded"] is True
        assert answer["multiValueHeaders"] == {"set-cookie": ["a=1", "b=2"]}
        assert json.loads(ping.chunks[0])["statusCode"] == 400
        assert (failed.chunks, failed.error["errorType"]) == ([], "Function.ValueError")
        assert "lambda-runtime-function-response-mode" not in text.response_headers
        assert [entry[1] for entry in box.api.log if entry[0] == "drained"] == ["1", "2", "2", "3"]


async def test_snapstart_goes_through_its_steps_in_order(sandbox):
    async with sandbox(AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as box:
        await box.api.until("next")
        assert [what for what, _ in box.api.log] == ["started", "before_snapshot", "restore/next", "after_restore", "next"]


async def test_without_snapstart_there_is_no_snapshot(sandbox):
    async with sandbox(AWS_LAMBDA_INITIALIZATION_TYPE="on-demand") as box:
        await box.api.until("next")
        assert [what for what, _ in box.api.log] == ["started", "next"]


@pytest.mark.parametrize(
    ("failing", "reported", "status"),
    [
        ("before_snapshot", ("init/error", "Runtime.BeforeSnapshotError"), 64),
        ("after_restore", ("restore/error", "Runtime.AfterRestoreError"), 65),
        ("startup", ("init/error", "Runtime.StartupFailed"), 1),
    ],
)
async def test_a_sandbox_that_cannot_start_says_so_and_ends(sandbox, failing, reported, status):
    async with sandbox(AWS_LAMBDA_INITIALIZATION_TYPE="snap-start", FAIL=failing) as box:
        exit_status, output = await box.end()
        assert exit_status == status
        assert reported in box.api.log
        assert ("next", "") not in box.api.log
        assert SECRET not in output


@pytest.mark.parametrize("handler", ["missing.app", "function.nothing", "app", ""])
async def test_a_handler_that_cannot_be_loaded_is_an_init_error(sandbox, handler):
    async with sandbox(handler) as box:
        assert (await box.end())[0] == 1
        assert box.api.log == [("init/error", "Runtime.ImportModuleError")]


async def test_sigterm_ends_a_waiting_sandbox_cleanly(sandbox):
    async with sandbox() as box:
        await box.api.until("next")
        assert await box.stop() == (0, "")
        assert ("stopped", "") in box.api.log


async def test_sigterm_lets_an_invocation_finish_and_settle_first(sandbox):
    async with sandbox() as box:
        answer = box.api.invoke(event("steps"))
        await box.api.until("waits", "second")
        box.process.terminate()
        await box.api.release("second")
        await box.api.release("third")
        assert await box.end() == (0, "")
        assert answer.chunks[-1] == b"data: [DONE]\n\n"
        assert box.api.at("drained", "1") < box.api.at("stopped")
        assert [what for what, _ in box.api.log].count("next") == 1


@pytest.mark.parametrize("command", [[], ["/var/lang/bin/no-such-python"]])
def test_the_wrapper_without_an_interpreter_says_so(command):
    done = subprocess.run([str(WRAPPER), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stderr)["type"] == "Runtime.NoInterpreter"
