"""Bare machines, runs of playbooks on them, clearing certificates."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from controller.api.answers.base import AT, ID, SHA256, Out, ReasonOut

Step = Literal["inspect", "provision", "hypervisor", "patch_host", "wipe"]


class MachineOut(Out):
    """A bare machine: how far it is, and what it said of itself when it was inspected."""

    id: str = Field(description="Of its host.", examples=[ID])
    host: str = Field(examples=["metal-07"])
    state: Literal["uninspected", "inspecting", "free", "provisioning", "occupied", "wiping", "quarantined"]
    power: Literal["on", "off", "unknown"]
    power_wanted: Literal["on", "off"] | None = Field(description="What it is being switched to; null: nothing, or done.", examples=[None])
    instance_id: str | None = Field(description="Whose it is.", examples=[None])
    instance: str | None = Field(description="Its name.", examples=[None])
    address: str | None = Field(description="Of the system on it.", examples=["10.20.0.7"])
    host_key: str | None = Field(description="That its ssh server was given.", examples=["ssh-ed25519 AAAAC3Nza…"])
    run_id: str | None = Field(description="The run that works on it.", examples=[ID])
    step: Step | None
    progress: dict[str, Any] = Field(examples=[{"task": "Write the image", "percent": 42, "mb_s": 118}])
    reason: ReasonOut | None = Field(description="Why it is in quarantine.", examples=[None])
    inspection: dict[str, Any] | None = Field(
        description="What it said of itself; `firmware` tells by what it starts (`kind`: bios or uefi), and whether Secure Boot is on.",
        examples=[{"cpus": 64, "firmware": {"kind": "uefi", "secure_boot": False}, "disks": [{"name": "sda", "bytes": 480}]}],
    )
    differences: list[dict[str, Any]] = Field(
        description="Where the BMC says something else than the machine itself.",
        examples=[[{"what": "memory_mib", "bmc": 131072, "machine": 98304}]],
    )


class TaskOut(Out):
    """A task of a playbook."""

    name: str = Field(examples=["Write the image"])
    state: Literal["running", "ok", "changed", "skipped", "failed", "unreachable"]
    started_s: float | None = Field(description="Seconds after the run began.", examples=[12.5])
    seconds: float | None = Field(description="How long it took; null while it runs.", examples=[31.0])
    text: str | None = Field(description="Of one that failed: why.", examples=[None])


class RunOut(Out):
    """A playbook that works, or worked, on a machine."""

    id: str = Field(examples=[ID])
    host: str | None = Field(examples=["metal-07"])
    endpoint: str = Field(examples=["metal-07"])
    instance_id: str | None = Field(examples=[ID])
    instance: str | None = Field(description="Its name.", examples=["db-1"])
    project: str | None = Field(examples=["hubei/health"])
    step: Step
    playbook: str = Field(examples=["provision.yml"])
    digest: str = Field(description="SHA-256 of all playbooks and roles, as they were.", examples=[SHA256])
    state: Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
    reason: ReasonOut | None = Field(examples=[None])
    progress: dict[str, Any] = Field(examples=[{"task": "Write the image", "percent": 42}])
    tasks: list[TaskOut] | None = Field(description="Null in lists.")
    began_at: datetime = Field(examples=[AT])
    ended_at: datetime | None = Field(examples=[AT])


class CertificateOut(Out):
    """The proof that a disk was cleared. `signature` is by Ed25519 over `document` as JSON with sorted keys and no blanks."""

    id: str = Field(examples=[ID])
    host: str | None = Field(description="For operators.", examples=["metal-07"])
    run_id: str = Field(examples=[ID])
    instance_id: str | None = Field(description="Who had the disk before.", examples=[ID])
    instance: str | None = Field(description="Its name.", examples=["db-1"])
    project: str | None = Field(examples=["hubei/health"])
    disk_serial: str = Field(examples=["S4EVNX0N123456"])
    document: dict[str, Any] = Field(
        examples=[
            {"disk": {"serial": "S4EVNX0N123456"}, "method": "nvme_crypto_erase", "verified": True, "cleared_at": AT, "playbooks": SHA256}
        ]
    )
    signature: str = Field(description="Base64.", examples=["mZ0…"])
    verify_key: str | None = Field(description="PEM; null in lists.", examples=["-----BEGIN PUBLIC KEY-----…"])
    created_at: datetime = Field(examples=[AT])


class VerifyKeyOut(Out):
    """The public key of those who issue certificates."""

    verify_key: str | None = Field(
        description="PEM, Ed25519: `openssl pkeyutl -verify -pubin -inkey KEY -rawin -in DOCUMENT -sigfile SIGNATURE`; null before the"
        " first certificate.",
        examples=["-----BEGIN PUBLIC KEY-----…"],
    )
