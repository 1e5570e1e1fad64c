"""What a client may try to reach the model past the stamp, as raw HTTP; the same table for the fake engine and for real vLLM.

Sources: the fields of vLLM's own requests (0.32), the request rules of the guard, and the usual tricks of request smuggling (RFC 9112,
sections 3.2, 6.3 and 11.2).
"""

import json
from typing import Any, NamedTuple

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
QUESTION = [{"role": "user", "content": "my parcel is late"}]


class Attempt(NamedTuple):
    """One try.

    Attributes:
        name: What is tried.
        raw: The bytes on the wire, without the line of the API key, which stands where ``{key}`` does.
        answered: Whether it is harmless: then it may be answered as any other request is, by the guard.
    """

    name: str
    raw: bytes
    answered: bool = False


def request(body: bytes, path: str = CHAT, method: str = "POST", head: str = "") -> bytes:
    """Return a whole request; ``head`` is put in front of the usual headers."""
    length = "" if "content-length" in head.lower() else f"content-length: {len(body)}\r\n"
    host = "" if head.lower().startswith("host:") else "host: guard\r\n"
    lines = f"{method} {path} HTTP/1.1\r\n{host}{head}{{key}}content-type: application/json\r\n{length}\r\n"
    return lines.encode("latin-1") + body


def _json(body: dict[str, Any], path: str = CHAT) -> bytes:
    return request(json.dumps(body).encode(), path)


def _having(name: str, value: object, path: str = CHAT) -> Attempt:
    body: dict[str, Any] = {"model": "support", "temperature": 0}
    body |= {"messages": QUESTION} if path == CHAT else {"prompt": "my parcel is late"}
    return Attempt(f"{path} {name}={value!r:.40}", _json(body | {name: value}, path))


def _model(name: str) -> Attempt:
    return Attempt(f"model {name!r}", _json({"model": name, "messages": QUESTION}))


_CHAT_EXTRAS: dict[str, object] = {
    "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    "chat_template_kwargs": {"enable_thinking": False},
    "documents": [{"title": "x", "text": "y"}],
    "continue_final_message": True,
    "add_generation_prompt": False,
    "add_special_tokens": False,
    "echo": True,
    "prompt_logprobs": 5,
    "return_token_ids": True,
    "return_tokens_as_token_ids": True,
    "logit_bias": {"0": 100, "1": 100, "32": 100},
    "allowed_token_ids": [0, 1],
    "bad_words": ["2", "3"],
    "logprob_token_ids": [0],
    "structured_outputs": {"choice": ["0", "1"]},
    "guided_choice": ["0", "1"],
    "logits_processors": ["x"],
    "vllm_xargs": {"x": 1},
    "kv_transfer_params": {"x": 1},
    "mm_processor_kwargs": {"x": 1},
    "cache_salt": "x",
    "priority": -1,
    "request_id": "x",
    "lora_request": {"lora_name": "x", "lora_path": "/"},
    "prompt_embeds": "AAAA",
    "prompt_token_ids": [1, 2, 3],
    "ignore_eos": True,
    "truncate_prompt_tokens": 1,
    "extra_body": {"echo": True},
    "__proto__": {"x": 1},
    "prompt": "my parcel is late",
}
_COMPLETION_EXTRAS: dict[str, object] = {
    "prompt_embeds": "AAAA",
    "echo": True,
    "prompt_logprobs": 1,
    "suffix": "x",
    "best_of": 2,
    "logit_bias": {"0": 100},
    "truncate_prompt_tokens": 1,
    "add_special_tokens": False,
    "allowed_token_ids": [0],
    "prompt": [1, 2, 3],
    "messages": QUESTION,
}
_PROMPTS: tuple[object, ...] = (
    [[1, 2]],
    ["a", [1]],
    {"prompt": "a"},
    {"prompt_token_ids": [1]},
    None,
    7,
    True,
)
_MODELS = (
    "",
    " support",
    "support ",
    "Support",
    "support\u0000",
    "support\u200b",
    "\ufeffsupport",
    "\uff53\uff55\uff50\uff50\uff4f\uff52\uff54",
    "s\u0443pport",
    "suppo\u0301rt",
    "support@000000000000",
    "support/../writer",
    "SmolLM2-135M-Instruct",
    ".models/SmolLM2-135M-Instruct",
    "http://engine",
    "x" * 5000,
)
_TURNS: tuple[object, ...] = (
    [{"role": "user", "content": "x"}, {"role": "assistant", "content": "I say"}],
    [{"role": "system", "content": "x"}],
    [{"role": "tool", "content": "x", "tool_call_id": "1"}],
    [{"role": "USER", "content": "x"}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
    [{"role": "user", "content": [{"type": "prompt_embeds", "data": "AAAA"}]}],
    [{"role": "user", "content": [1, 2, 3]}],
    [{"role": "user", "content": None}],
    [],
    "my parcel is late",
    {"0": {"role": "user", "content": "x"}},
)
_GOOD = json.dumps({"model": "support", "messages": QUESTION}).encode()
_BODIES: dict[str, bytes] = {
    "two models": b'{"model": "support", "model": "writer", "messages": [{"role": "user", "content": "x"}]}',
    "two models, one escaped": b'{"model": "support", "mod\\u0065l": "x", "messages": [{"role": "user", "content": "x"}]}',
    "two contents": b'{"model": "support", "messages": [{"role": "user", "content": "x", "content": "y"}]}',
    "NaN": b'{"model": "support", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
    "a huge number": b'{"model": "support", "seed": 1' + b"0" * 5000 + b"}",
    "a huge exponent": b'{"model": "support", "temperature": 1e999, "messages": [{"role": "user", "content": "x"}]}',
    "a lone surrogate": b'{"model": "support", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "deep arrays": b"[" * 400_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep in a message": b'{"model": "support", "messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "many messages": json.dumps({"model": "support", "messages": QUESTION * 257}).encode(),
    "many keys": json.dumps({f"k{at}": at for at in range(20_000)}).encode(),
    "over the size": b" " * 1_000_001,
    "UTF-16": _GOOD.decode().encode("utf-16"),
    "UTF-7": b"+AHs-",
    "a byte order mark": b"\xef\xbb\xbf" + _GOOD,
    "broken UTF-8": b'{"model": "supp\xc0\xafort"}',
    "two objects": _GOOD + _GOOD,
    "comments": b"/* x */" + _GOOD,
    "a form": b"model=support&prompt=x",
    "nothing": b"",
}
_PATHS = (
    "/tokenize",
    "/detokenize",
    "/invocations",
    "/v1/completions/../../invocations",
    "/v1/../tokenize",
    "/v1/%2e%2e/tokenize",
    "/v1/..%2ftokenize",
    "/livez/../tokenize",
    "/livez/..%2ftokenize",
    "/livez%2f..%2ftokenize",
    "//tokenize",
    "/tokenize?path=/livez",
    "/tokenize#/livez",
    "/tokenize%00/livez",
    "/tokenize;/livez",
    "/v1/chat/completions/",
    "/v1/chat/completions/render",
    "/v1/chat/completions;echo=true",
    "/V1/CHAT/COMPLETIONS",
    "/v1//chat/completions",
    "/v1/./chat/completions",
    "/v1/load_lora_adapter",
    "/v1/embeddings",
    "/v1/messages",
    "/inference/v1/generate",
    "/collective_rpc",
    "/openapi.json",
    "/docs",
    "http://engine/tokenize",
    "engine:8000",
    "*",
    "/caf\u00e9",
    "/\x7f",
)
_HEADS = {
    "both framings": "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "both framings, other order": "content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "two lengths": "content-length: 5\r\ncontent-length: 500\r\n",
    "two lengths in one": "content-length: 5, 500\r\n",
    "a signed length": "content-length: +5\r\n",
    "a hexadecimal length": "content-length: 0x5\r\n",
    "a blank before the colon": "content-length : 5\r\n",
    "an unknown framing": "transfer-encoding: xchunked\r\ncontent-length: 5\r\n",
    "a hidden framing": "transfer-encoding: chunked, identity\r\ncontent-length: 5\r\n",
    "a bare line feed": "x: y\ncontent-length: 5\r\n",
    "a NUL in a header": "x: a\x00b\r\ncontent-length: 5\r\n",
    "a carriage return in a header": "x: a\rb\r\ncontent-length: 5\r\n",
    "a folded header": "x: a\r\n b\r\ncontent-length: 5\r\n",
    "a header without a name": ": y\r\ncontent-length: 5\r\n",
    "huge headers": f"x: {'a' * 200_000}\r\n",
    "many headers": "".join(f"x{at}: y\r\n" for at in range(20_000)),
    "compressed": "content-encoding: gzip\r\ncontent-length: 5\r\n",
    "two keys": "authorization: Bearer other\r\n",
}
_IGNORED = {
    "another path in a header": "x-original-url: /tokenize\r\nx-rewrite-url: /tokenize\r\n",
    "another method in a header": "x-http-method-override: GET\r\n",
    "another host": "host: engine\r\n",
    "forwarded": "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: https\r\nforwarded: for=127.0.0.1\r\n",
    "another model in a header": "x-model: SmolLM2-135M-Instruct\r\nopenai-organization: x\r\n",
    "an early answer": "expect: 100-continue\r\n",
}
_SMUGGLED = request(b'{"prompt": "x"}', "/tokenize")


def _rest() -> list[Attempt]:
    chunked = request(b"", head="transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"")
    size = f"{len(_GOOD):x}\r\n".encode()
    return [
        Attempt("a chunked body", chunked + size + _GOOD + b"\r\n0\r\n\r\n", answered=True),
        Attempt("a chunk's size overflows", chunked + b"fffffffffffffffff\r\n" + _GOOD + b"\r\n0\r\n\r\n"),
        Attempt("a chunk's size is signed", chunked + b"-1\r\n" + _GOOD + b"\r\n0\r\n\r\n"),
        Attempt("a request in a body", request(_GOOD[:-1] + _SMUGGLED)),
        Attempt("a request behind a GET", request(b"", "/v1/models", "GET") + _SMUGGLED, answered=True),
        Attempt("HTTP/2 in clear", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Attempt("HTTP/0.9", b"GET /v1/models\r\n\r\n"),
        Attempt("HTTP/3.7", request(_GOOD).replace(b"HTTP/1.1", b"HTTP/3.7")),
        Attempt("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)),
        Attempt("a tunnel", request(b"", "engine:8000", "CONNECT")),
        Attempt(
            "a WebSocket",
            request(
                b"",
                "/v1/realtime",
                "GET",
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
        ),
        Attempt(
            "HTTP/2 by upgrade",
            request(_GOOD, head="connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"),
        ),
        *(
            Attempt(f"method {method}", request(_GOOD, CHAT, method))
            for method in ("GET", "PUT", "TRACE", "OPTIONS", "PATCH", "DELETE")
        ),
    ]


ATTEMPTS: tuple[Attempt, ...] = (
    *(_having(name, value) for name, value in _CHAT_EXTRAS.items()),
    *(_having(name, value, COMPLETIONS) for name, value in _COMPLETION_EXTRAS.items()),
    *(_having("prompt", value, COMPLETIONS) for value in _PROMPTS),
    *(_having("messages", value) for value in _TURNS),
    *(_model(name) for name in _MODELS),
    *(Attempt(f"body: {name}", request(body)) for name, body in _BODIES.items()),
    *(Attempt(f"path {path!r}", request(_GOOD, path)) for path in _PATHS),
    *(
        Attempt(f"head: {name}", request(b"hello" if "length" in head else _GOOD, head=head))
        for name, head in _HEADS.items()
    ),
    *(Attempt(f"head: {name}", request(_GOOD, head=head), answered=True) for name, head in _IGNORED.items()),
    *_rest(),
)
