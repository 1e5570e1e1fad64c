"""The guard's work on one request: stamp, ask, project, normalise."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.registry import Registry
from guard_server.answers import CallPiece, Delta, Pieces, Reply, StreamPiece
from guard_server.classification import classify
from guard_server.engine.base import Engine
from guard_server.errors import ModelNotFoundError
from guard_server.generation import generate
from guard_server.prompt_guard import GuardRequest
from guard_server.streaming import stream_text
from guard_server.text_run import first_run
from p2p.tasks import ClassificationTask


class GuardPipeline:
    """Answers requests with guarded adapters.

    Args:
        adapters: Verified adapters by public name; a registry's may change while requests are answered.
        engine: Where answers come from.
        default_max_tokens: Answer tokens for a chat whose client names none, where the engine needs a number.
    """

    def __init__(
        self, adapters: Mapping[str, LoadedAdapter], engine: Engine, default_max_tokens: int = 256
    ) -> None:
        self.adapters = adapters if isinstance(adapters, Registry) else Registry(adapters)
        self.engine = engine
        self._default_max_tokens = default_max_tokens

    def adapter(self, name: str) -> LoadedAdapter:
        """Return the adapter of this public name.

        Raises:
            ModelNotFoundError: There is none.
        """
        if name not in self.adapters:
            raise ModelNotFoundError("the model does not exist; GET /v1/models lists those that do", "model")
        return self.adapters[name]

    @contextmanager
    def hold(self, name: str) -> Iterator[LoadedAdapter]:
        """Pick the adapter of a name for one request, and keep its version in the engine until the block ends.

        Everything in the answer must come from this one: another look at the name may find a newer version.

        Raises:
            ModelNotFoundError: There is none.
            EngineUnavailableError: It has not passed its gate yet.
        """
        self.adapter(name)
        with self.adapters.hold(name) as adapter:
            yield adapter

    async def respond(self, request: GuardRequest, adapter: LoadedAdapter | None = None) -> Reply:
        """Return the whole answer.

        Args:
            request: What is asked.
            adapter: The one that the request holds; without one, it is picked and held here.

        Raises:
            GuardError: The request can't be served, the engine failed, or the answer was refused.
        """
        if adapter is None:
            with self.hold(request.model) as held:
                return await self.respond(request, held)
        return await answer_with(self.engine, adapter, request, self._default_max_tokens)

    def stream(self, request: GuardRequest, adapter: LoadedAdapter) -> Pieces:
        """Give the verdict, the projected answer in pieces, then its usage; see :meth:`respond`."""
        task = adapter.manifest.task
        if isinstance(task, ClassificationTask):
            return self._label(request, adapter, task)
        # Not passed on piece by piece: each generator between costs every piece of every stream a step.
        return stream_text(self.engine, partial(first_run, adapter, task, request, self._default_max_tokens))

    async def _label(self, request: GuardRequest, adapter: LoadedAdapter, task: ClassificationTask) -> Pieces:
        for batch in as_pieces(await classify(self.engine, adapter, task, request)):
            yield batch


async def answer_with(
    engine: Engine, adapter: LoadedAdapter, request: GuardRequest, default_max_tokens: int
) -> Reply:
    """Return the whole answer of one adapter.

    Args:
        engine: Where it comes from.
        adapter: Who is asked.
        request: What is asked; the model that it names is not looked at.
        default_max_tokens: Answer tokens for a chat whose client names none, where the engine needs a number.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    task = adapter.manifest.task
    if isinstance(task, ClassificationTask):
        return await classify(engine, adapter, task, request)
    return await generate(engine, first_run(adapter, task, request, default_max_tokens))


def as_pieces(reply: Reply) -> list[list[StreamPiece]]:
    """Cut a whole answer as a stream: what was said is one piece, and so is each call; all of them are there at once."""
    found: list[StreamPiece] = []
    for index, answer in enumerate(reply.answers):
        if answer.text or answer.logprobs:
            found.append(Delta(index, answer.text, logprobs=answer.logprobs))
        found += [
            Delta(index, "", call=CallPiece(position, call.arguments, call.name))
            for position, call in enumerate(answer.calls)
        ]
        found.append(Delta(index, "", answer.finish_reason))
    return [[reply.verdict], [*found, reply.usage]]
