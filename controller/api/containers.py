"""What a container is asked to run, as it enters the API."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from controller.api.fields import In, Int, Label, storable
from controller.model.naming import OCI_PATTERN

OciImage = Annotated[str, StringConstraints(pattern=OCI_PATTERN)]
Word = Annotated[str, StringConstraints(max_length=4096), storable]
Variable = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
Value = Annotated[str, StringConstraints(max_length=32768), storable]
PortName = Annotated[str, StringConstraints(max_length=15, pattern=r"^([0-9]-?)*[a-z](-?[a-z0-9])*$")]  # RFC 6335, section 5.1
ServiceName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]  # RFC 1035: clusters before 1.36
PortNumber = Annotated[Int, Field(ge=1, le=65535)]
Path = Annotated[str, StringConstraints(max_length=1024, pattern=r"^/[^\x00:]*$")]
MountPath = Annotated[str, StringConstraints(max_length=1024, pattern=r"^(/[^\x00-\x1f:/]+)+$")]
Seconds = Annotated[Int, Field(ge=1, le=3600)]
_MOST_BYTES = 1 << 18  # of words and variables together: kept for each instance, in the backend too


class PortIn(In):
    """A port that it listens on."""

    name: PortName = Field(examples=["http"])
    port: PortNumber = Field(examples=[8080])
    protocol: Literal["tcp", "udp"] = "tcp"


class VolumeIn(In):
    """A disk of its own, kept as long as the instance; its size is part of the flavor's `disk_gib`."""

    name: Label = Field(examples=["data"])
    path: MountPath = Field(examples=["/var/lib/data"])
    size_gib: Int = Field(ge=1, le=1 << 16, examples=[10])

    @field_validator("path")
    @classmethod
    def _straight(cls, path: str) -> str:
        if {".", ".."} & set(path.split("/")):
            raise PydanticCustomError("crooked", "must not contain . or ..")
        return path


class ProbeIn(In):
    """How to ask whether it is well: an HTTP path on a port, a port that accepts TCP, or a command."""

    port: PortNumber | None = Field(None, examples=[8080])
    http_path: Path | None = Field(None, examples=["/healthz"])
    command: list[Word] = Field([], max_length=64, examples=[[]])
    delay_s: Int = Field(0, ge=0, le=3600)
    period_s: Seconds = 10
    timeout_s: Seconds = 1
    failures: Int = Field(3, ge=1, le=1000, description="In a row, before it counts as unwell.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.port is None) == (not self.command) or (self.http_path is not None and self.port is None):
            raise PydanticCustomError("one_probe", "needs a port (and perhaps an http_path), or a command")
        return self


class ContainerIn(In):
    """What a container runs; the sizes are the flavor's, and it gets no more."""

    image: OciImage = Field(description="An OCI reference.", examples=["registry.hubei.example/health/booking:2.4"])
    command: list[Word] = Field([], max_length=64, description="In place of the image's entry point.", examples=[[]])
    args: list[Word] = Field([], max_length=256, examples=[["--port", "8080"]])
    env: dict[Variable, Value] = Field({}, max_length=256, examples=[{"LANG": "C.UTF-8"}])
    secrets: dict[Variable, Value] = Field(
        {},
        max_length=64,
        description="Environment variables that are kept sealed, and shown to nobody again but by name.",
        examples=[{"DB_PASSWORD": "…"}],
    )
    ports: list[PortIn] = Field([], max_length=32)
    volumes: list[VolumeIn] = Field([], max_length=16)
    liveness: ProbeIn | None = Field(None, description="Restarted when it fails.", examples=[None])
    readiness: ProbeIn | None = Field(None, description="Gets no calls of its service while it fails.", examples=[None])
    startup: ProbeIn | None = Field(None, description="The others begin when this has succeeded.", examples=[None])
    restart: Literal["always", "on_failure", "never"] = Field("always", description="Whether it is started again when its command ends.")
    service: ServiceName | None = Field(
        None, description="The name under which all instances of the project that name it are reached together.", examples=["booking"]
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for what, names in (
            ("ports", [port.name for port in self.ports]),
            ("ports", [(port.port, port.protocol) for port in self.ports]),
            ("volumes", [volume.name for volume in self.volumes]),
            ("paths", [volume.path for volume in self.volumes]),
            ("variables", [*self.env, *self.secrets]),
        ):
            if len(set(names)) < len(names):
                raise PydanticCustomError("twice", "{what} must differ", {"what": what})
        if self.service and not self.ports:
            raise PydanticCustomError("service_ports", "a service needs ports")
        texts = (*self.command, *self.args, *self.env, *self.env.values(), *self.secrets, *self.secrets.values())
        if sum(len(text.encode()) for text in texts) > _MOST_BYTES:
            raise PydanticCustomError("too_much", "words and variables have more than {most} bytes", {"most": _MOST_BYTES})
        return self
