"""The value of the sum that an answer's working ends in, as ``(22.0-14.0)/4.0`` in "X=((22.0-14.0)/4.0) = "."""

import ast
import operator
import re
from collections.abc import Callable, Mapping

_SUM = re.compile(r"(?P<sum>[-+*/()\d.,\s]*[-+*/][-+*/()\d.,\s]*)=\s*\Z")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LONGEST = 200
_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def worked_sum(working: str) -> float | None:
    """Return what the sum before a working's last sign of equality comes to.

    Args:
        working: What stands before an answer's final number.

    Returns:
        Its value; None where no sum of numbers in figures stands there, or it can't be worked out.
    """
    found = _SUM.search(working[-_LONGEST:])
    if not found:
        return None
    try:
        return _value(ast.parse(_THOUSANDS.sub("", found["sum"]).strip(" \t\n.,"), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
    raise ValueError("no sum of numbers")
