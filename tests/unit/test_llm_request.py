"""What identifies a request, and what is taken from a reply."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import time
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import APIStatusError, AsyncOpenAI

from stages.common.engines import Completion, GenerationRequest
from stages.common.engines.engine import EngineError
from stages.common.engines.openai_dialect import write_body
from stages.common.engines.openai_protocol import bound_reply, hide_client, read_status_error, send_request
from stages.common.engines.openai_reply import read_completion
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy, make_status_error, read_retry_after
from stages.common.engines.servers import MAX_MESSAGE_CHARS, Secrets, ServerPicker, read_servers

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
BASE = GenerationRequest("policy", CHAT, 0.7, 100, 5)
OTHERS: dict[str, Any] = {
    "model": "other",
    "prompt": "2 + 2?",
    "temperature": 0.8,
    "max_tokens": 101,
    "seed": 6,
    "top_p": 0.9,
    "stop": ("\n",),
    "schema": {"type": "object"},
    "extra_body": {"reasoning_effort": "low"},
    "schema_after_reasoning": True,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_the_key_follows_from_every_field_and_nothing_else() -> None:
    assert set(OTHERS) == {field.name for field in dataclasses.fields(GenerationRequest)} - {
        "custom_id",
        "wants_token_ids",
    }
    with_schema = dataclasses.replace(BASE, schema=OTHERS["schema"])
    changed = {name: with_schema if name == "schema_after_reasoning" else BASE for name in OTHERS}
    keys = {BASE.key, *(dataclasses.replace(changed[name], **{name: value}).key for name, value in OTHERS.items())}
    assert len(keys) == 1 + len(OTHERS)
    unset = [dataclasses.replace(BASE, **{name: None}).key for name in ("temperature", "top_p", "seed")]
    assert len({*keys, *unset}) == len(keys) + 3
    assert dataclasses.replace(BASE, custom_id="p-0", wants_token_ids=True).key == BASE.key
    assert GenerationRequest("policy", [dict(reversed(m.items())) for m in CHAT], 0.7, 100, 5).key == BASE.key
    assert GenerationRequest("policy", "x", 1, 9, 0, 1).key == GenerationRequest("policy", "x", 1.0, 9, 0, 1.0).key
    # Written down: a key that changes makes every journal worthless, so the change has to be meant.
    assert BASE.key == "91251e88d7228c965219ab5dec57e7bc"
    assert with_schema.key == "1a595f008c4686627c72350040915366"


def test_completions_of_older_journals_are_read() -> None:
    stored = {"text": "4", "finish_reason": "stop", "model": "m"}
    stored |= {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}
    assert Completion.from_json(stored) == Completion("4", "stop", 9, 3, 4, "m", reasoning=None)
    assert "token_ids" not in Completion.from_json(stored).to_json(), "older journals keep their form"
    sampled = Completion("4", "stop", 9, 2, 4, "m", token_ids=(19, 1), logprobs=(-0.123456789, -1.0))
    again = Completion.from_json(json.loads(json.dumps(sampled.to_json())))
    assert again == dataclasses.replace(sampled, logprobs=(-0.12346, -1.0))
    thinking = Completion("4", "stop", 9, 3, 4, "m", reasoning="2 + 2 is 4")
    assert Completion.from_json(json.loads(json.dumps(thinking.to_json()))) == thinking


def test_samples_of_one_prompt_are_one_family() -> None:
    assert dataclasses.replace(BASE, seed=6, temperature=0.0).prompt_hash == BASE.prompt_hash
    assert dataclasses.replace(BASE, prompt="2 + 3?").prompt_hash != BASE.prompt_hash
    assert dataclasses.replace(BASE, extra_body={"top_k": 5}).prompt_hash == BASE.prompt_hash
    thinking = {"chat_template_kwargs": {"enable_thinking": True}}
    assert dataclasses.replace(BASE, extra_body=thinking).prompt_hash != BASE.prompt_hash, "another prompt"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", []),
        ("prompt", "x\ud800"),
        ("max_tokens", 0),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("schema_after_reasoning", True),
        ("extra_body", {"n": 2}),
        ("extra_body", {"top_k": 5, "seed": 1}),
    ],
)
def test_what_no_model_can_be_asked_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"request: {field}: "):
        dataclasses.replace(BASE, **{field: value})


def send(request: GenerationRequest, response: httpx2.Response | None = None) -> tuple[str, dict[str, Any]]:
    """Path and body of what is sent for `request`; `response` is what the server replies."""
    sent = post(request, response)
    return sent.url.path, json.loads(sent.content)


def post(
    request: GenerationRequest, response: httpx2.Response | None = None, base_url: str = "http://a/v1"
) -> httpx2.Request:
    """What is sent for `request`."""
    sent: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return response or httpx2.Response(200, json={})

    async def send_one() -> None:
        http_client = httpx2.AsyncClient(
            transport=httpx2.MockTransport(respond),
            event_hooks={"request": [hide_client], "response": [bound_reply]},
        )
        async with AsyncOpenAI(api_key="k", base_url=base_url, http_client=http_client, max_retries=0) as client:
            await send_request(client, write_body(request, "llama"))

    asyncio.run(send_one())
    assert len(sent) == 1
    return sent[0]


def test_nothing_of_this_machine_and_its_user_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    sent = post(BASE)
    assert {name for name in sent.headers if name.startswith(("x-", "openai-"))} == set()
    assert "secret" not in str(sent.headers)
    assert sent.headers["authorization"] == "Bearer k"
    to_openai = post(BASE, base_url="https://api.openai.com/v1").headers
    assert (to_openai["openai-organization"], to_openai["openai-project"]) == ("org-secret", "proj-secret")
    assert not any(name.startswith("x-stainless") for name in to_openai)
    assert "openai-organization" not in post(BASE, base_url="https://api.openai.com.evil.example/v1").headers


def test_a_stream_stops_at_once() -> None:
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    with pytest.raises(AttemptError, match="reply is a stream of events") as stream:
        send(BASE, httpx2.Response(200, content=b"data: {}\n\n", headers=headers))
    assert stream.value.cause is Cause.FINAL
    assert stream.value.hint


def test_the_backend_that_a_server_names_is_kept() -> None:
    body = b'{"model": "m", "system_fingerprint": "vllm-0.30.0", "choices": [{"text": "4", "finish_reason": "stop"}]}'
    assert read_completion("application/json", body).model == "m, vllm-0.30.0"


def test_bodies_in_the_form_of_the_api() -> None:
    assert send(BASE) == (
        "/v1/chat/completions",
        {"model": "llama", "messages": CHAT, "temperature": 0.7, "max_tokens": 100, "top_p": 1.0, "seed": 5},
    )
    schema = {"type": "object"}
    plain = GenerationRequest("policy", "2 + 2 =", 0.0, 8, None, stop=("\n",), schema=schema)
    path, body = send(plain)
    assert path == "/v1/completions"
    assert body["prompt"] == "2 + 2 ="
    assert body["stop"] == ["\n"]
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert "seed" not in body
    assert send(dataclasses.replace(BASE, schema=schema))[1]["response_format"]["json_schema"]["schema"] == schema


def reply(**choice: Any) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    return json.dumps({"model": "m", "choices": [{"finish_reason": "stop", **choice}], "usage": usage}).encode()


@pytest.mark.parametrize(
    ("choice", "text", "reason"),
    [
        ({"text": "4"}, "4", "stop"),
        ({"message": {"content": "4"}, "finish_reason": "length"}, "4", "length"),
        ({"message": {"content": None}}, "", "stop"),
        ({"message": {"content": None, "refusal": "No."}}, "No.", "refusal"),
        ({"message": {"content": "a\ud835b\ud835\udc00c"}}, "a\ufffdb\U0001d400c", "stop"),
    ],
)
def test_completions_are_read(choice: dict[str, Any], text: str, reason: str) -> None:
    completion = read_completion("application/json; charset=utf-8", reply(**choice))
    assert completion == Completion(text, reason, 9, 3, 4, "m")
    assert Completion.from_json(json.loads(json.dumps(completion.to_json()))) == completion


def test_a_server_may_count_nothing() -> None:
    body = b'{"model": "m", "choices": [{"text": "4", "finish_reason": "stop"}]}'
    assert read_completion("application/json", body) == Completion("4", "stop", None, None, None, "m")


@given(json_values | st.fixed_dictionaries({"choices": st.lists(json_values), "usage": json_values}), st.text())
def test_any_reply_is_a_completion_or_an_error(value: Any, kind: str) -> None:
    for content_type in ("application/json", kind):
        try:
            completion = read_completion(content_type, json.dumps(value).encode())
        except AttemptError:
            continue
        else:
            completion.text.encode("utf-8")


@given(st.binary())
def test_any_bytes_are_a_completion_or_an_error_and_say_something(body: bytes) -> None:
    with pytest.raises(AttemptError):
        read_completion("application/json", body)
    assert str(read_error(body)).startswith("HTTP 500 Internal Server Error")


@given(json_values)
def test_any_error_reply_says_something(value: Any) -> None:
    assert str(read_error(json.dumps({"error": value}).encode())).startswith("HTTP 500 Internal Server Error")


@pytest.mark.parametrize("charset", ["base64", "hex", "rot13", "utf-16", "unknown"])
def test_a_charset_that_gives_no_text_is_ignored(charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    assert str(read_error(b"overloaded", headers)) == "HTTP 500 Internal Server Error: overloaded"


def test_a_compressed_reply_is_not_read() -> None:
    for status in (200, 500):
        response = httpx2.Response(status, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"})
        with pytest.raises(AttemptError, match="compressed reply: gzip"):
            send(BASE, response)


def read_error(body: bytes, headers: dict[str, str] | None = None) -> AttemptError:
    """The error that a reply of status 500 with `body` stands for."""
    with pytest.raises(APIStatusError) as caught:
        send(BASE, httpx2.Response(500, stream=httpx2.ByteStream(body), headers=headers))
    return read_status_error(caught.value)


def test_nested_beyond_bounds() -> None:
    with pytest.raises(AttemptError):
        read_completion("application/json", b"[" * 100_000)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "too long", "type": "x"}}', "too long"),
        (b'{"detail": "not here"}', "not here"),
        (b'{"message": "no"}', "no"),
        (b"<html>overloaded</html>", "<html>overloaded</html>"),
        (b'{"other": 1}', '{"other": 1}'),
        (b"\xff", "\ufffd"),
    ],
)
def test_what_an_error_says(body: bytes, text: str) -> None:
    assert str(read_error(body)) == f"HTTP 500 Internal Server Error: {text}"


def test_which_statuses_stop() -> None:
    causes = {status: make_status_error(status, "", "", None).cause for status in range(300, 600)}
    passing = {status for status, cause in causes.items() if cause is Cause.TRANSIENT}
    assert passing == {408, 409, 425, 429, *range(500, 600)}
    assert {status for status, cause in causes.items() if cause is Cause.REFUSED} == {400, 413, 422}
    assert all(make_status_error(status, "", "", None).hint for status in causes.keys() - passing)


def test_retry_after_in_both_its_forms() -> None:
    assert read_retry_after("2") == 2.0
    assert read_retry_after("0.5") == 0.5
    assert read_retry_after("-3") == 0.0
    in_a_minute = read_retry_after(formatdate(time.time() + 60, usegmt=True))
    assert in_a_minute is not None
    assert 50 < in_a_minute <= 60
    assert read_retry_after("Sat, 01 Jan 2000 00:00:00 GMT") == 0.0
    for senseless in (None, "", "soon", "inf", "nan", "Sat, 99 Jan"):
        assert read_retry_after(senseless) is None


@given(st.text(st.characters(codec=None)))
def test_no_retry_after_is_too_odd(value: str) -> None:
    seconds = read_retry_after(value)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1000))
def test_pauses_double_with_jitter_up_to_a_limit(tries: int, retry_after_s: float | None) -> None:
    policy = RetryPolicy(100, 10, 0.5, 60)
    pause = policy.choose_delay(tries, retry_after_s)
    step = min(60, 0.5 * 2 ** min(tries - 1, 20))
    low, high = (step / 2, step) if retry_after_s is None else (retry_after_s, retry_after_s + step / 10)
    assert low <= pause <= high * (1 + 1e-9)


@given(st.text(min_size=1, max_size=20), st.text(st.characters(codec="utf-8")), st.text())
def test_what_is_cleaned_is_one_bounded_line_without_the_secret(secret: str, before: str, after: str) -> None:
    cleaned = Secrets(secret).hide(before + secret + after)
    assert len(cleaned) <= MAX_MESSAGE_CHARS
    assert cleaned.isprintable()
    if secret not in "[hidden]..." and secret.isprintable() and " " not in secret:
        assert secret not in cleaned.replace("[hidden]", "")


def test_servers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", " http://a:8000/v1/ ,https://me:pa%40ss@b.example/v1?x=1, http://[::1]:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key\n")
    servers, secrets = read_servers()
    assert [server.url for server in servers] == [
        "http://a:8000/v1",
        "https://b.example/v1",
        "http://[::1]:9/v1",
    ]
    assert servers[1].login == ("me", "pa@ss")
    assert [server.is_local for server in servers] == [False, False, True]
    assert secrets.key == "sk-key"
    assert secrets.hide("key sk-key, password pa@ss") == "key [hidden], password [hidden]"
    assert "pa@ss" not in repr(servers)
    assert "sk-key" not in repr(secrets)


@pytest.mark.parametrize(
    "url", [None, "", " , ", "ftp://host/secret", "host:8000", "http://", "http://[secret", "http://h:secret/v1"]
)
def test_a_useless_base_url_is_named_and_not_shown(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(EngineError, match="OPENAI_BASE_URL: ") as caught:
        read_servers()
    assert "secret" not in str(caught.value)


def test_a_key_with_odd_characters_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\u2026")
    with pytest.raises(EngineError, match="OPENAI_API_KEY: ") as caught:
        read_servers()
    assert "secret" not in str(caught.value)


def test_families_have_servers_of_and_go_elsewhere_when_those_are_down() -> None:
    picker = ServerPicker(3)
    families = [str(number) for number in range(300)]
    servers_of = {family: picker.pick(family, 0) for family in families}
    assert {list(servers_of.values()).count(at) > 60 for at in range(3)} == {True}
    assert all(picker.pick(family, 1) == (servers_of[family] + 1) % 3 for family in families)
    picker.skip(1)
    assert all(picker.pick(family, 0) == (servers_of[family] if servers_of[family] != 1 else 2) for family in families)
    for at in (0, 2):
        picker.skip(at)
    assert all(picker.pick(family, 0) == servers_of[family] for family in families), "all down: as if all were up"
