"""Errors become HTTP here, once: class → status in one table, code and message in the caller's language."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from controller import errors
from controller.api.invalid import words
from controller.api.json import Json
from controller.messages import render

log = structlog.get_logger()

STATUS: dict[type[errors.ControllerError], int] = {
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.StaleGeneration: 412,
    errors.Conflict: 409,
    errors.QuotaExceeded: 409,
    errors.NoCapacity: 409,
    errors.ApprovalRequired: 409,
    errors.Unavailable: 503,
    errors.ControllerError: 500,
}


def status_of(error: errors.ControllerError) -> int:
    """The status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def language(request: Request) -> str:
    """ "zh" where the caller prefers Chinese, else "en"."""
    return "zh" if request.headers.get("accept-language", "").strip().lower().startswith("zh") else "en"


def body(error: errors.ControllerError, lang: str) -> dict[str, Any]:
    """What the caller is told: the code of its class, and in the details the `reason`, which tells causes of one class apart."""
    details = {"reason": error.text} | _sentences(error.details, lang)
    return {
        "error": {
            "code": error.code if error.code != "conflict" else error.text,
            "message": render(error.text, error.params, lang),
            "details": details,
        }
    }


def _sentences(details: dict[str, Any], lang: str) -> dict[str, Any]:
    """Rules and changes, and why each instance is in the way where that is told, with their sentences."""
    shown = dict(details)
    for field, prefix, name in (("rules", "rule", "rule"), ("changes", "change", "change"), ("instances", "rule", "why")):
        if isinstance(shown.get(field), list):
            shown[field] = [
                {**one, "text": render(f"{prefix}.{one[name]}", one, lang)} if isinstance(one, dict) and name in one else one
                for one in shown[field]
            ]
    return shown


def install(app: FastAPI, authenticate: Callable[[Request], object]) -> None:
    """Hang the handlers into the application. `authenticate` raises Unauthenticated: whoever isn't known is told nothing but that."""
    app.add_exception_handler(errors.ControllerError, _controller_error)
    app.add_exception_handler(RequestValidationError, partial(_invalid, authenticate))
    app.add_exception_handler(DataError, _bad_data)
    app.add_exception_handler(UnicodeEncodeError, _bad_data)
    app.add_exception_handler(HTTPException, partial(_http, authenticate))
    app.add_exception_handler(Exception, _broken)


def _controller_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ControllerError)  # noqa: S101 - registered for this class
    headers = {"Retry-After": "1"} if isinstance(error, errors.Unavailable) else {}
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return Json(body(error, language(request)), status_of(error), headers)


def _malformed(request: Request, authenticate: Callable[[Request], object], refusal: errors.InvalidRequest) -> Response:
    """Refuse a body: FastAPI reads it before anybody asks who sent it."""
    try:
        authenticate(request)
    except errors.Unauthenticated as error:
        return _controller_error(request, error)
    return _controller_error(request, refusal)


def _invalid(authenticate: Callable[[Request], object], request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    lang = language(request)
    found = [{"where": ".".join(str(part) for part in one["loc"]), "what": words(one, lang)} for one in error.errors()[:20]]
    first = f"{found[0]['where']}: {found[0]['what']}" if found else ""
    return _malformed(request, authenticate, errors.InvalidRequest(details={"errors": found}, detail=first))


def _bad_data(request: Request, error: Exception) -> Response:
    log.info("data_refused", error=str(error)[:200])
    return _controller_error(request, errors.InvalidRequest(detail="a value is out of range or has a character that can't be kept"))


def _http(authenticate: Callable[[Request], object], request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 404:
        return _controller_error(request, errors.NotFound("route_not_found"))
    if error.status_code == 405:
        message = render("method_not_allowed", {"method": request.method}, language(request))
        return Json({"error": {"code": "method_not_allowed", "message": message, "details": {}}}, 405, dict(error.headers or {}))
    return _malformed(request, authenticate, errors.InvalidRequest("body_not_json", detail=str(error.detail)))


def _broken(request: Request, error: Exception) -> Response:
    log.error("request_broke", path=request.url.path, exc_info=error)
    return _controller_error(request, errors.ControllerError())
