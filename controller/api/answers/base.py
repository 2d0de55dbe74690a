"""What all answers share: pieces of objects, errors, pages, and how an operation tells of its answers."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
AT = "2026-11-23T08:30:00.000Z"
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
SM3 = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


class Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Identified(Out):
    """Every object has these."""

    id: str = Field(examples=[ID])
    generation: int = Field(description="Counts changes; send it back in If-Match.", examples=[1])
    created_at: datetime = Field(examples=[AT])


class Shaped(Identified):
    """What has a size: a flavor, and what was made by it."""

    vcpus: int = Field(examples=[2])
    memory_mib: int = Field(examples=[4096])
    disk_gib: int = Field(examples=[40])
    gpus: int = Field(examples=[0])
    cpu_baseline: str | None = Field(description="The CPU that the guest sees.", examples=["x86-64-v2"])
    numa_nodes: int = Field(description="In how many NUMA nodes, in equal parts; 0: wherever.", examples=[1])
    gpu_model: str | None = Field(examples=[None])
    gpu_milli: int = Field(description="Thousandths of each of its GPUs.", examples=[1000])


class Error(Out):
    """What went wrong."""

    code: str = Field(examples=["quota_exceeded"])
    message: str = Field(examples=["hubei/health would go over its limit of vCPUs (asked: 8)."])
    details: dict[str, Any] = Field(
        examples=[
            {
                "over": [
                    {
                        "project": "hubei/health",
                        "kind": "any",
                        "resource": "vcpus",
                        "limit": 16,
                        "used": 12,
                        "held": 0,
                        "free": 4,
                        "asked": 8,
                    }
                ]
            }
        ]
    )


class ErrorOut(Out):
    """The body of every error."""

    error: Error


class VictimOut(Out):
    """Somebody who would be preempted, and what that frees."""

    id: str = Field(examples=[ID])
    name: str = Field(examples=["batch-7"])
    project: str = Field(examples=["hubei/statistics"])
    host: str = Field(examples=["kvm-01"])
    priority: Literal["batch", "normal", "critical"]
    frees: dict[str, int] = Field(examples=[{"vcpus": 8, "memory_mib": 16384, "disk_gib": 40}])


class PreemptionOut(Out):
    """That there would be room by preempting. Who would go, and where the newcomers would be, is told to operators."""

    text: str = Field(examples=["Preemption would make room."])
    victims: list[VictimOut] | None = None
    places: list[str] | None = Field(None, examples=[None])


class Verdict(Out):
    """The answer to `explain`: whether it would be taken, and if not, why."""

    fits: bool = Field(examples=[True])
    refusal: Error | None = Field(None, examples=[None])
    preemption: PreemptionOut | None = Field(None, description="Where it would be taken by preempting.", examples=[None])


class ReasonOut(Out):
    """Why something is as it is."""

    code: str = Field(examples=["host_unreachable"])
    text: str = Field(examples=["The host does not answer."])


@cache
def page_of(item: type[BaseModel]) -> type[BaseModel]:
    """A page of items; `next` leads to the one after, null at the end."""
    fields: dict[str, Any] = {"items": (list[item], ...), "next": (str | None, Field(examples=[None]))}  # type: ignore[valid-type]
    return create_model(item.__name__.removesuffix("Out") + "Page", __doc__=f"A page of {item.__name__}.", **fields)


_FAILURES = {
    400: "The request is not valid; the message says what would be.",
    401: "No valid token.",
    403: "The identity may not do this.",
    404: "There is none, or the identity may not know that there is.",
    405: "Not at this address.",
    409: "It can't be done now: a limit, no capacity, a name taken, a state, or a reused key.",
    412: "It has changed since it was read.",
    413: "The body is too large.",
    503: "The controller, or something it needs, can't answer now.",
}


def responses(model: type[BaseModel] | None, status: int = 200, explained: bool = False) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation."""
    failures: dict[int | str, dict[str, Any]] = {code: {"model": ErrorOut, "description": text} for code, text in _FAILURES.items()}
    done: dict[int | str, dict[str, Any]] = {status: {"model": model} if model else {"description": "Done."}}
    if explained:
        done[200] = {"model": Verdict, "description": "The answer to `explain`."}
    return done | failures
