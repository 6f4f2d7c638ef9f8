"""What one explanation costs, in model evaluations, for a given number of features."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

from taxonomy.records import Method

_LONGEST = 200
_RUN_TOGETHER = re.compile(r"[0-9.]\s*[^\W\d]|\\")
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}


def evaluations(method: Method, features: int) -> float | None:
    """Model evaluations for one input of so many features; None where the record does not say. A pass backwards counts as one more.

    Examples
    --------
    >>> import taxonomy
    >>> evaluations(taxonomy.load().method("shapley-value"), 10)
    1024.0
    """
    return value_of(method.cost.evaluations, features) if method.cost is not None and method.cost.evaluations else None


def value_of(expression: str, features: int) -> float:
    """Value of an expression in n: whole numbers, +, -, *, **, min and brackets, nothing else.

    Raises
    ------
    ValueError
        If the expression holds anything else.

    Examples
    --------
    >>> value_of("2**n + 1", 3)
    9.0
    """
    if len(expression) > _LONGEST:
        raise ValueError(f"a cost of {len(expression)} characters is no cost; it has at most {_LONGEST}")
    if _RUN_TOGETHER.search(expression):  # Python would warn of it on the user's screen
        raise ValueError(f"`{expression}` is no expression in n: a number and a letter stand together")
    try:
        value = float(_value(ast.parse(expression.strip(), mode="eval").body, features))
    except OverflowError:
        return math.inf
    except (SyntaxError, RecursionError, MemoryError, ZeroDivisionError, TypeError) as error:
        raise ValueError(f"`{expression}` is no expression in n") from error
    if math.isnan(value):
        raise ValueError(f"`{expression}` has no value")
    return value


def _value(node: ast.expr, n: int) -> float:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return float(node.value)
    if isinstance(node, ast.Name) and node.id == "n":
        return float(n)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, n), _value(node.right, n))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "min" and node.args and not node.keywords:
        return min(_part(argument, n) for argument in node.args)
    raise ValueError(f"a cost is written with whole numbers, n, +, -, *, ** and min, not `{ast.unparse(node)}`")


def _part(node: ast.expr, n: int) -> float:
    try:
        return _value(node, n)
    except OverflowError:
        return math.inf
