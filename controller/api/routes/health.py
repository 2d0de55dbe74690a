"""Is it alive, is it ready, how is it doing."""

from __future__ import annotations

from fastapi import APIRouter, Response

from controller.actions import guard
from controller.api import metrics
from controller.api.answers.base import responses
from controller.api.answers.state import HealthOut
from controller.api.call import TheCall
from controller.api.json import Json
from controller.model.identity import Right
from controller.store import schema

router = APIRouter(tags=["health"])


@router.get("/healthz", responses={200: {"model": HealthOut}}, response_model=None)
def alive() -> Json:
    """The process answers."""
    return Json({"status": "ok"})


@router.get("/readyz", responses={200: {"model": HealthOut}, 503: responses(None)[503]}, response_model=None)
def ready(call: TheCall) -> Json:
    """The database answers and has the schema that this controller knows."""
    call.services.database.run(schema.check)
    return Json({"status": "ok"})


@router.get(
    "/metrics",
    responses=responses(None) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
    response_model=None,
)
def show_metrics(call: TheCall) -> Response:
    """Numbers for Prometheus; for those who may see the fleet."""
    guard.overall(call.identity, Right.SEE_FLEET)
    return Response(metrics.render(call.services.database), media_type="text/plain; version=0.0.4; charset=utf-8")
