"""What happens to an answer outside the extended half."""

from collections.abc import Iterable

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Outcome, Verdict
from guard_server.errors import RefusedAnswerError
from guard_server.settings import EscapePolicy


def refuse_escapes(adapter: LoadedAdapter, verdicts: Iterable[Verdict]) -> None:
    """Let escapes through only where the policy is to flag them.

    Raises:
        RefusedAnswerError: An answer escaped. A retry that escapes again ends here, too.
    """
    if adapter.escape_policy is EscapePolicy.FLAG:
        return
    if any(verdict.outcome is Outcome.ESCAPED for verdict in verdicts):
        raise RefusedAnswerError("the answer escaped the defence and was refused")
