"""Runs cells as a notebook's kernel does: what `sdk_notebook` starts in the environment of an SDK.

    python sdk_kernel.py FOLDER [USER]

reads one JSON document a line, `{"cell": <Python>, "values": {<name>: <value>}}`, and answers with one a line:
`{"value": <of the last expression>, "printed": <text>}`, or `{"error": <its class>, "told": <traceback>}`.
Each cell is a file in FOLDER, since SDKs look for the source of functions.

Every request of the SDK's Kubernetes client is made as USER by impersonation, and the API server refuses the
fields that it does not know. If there is no USER, requests are made as whoever the kubeconfig names.
"""
# pyright: reportMissingImports=false

import ast
import contextlib
import dataclasses
import enum
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import kubernetes.client


def _make_strict(user: str) -> None:
    """Have every client act as a user, and every field checked.

    The class itself changes: SDKs name it, and the package's own modules have each imported it.
    """
    made, called = kubernetes.client.ApiClient.__init__, kubernetes.client.ApiClient.call_api

    def make(self: Any, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        if user:
            self.set_default_header("Impersonate-User", user)

    def call(
        self: Any, path: str, method: str, places: Any = None, query: Any = None, *others: Any, **named: Any
    ) -> Any:
        if method in ("POST", "PUT", "PATCH"):
            query = [*(query or []), *self.query]
        return called(self, path, method, places, query, *others, **named)

    kubernetes.client.ApiClient.query = [("fieldValidation", "Strict")]
    """What is added to the query of each request that writes."""
    kubernetes.client.ApiClient.__init__ = make
    kubernetes.client.ApiClient.call_api = call


def _plain(value: Any) -> Any:
    """Return what JSON can say of a value that it does not know."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def _run(path: Path, cell: str, names: dict[str, Any]) -> Any:
    """Run a cell, and return the value of its last statement if that is an expression."""
    path.write_text(cell)
    tree = ast.parse(cell, str(path))
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, str(path), "exec"), names)
        return None
    tree.body.pop()
    exec(compile(tree, str(path), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(path), "eval"), names)


def main() -> None:
    """Answer until nobody asks any more."""
    folder, user = Path(sys.argv[1]), "".join(sys.argv[2:])
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what programs print that a cell starts
        _make_strict(user)
        names: dict[str, Any] = {"__name__": "__main__"}
        for number, line in enumerate(sys.stdin):
            asked = json.loads(line)
            names |= asked["values"]
            printed = io.StringIO()
            try:
                with contextlib.redirect_stdout(printed):
                    value = _run(folder / f"cell_{number}.py", asked["cell"], names)
                answer = json.dumps({"value": value, "printed": printed.getvalue()}, default=_plain)
            except Exception as error:  # a cell may raise anything, and the notebook raises it again
                answer = json.dumps({"error": type(error).__name__, "told": traceback.format_exc()})
            print(answer, file=answers)


if __name__ == "__main__":
    main()
