"""Functions that a model may call: how it is told of them, held to their arguments, and how turns with calls read.

All of it is text that the guard writes itself, in the `<tool_call>` form that Hermes and Qwen models were trained on. The
engine's own tool support depends on flags, on a parser for each model family and on chat templates, of which many leave tools
out without a word. See docs/decisions/0016.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from guard_server.engine.base import Payload
from guard_server.errors import BadRequestError
from guard_server.schemas import ChatBody, FunctionSpec, Message, NamedChoice
from p2p.prompts import ChatMessage

TRIGGER = "<tool_call>"
END = "}\n</tool_call>"
_INSTRUCTIONS = """# Tools

You may call functions to help with the user's query. They are described within <tools></tools>:
<tools>
{functions}
</tools>

For each call, write a JSON object with the function's name and arguments within <tool_call></tool_call>:
<tool_call>
{{"name": <function-name>, "arguments": <arguments-object>}}
</tool_call>"""


class ToolUse(NamedTuple):
    """Which functions may, or must, be called.

    Attributes:
        functions: Those on offer.
        must_call: Whether the answer has to be a call.
        is_named: Whether the client named the one function.
        is_parallel: Whether there may be several calls.
    """

    functions: tuple[FunctionSpec, ...]
    must_call: bool
    is_named: bool
    is_parallel: bool

    @property
    def begins(self) -> dict[str, str]:
        """The text that begins a call, and which function it calls; none begins another."""
        return {_begin(function.name): function.name for function in self.functions}

    def grammar(self) -> Payload:
        """Return what holds the engine to whole calls with arguments that keep to their schemas."""
        tags = [
            {
                "type": "tag",
                "begin": _begin(function.name),
                "content": {"type": "json_schema", "json_schema": function.parameters or _NO_PARAMETERS},
                "end": END,
            }
            for function in self.functions
        ]
        calls = {
            "type": "triggered_tags",
            "triggers": [TRIGGER],
            "tags": tags,
            "at_least_one": self.must_call,
            "stop_after_first": not self.is_parallel,
        }
        return {"structural_tag": json.dumps({"type": "structural_tag", "format": calls})}

    def tell(self, chat: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return the chat with the functions described at the end of its system message."""
        described = [
            json.dumps({"type": "function", "function": function.model_dump(exclude_none=True)})
            for function in self.functions
        ]
        text = _INSTRUCTIONS.format(functions="\n".join(described))
        if chat[0]["role"] != "system":
            return [ChatMessage(role="system", content=text), *chat]
        told = ChatMessage(role="system", content=f"{chat[0]['content']}\n\n{text}")
        return [told, *chat[1:]]


_NO_PARAMETERS: Payload = {"type": "object", "properties": {}}


def tools_of(body: ChatBody) -> ToolUse | None:
    """Return which functions may be called; None where there are none or none may be called.

    Raises:
        BadRequestError: Names stand twice, or the choice fits no function.
    """
    choice = body.tool_choice
    if not body.tools:
        if choice not in (None, "none") or body.parallel_tool_calls is not None:
            raise BadRequestError("tool_choice and parallel_tool_calls need tools", "tools")
        return None
    functions = tuple(tool.function for tool in body.tools)
    if len({function.name for function in functions}) < len(functions):
        raise BadRequestError("two functions have the same name", "tools")
    if choice == "none":
        return None
    is_named = isinstance(choice, NamedChoice)
    if isinstance(choice, NamedChoice):
        functions = tuple(function for function in functions if function.name == choice.function.name)
        if not functions:
            raise BadRequestError("tool_choice names a function that is not among the tools", "tool_choice")
    is_parallel = body.parallel_tool_calls is not False and not is_named
    return ToolUse(functions, is_named or choice == "required", is_named, is_parallel)


def as_chat(messages: Iterable[Message]) -> tuple[ChatMessage, ...]:
    """Return a client's messages as turns of text.

    Calls follow the text of the turn that made them. Their results are the user's turn: input from outside, which is stamped
    as any other. Results that follow each other are one turn.

    Raises:
        BadRequestError: A call stands in another turn than an assistant's, or a result belongs to no call before it.
    """
    chat: list[ChatMessage] = []
    called: set[str] = set()
    after_result = False
    for message in messages:
        _require_place(message, called)
        called |= {call.id for call in message.tool_calls or ()}
        turn = _turn(message)
        is_result = message.role == "tool"
        if is_result and after_result:
            turn["content"] = f"{chat.pop()['content']}\n{turn['content']}"
        chat.append(turn)
        after_result = is_result
    return tuple(chat)


def call_text(name: str, arguments: str) -> str:
    """Return a call as the model writes it."""
    return f"{_begin(name)}{arguments}{END}"


def _turn(message: Message) -> ChatMessage:
    if message.role == "tool":
        return ChatMessage(role="user", content=f"<tool_response>\n{message.text}\n</tool_response>")
    calls = [call_text(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    role = "system" if message.role == "developer" else message.role
    return ChatMessage(role=role, content="\n".join([*([message.text] if message.text else []), *calls]))


def _require_place(message: Message, called: set[str]) -> None:
    if message.tool_calls and message.role != "assistant":
        raise BadRequestError("tool_calls belong to an assistant's message", "messages")
    if (message.role == "tool") != (message.tool_call_id is not None):
        raise BadRequestError("tool_call_id belongs to a tool's message, and is needed there", "messages")
    if message.tool_call_id is not None and message.tool_call_id not in called:
        raise BadRequestError("a tool's message answers no call before it", "messages")
    if "content" not in message.model_fields_set and not message.tool_calls:
        raise BadRequestError("a message without content must make calls", "messages")


def _begin(name: str) -> str:
    return f'{TRIGGER}\n{{"name": "{name}", "arguments": '
