"""Flavors and images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controller.api.answers.base import SHA256, SM3, Identified, ReasonOut, Shaped


class FlavorOut(Shaped):
    """A size."""

    name: str = Field(examples=["small"])
    kind: str = Field(examples=["vm"])
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
