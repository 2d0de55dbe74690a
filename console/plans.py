"""Asking for instances: what would happen (`--explain`), and the one POST that must not happen twice.

Enters: the path and body of a request. Leaves: the API's answer; where the connection broke for good, the key with which the same
call can be made again.
"""

from __future__ import annotations

from console import refusals, render
from console.app import App, note, tell
from console.cells import clean
from console.client import Body
from console.errors import ApiError
from console.exits import OK, code_of


def show(app: App, path: str, body: Body) -> int:
    """Whether it would fit, and where not, what would; nothing is done. Exit code 0 when it fits, as the real call's otherwise."""
    plan = app.client().post(path, body, explain=True)
    fits = bool(plan.get("fits"))
    code = OK if fits else code_of((plan.get("refusal") or {}).get("code", ""), 409)
    if not app.for_people:
        render.programs(app, plan)
        return code
    tell(app.say("explain.fits" if fits else "explain.does_not_fit"))
    if plan.get("preemption"):
        tell(clean(str(plan["preemption"]["text"])))
        render.victims(app, plan["preemption"]["victims"] or [])
    refusal = plan.get("refusal")
    if refusal:
        tell(clean(str(refusal["message"])))
        refusals.explain(app, refusal["code"], refusal.get("details") or {})
    return code


def post_once(app: App, path: str, body: Body, key: str) -> Body:
    """Create under a key. When nobody knows whether the server did it, the person is told the key to ask again with."""
    try:
        return app.client().post(path, body, key=key)
    except ApiError as error:
        if error.code in {"unreachable", "unavailable", "bad_answer"}:
            note(app.say("message.try_with_key", key=key))
        raise
