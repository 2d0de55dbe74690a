"""What leaves the API, described for the OpenAPI document.

Views are built by `controller.model.views`; a test holds them against these shapes.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
AT = "2026-11-23T08:30:00.000Z"
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
SM3 = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Identified(_Out):
    """Every object has these."""

    id: str = Field(examples=[ID])
    generation: int = Field(description="Counts changes; send it back in If-Match.", examples=[1])
    created_at: datetime = Field(examples=[AT])


class Error(_Out):
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


class ErrorOut(_Out):
    """The body of every error."""

    error: Error


class VictimOut(_Out):
    """Somebody who would be preempted, and what that frees."""

    id: str = Field(examples=[ID])
    name: str = Field(examples=["batch-7"])
    project: str = Field(examples=["hubei/statistics"])
    host: str = Field(examples=["kvm-01"])
    priority: Literal["batch", "normal", "critical"]
    frees: dict[str, int] = Field(examples=[{"vcpus": 8, "memory_mib": 16384, "disk_gib": 40}])


class PreemptionOut(_Out):
    """That there would be room by preempting. Who would go, and where the newcomers would be, is told to operators."""

    text: str = Field(examples=["Preemption would make room."])
    victims: list[VictimOut] | None = None
    places: list[str] | None = Field(None, examples=[None])


class Verdict(_Out):
    """The answer to `explain`: whether it would be taken, and if not, why."""

    fits: bool = Field(examples=[True])
    refusal: Error | None = Field(None, examples=[None])
    preemption: PreemptionOut | None = Field(None, description="Where it would be taken by preempting.", examples=[None])


class ReasonOut(_Out):
    """Why something is as it is."""

    code: str = Field(examples=["host_unreachable"])
    text: str = Field(examples=["The host does not answer."])


class PolicyOut(_Out):
    """How requests are decided."""

    max_priority: Literal["batch", "normal", "critical"] | None = Field(description="Null: as in the project above.")
    may_preempt: bool | None = Field(description="Null: as in the project above.")
    auto_approve: dict[str, int] | None = Field(examples=[{"instances": 3, "vcpus": 8, "memory_mib": 16384, "disk_gib": 200, "gpus": 0}])


class ProjectOut(Identified):
    """A project."""

    name: str = Field(examples=["health"])
    path: str = Field(examples=["hubei/health"])
    parent_id: str | None = Field(examples=[ID])
    description: str = Field(examples=["湖北省卫生健康委员会"])
    policy: PolicyOut
    level: int | None = Field(description="Protection level (等保定级); null: that of the project above.", examples=[3])


class QuotaRowOut(_Out):
    """One limit, or one resource in use. Rows of ancestors are there only where they limit and the caller may read them."""

    project: str = Field(examples=["hubei/health"])
    kind: Literal["any", "vm", "container", "bare_metal"]
    resource: Literal["instances", "vcpus", "memory_mib", "disk_gib", "gpus"]
    limit: int | None = Field(examples=[64])
    used: int | float = Field(description="Parts of GPUs count as what they are: four quarters are one.", examples=[12])
    held: int | float = Field(description="Held by requests that wait for approval.", examples=[4])
    free: int | float | None = Field(examples=[48])


class QuotaOut(_Out):
    """Limits and usage, project first, then its ancestors."""

    project: str = Field(examples=["hubei/health"])
    rows: list[QuotaRowOut]


class RoleOut(_Out):
    """A role that a user has on a project."""

    user: str = Field(examples=["zhang"])
    role: Literal["member", "approver", "operator", "admin", "auditor"]
    project: str = Field(examples=["hubei/health"])


class UserOut(Identified):
    """A user."""

    name: str = Field(examples=["zhang"])
    display_name: str = Field(examples=["张工"])
    disabled: bool = Field(examples=[False])


class TokenOut(_Out):
    """A token, without its text."""

    id: str = Field(examples=[ID])
    name: str = Field(examples=["laptop"])
    expires_at: datetime = Field(examples=[AT])
    revoked_at: datetime | None = Field(None, examples=[None])
    created_at: datetime = Field(examples=[AT])


class NewTokenOut(TokenOut):
    """A new token, with its text: it is shown only here."""

    token: str = Field(examples=["ct_…"])


class WhoOut(_Out):
    """Who calls."""

    user: dict[str, str] = Field(examples=[{"id": ID, "name": "zhang"}])
    roles: list[dict[str, str]] = Field(examples=[[{"project": "hubei/health", "role": "member"}]])
    token: TokenOut | None


class FlavorOut(Identified):
    """A size."""

    name: str = Field(examples=["small"])
    kind: str = Field(examples=["vm"])
    vcpus: int = Field(examples=[2])
    memory_mib: int = Field(examples=[4096])
    disk_gib: int = Field(examples=[40])
    gpus: int = Field(examples=[0])
    cpu_baseline: str | None = Field(description="The CPU that the guest sees.", examples=["x86-64-v2"])
    numa_nodes: int = Field(description="In how many NUMA nodes, in equal parts; 0: wherever.", examples=[1])
    gpu_model: str | None = Field(examples=[None])
    gpu_milli: int = Field(description="Thousandths of each of its GPUs.", examples=[1000])
    arch: str | None = Field(examples=["x86_64"])
    traits: list[str] = Field(examples=[["ssd"]])


class ImageOut(Identified):
    """An image. Only a `ready` one boots."""

    name: str = Field(examples=["debian-12"])
    arch: str = Field(examples=["x86_64"])
    format: Literal["qcow2", "raw"]
    os: str = Field(examples=["Debian 12"])
    min_disk_gib: int = Field(examples=[10])
    min_memory_mib: int = Field(examples=[512])
    state: Literal["waiting", "importing", "ready", "failed"] = Field(examples=["ready"])
    reason: ReasonOut | None = Field(examples=[None])
    url: str | None = Field(examples=["https://images.example/debian-12.qcow2"])
    size_bytes: int | None = Field(description="Of the file, once it is here.", examples=[412876800])
    virtual_size_bytes: int | None = Field(description="Of the disk that it holds.", examples=[2147483648])
    sha256: str | None = Field(description="As measured.", examples=[SHA256])
    sm3: str | None = Field(description="As measured.", examples=[SM3])


class PoolOut(Identified):
    """A pool."""

    name: str = Field(examples=["general"])
    zone: str = Field(examples=["wuhan-a"])
    site: str = Field(examples=["武汉"])
    level: int = Field(description="The protection level up to which systems may be here.", examples=[3])
    spare_hosts: int = Field(description="So many hosts may be lost, and what they run is restarted on the others.", examples=[1])
    fill_order: int = Field(description="Pools of a lower number are filled first.", examples=[10])
    licences: list[str] = Field(description="Traits of all its hosts that are left to who asks for them.", examples=[["oracle"]])
    may_wake: bool = Field(description="Hosts that are off count as capacity; somebody has to switch them on.", examples=[False])
    overcommit: dict[str, float] = Field(examples=[{"vcpus": 4.0, "memory_mib": 1.0, "disk_gib": 1.0}])
    reserved: dict[str, int] = Field(examples=[{"vcpus": 0, "memory_mib": 512, "disk_gib": 5}])


class EndpointOut(Identified):
    """Something a driver connects to."""

    name: str = Field(examples=["kvm-01"])
    driver: str = Field(examples=["libvirt"])
    uri: str = Field(examples=["qemu+tls://kvm-01.example/system"])
    options: dict[str, str] = Field(examples=[{"network": "default"}])
    pool: str = Field(examples=["general"])
    state: Literal["connected", "unreachable", "retired"]
    reason: ReasonOut | None = Field(examples=[None])
    hosts: list[str] = Field(examples=[["kvm-01"]])
    since: datetime = Field(examples=[AT])


class NodeOut(_Out):
    """A NUMA node of a host: what it may promise, and has promised to instances that ask for their place in nodes."""

    number: int = Field(examples=[0])
    cpus: list[int] = Field(examples=[[0, 1, 2, 3]])
    memory_mib: int = Field(examples=[131072])
    there: bool = Field(description="Whether it was found when the host was looked at last.")
    capacity: dict[str, int] = Field(examples=[{"vcpus": 128, "memory_mib": 130816}])
    used: dict[str, int] = Field(examples=[{"vcpus": 8, "memory_mib": 16384}])


class GpuOut(_Out):
    """A GPU of a host."""

    id: str = Field(description="Its address.", examples=["0000:65:00.0"])
    model: str = Field(examples=["a100-pcie-40gb"])
    shared: bool = Field(description="Whether parts of it may be given out.")
    there: bool = Field(description="Whether it was found when the host was looked at last.")
    used_milli: int = Field(description="Thousandths that instances hold.", examples=[250])


class HostOut(Identified):
    """A host: what it has (`inventory`), may promise (`capacity`) and has promised (`used`)."""

    name: str = Field(examples=["kvm-01"])
    endpoint: str = Field(examples=["kvm-01"])
    pool: str = Field(examples=["general"])
    zone: str = Field(examples=["wuhan-a"])
    site: str = Field(examples=["武汉"])
    rack: str = Field(examples=["A-07"])
    dedicated_to: str | None = Field(description="The project that alone may use it.", examples=["hubei/health"])
    arch: str = Field(examples=["x86_64"])
    kinds: list[str] = Field(examples=[["vm"]])
    traits: list[str] = Field(examples=[["ssd"]])
    state: Literal["up", "unreachable", "fenced", "retired"]
    cordoned: bool = Field(examples=[False])
    draining: bool = Field(description="What can be started elsewhere is being moved off it.", examples=[False])
    power: Literal["on", "off", "unknown"] = Field(description="As its driver sees it, or else as an operator says.", examples=["on"])
    idle_watts: int | None = Field(description="What it draws with nothing on it, where somebody said so.", examples=[180])
    inventory: dict[str, int] = Field(examples=[{"vcpus": 64, "memory_mib": 262144, "disk_gib": 4000, "gpus": 0}])
    capacity: dict[str, int] = Field(examples=[{"vcpus": 256, "memory_mib": 261632, "disk_gib": 3995, "gpus": 0}])
    used: dict[str, int | float] = Field(examples=[{"vcpus": 12, "memory_mib": 24576, "disk_gib": 240, "gpus": 0}])
    cpu_baselines: list[str] = Field(description="What guests can be promised of its CPU.", examples=[["x86-64-v1", "x86-64-v2"]])
    gpu_model: str = Field(description="The model of the GPUs that it gives out.", examples=["a100-pcie-40gb"])
    gpu_devices: list[GpuOut]
    numa_nodes: list[NodeOut]
    instances: int = Field(description="How many are on it, or held on it.", examples=[6])
    notes: list[str] = Field(
        description="What an operator should know of it.",
        examples=[["KVM does not work on this host; guests run under software emulation, many times slower."]],
    )
    reason: ReasonOut | None = Field(examples=[None])


class DecisionOut(_Out):
    """How a request was decided; by nobody: by the project's policy."""

    by: str | None = Field(examples=["li"])
    at: datetime | None = Field(examples=[AT])
    reason: str | None = Field(examples=["within this year's budget"])


class RequestOut(Identified):
    """An application for computing."""

    project: str = Field(examples=["hubei/health"])
    state: Literal["pending", "approved", "refused", "expired", "cancelled"]
    priority: Literal["batch", "normal", "critical"]
    reason: str = Field(examples=["挂号系统上线"])
    term_days: int | None = Field(examples=[365])
    ends: bool = Field(description="Its instances are given back at the end of the term.", examples=[False])
    starts_at: datetime | None = Field(description="When its instances begin; null: when it is approved.", examples=[None])
    items: list[dict[str, Any]] = Field(
        description="As handed in, but for user data, which may hold secrets: only its size (`user_data_bytes`) is told; of a container's"
        " secrets the names.",
        examples=[[{"kind": "vm", "name": "web", "flavor": "small", "image": "debian-12", "count": 3, "user_data_bytes": 412}]],
    )
    instances: list[str] = Field(examples=[[ID]])
    decision: DecisionOut | None
    expires_at: datetime | None = Field(description="When what it holds is let go, unless it is decided before.", examples=[AT])
    created_by: str = Field(examples=["zhang"])


class InstanceOut(Identified):
    """What a project has running.

    `goal` was asked, `state` is recorded, `condition` was last seen (`unknown`: its host does not answer).
    """

    name: str = Field(examples=["web-1"])
    project: str = Field(examples=["hubei/health"])
    kind: str = Field(examples=["vm"])
    flavor: str = Field(examples=["small"])
    image: str = Field(examples=["debian-12"])
    container: dict[str, Any] | None = Field(description="What it runs, as asked for; of secrets only the names.", examples=[None])
    arch: str = Field(examples=["x86_64"])
    vcpus: int = Field(examples=[2])
    memory_mib: int = Field(examples=[4096])
    disk_gib: int = Field(examples=[40])
    gpus: int = Field(examples=[0])
    cpu_baseline: str | None = Field(description="The CPU that the guest sees.", examples=["x86-64-v2"])
    numa_nodes: int = Field(description="In how many NUMA nodes, in equal parts; 0: wherever.", examples=[1])
    gpu_model: str | None = Field(examples=[None])
    gpu_milli: int = Field(description="Thousandths of each of its GPUs.", examples=[1000])
    goal: Literal["running", "stopped", "gone"]
    state: Literal["pending", "building", "active", "stopped", "migrating", "deleting", "deleted", "error"] = Field(examples=["active"])
    condition: Literal["running", "stopped", "busy", "absent", "failed", "finished", "unknown"]
    reason: ReasonOut | None = Field(examples=[None])
    host: str | None = Field(description="For operators; null for others.", examples=[None])
    zone: str = Field(examples=["wuhan-a"])
    addresses: list[str] = Field(examples=[["192.168.150.17"]])
    protected: bool
    priority: Literal["batch", "normal", "critical"]
    preemptible: bool = Field(description="It agreed to be deleted when a request of a higher class needs its place.")
    request_id: str = Field(examples=[ID])
    observed_generation: int = Field(
        description="The newest generation that has come to an end; when it equals `generation`, nothing is under way.", examples=[1]
    )
    since: datetime = Field(description="Since when it is in this state.", examples=[AT])
    starts_at: datetime | None = Field(description="When it begins, where that was asked for; built then.", examples=[None])
    term_ends_at: datetime | None = Field(examples=[AT])
    ends: bool = Field(description="It is given back, that is deleted, at the end of its term, unless it is protected.", examples=[False])


class RightsOut(_Out):
    """What a backend's own people apply there."""

    manifest: str = Field(description="For Kubernetes: YAML for `kubectl apply`.", examples=["apiVersion: v1\nkind: Namespace\n…"])


class ExecOut(_Out):
    """What a command left behind."""

    exit_code: int = Field(examples=[0])
    stdout: str = Field(examples=["web-1\n"])
    stderr: str = Field(examples=[""])
    truncated: bool = Field(description="It wrote more than is told.", examples=[False])


class ConsoleOut(_Out):
    """The end of a serial console's log, or of a container's output."""

    text: str = Field(examples=["login: "])


class EventOut(_Out):
    """One past fact about one object. `id` is the cursor to go on from."""

    id: str = Field(examples=["1042.77"])
    at: datetime = Field(examples=[AT])
    kind: str = Field(examples=["instance.active"])
    object_kind: str = Field(examples=["instance"])
    object_id: str = Field(examples=[ID])
    object_name: str = Field(examples=["web-1"])
    project: str | None = Field(examples=["hubei/health"])
    actor: str = Field(examples=["zhang"])
    text: str = Field(examples=["web-1 is active."])
    details: dict[str, Any] = Field(examples=[{"flavor": "small"}])


class MissOut(_Out):
    """A host, the rules that it fails, and how much it has too little of; no rules where it would do."""

    host: str = Field(examples=["kvm-02"])
    rules: list[dict[str, Any]] = Field(examples=[[{"rule": "vcpus", "text": "have too few free vCPUs"}]])
    short: dict[str, int | float] = Field(description="Of GPUs in parts of one.", examples=[{"vcpus": 2}])


class PlacementOut(_Out):
    """What the scheduler decided for one item of a request, and why, as the fleet was then. Hosts are named to operators alone."""

    id: str = Field(examples=[ID])
    project: str = Field(examples=["hubei/health"])
    request_id: str | None = Field(description="Null where it was refused.", examples=[ID])
    actor: str = Field(description="Who asked.", examples=["zhang"])
    placed: bool
    names: list[str] = Field(description="Of the instances asked for.", examples=[["web-1", "web-2"]])
    flavor: str = Field(examples=["small"])
    asked: dict[str, Any] = Field(
        description="`expected_days`: on how many of the 14 days after it is expected to run, by what the past teaches.",
        examples=[{"arch": "x86_64", "pools": [], "zones": ["wuhan-a"], "traits": [], "spread": None, "expected_days": 11.2}],
    )
    hosts: int = Field(description="Hosts looked at.", examples=[1000])
    fits: int = Field(description="Those that passed every rule.", examples=[18])
    room: int | None = Field(
        description="Where only some of several would find a place: how many; `rules` tells what stopped the next.", examples=[None]
    )
    rules: list[dict[str, Any]] = Field(
        description="In order: hosts that pass all rules before this one, and fail it.",
        examples=[[{"rule": "zone", "excluded": 863, "text": "are in another zone"}]],
    )
    chosen: list[str] | None = Field(description="The hosts given, one for each name.", examples=[None])
    given: list[dict[str, Any]] | None = Field(
        description="The `gpus` and `numa_nodes` given there, for each name, as the host's list has them; null where none were asked for.",
        examples=[[{"gpus": ["0000:41:00.0"], "numa_nodes": [0]}]],
    )
    promised: bool = Field(description="Whether any has a place that others leave by its start; `fits` counts those free at once.")
    after: list[str] | None = Field(description="Whose places were promised, for when they have gone.", examples=[None])
    best: list[dict[str, Any]] | None = Field(
        description="The best of those that fit: `points`, and in them `kept_days`, for which it alone is expected to keep the host from"
        " running empty, and `minus`: what it costs that the host is `off`, the order of its `pool`, and each `licence` nobody asked for.",
        examples=[None],
    )
    nearest: list[MissOut] | None = Field(description="Some that did not fit.", examples=[None])
    preempted: list[str] | None = Field(description="Who made way, where anybody did.", examples=[None])
    at: datetime = Field(examples=[AT])


class MoveOut(_Out):
    """One live migration. Moves of one step start together; each step begins when the one before has ended."""

    step: int = Field(examples=[0])
    id: str = Field(description="Of the instance, or of what a request holds.", examples=[ID])
    name: str = Field(examples=["web-1"])
    project: str = Field(examples=["hubei/health"])
    source: str = Field(examples=["kvm-01"])
    target: str = Field(examples=["kvm-02"])


class SummaryOut(_Out):
    """Hosts at a glance."""

    hosts: int = Field(description="That take new instances.", examples=[40])
    in_use: int = Field(description="With anything on them.", examples=[31])
    largest_vcpus: int = Field(description="The most that one host has free.", examples=[120])
    largest_memory_mib: int = Field(examples=[524288])
    fill_mean: dict[str, float] = Field(description="Used / capacity, by resource.", examples=[{"vcpus": 0.61, "memory_mib": 0.58}])
    fill_max: dict[str, float] = Field(examples=[{"vcpus": 0.97, "memory_mib": 0.9}])
    peak: float = Field(description="The fullest host, by the fuller of vCPUs and memory.", examples=[0.97])
    spread: float = Field(description="The standard deviation of that over hosts.", examples=[0.17])
    fits: int | None = Field(description="How many more of the flavor fit, where one was named.", examples=[12])
    resilient: bool | None = Field(description="Whether the spare hosts asked for are there.", examples=[True])


class NowhereOut(_Out):
    """Somebody without a place, and why: hosts left out by each rule."""

    id: str | None = Field(description="Null for what does not exist yet.", examples=[ID])
    name: str = Field(examples=["web-1"])
    project: str | None = Field(examples=["hubei/health"])
    host: str | None = Field(examples=["kvm-01"])
    rules: list[dict[str, Any]] = Field(examples=[[{"rule": "vcpus", "excluded": 39, "text": "have too few free vCPUs"}]])


class LackOut(_Out):
    """A pool that could not lose so many hosts."""

    pool: str = Field(examples=["general"])
    hosts: list[str] = Field(description="Whose loss is not covered.", examples=[["kvm-01"]])
    certain: bool = Field(description="False: no way was found, though there may be one.")
    short: dict[str, int] = Field(description="What is lacking even if all that is free were in one piece.", examples=[{"vcpus": 32}])


class IdleOut(_Out):
    """A host that could be switched off. Nobody switches it."""

    host: str = Field(examples=["kvm-01"])
    watts: int | None = Field(description="`idle_watts` of the host.", examples=[180])


class PlanOut(_Out):
    """What should move where, or who should make way. Nothing has been done."""

    kind: Literal["drain", "consolidate", "rebalance", "defragment", "preempt"]
    reason: Literal["done", "nothing_to_move", "no_beneficial_move", "unsolvable", "not_resilient", "fits", "no_room"]
    text: str = Field(examples=["12 instances move off kvm-01."])
    benefit: float = Field(examples=[12.0])
    moves: list[MoveOut]
    before: SummaryOut
    after: SummaryOut
    unsolvable: list[NowhereOut]
    lacks: list[LackOut]
    victims: list[VictimOut] = Field(description="Who is preempted, for `preempt`.")
    places: list[str] = Field(description="The hosts that take what comes instead, one for each copy.", examples=[["kvm-01"]])
    switch_off: list[IdleOut] = Field(description="For `consolidate`: hosts that are on and empty at its end, and not needed to spare.")
    saves_watts: int | None = Field(
        description="What those draw with nothing on them, of which it is known; null: of none it is.", examples=[360]
    )


class WhatIfOut(_Out):
    """What would be. Nothing has been done."""

    restarted: int = Field(description="Of those whose hosts are gone, that find another.", examples=[310])
    stranded: list[NowhereOut] = Field(description="Those that do not; a thousand at most.")
    stranded_count: int = Field(examples=[0])
    placed: int = Field(description="Of the instances asked for.", examples=[10])
    refused: list[NowhereOut] = Field(description="Of what was asked for, that finds no place; named by its flavor.")
    before: SummaryOut
    after: SummaryOut


class WhyOut(_Out):
    """Why an instance is where and as it is."""

    instance: InstanceOut
    text: str = Field(examples=["web-1 is active."])
    placement: PlacementOut | None = Field(description="The decision that put it where it began.")
    not_there: MissOut | None = Field(description="What stands between it and the host that was asked about, as things are now.")
    events: list[EventOut]


class HealthOut(_Out):
    """The controller's own state."""

    status: Literal["ok"]


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
