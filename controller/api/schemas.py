"""What enters the API, validated once: unknown fields are refused, every text has a bound, nothing holds a NUL.

Everything that leaves is described in `controller.api.answers`; the kinds of fields are in `controller.api.fields`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from controller.api.containers import ContainerIn, Word
from controller.api.fields import (
    Amount,
    Bridge,
    Credentials,
    Flag,
    Hex64,
    HostPower,
    HypervisorOptions,
    In,
    Int,
    Kind,
    Label,
    Level,
    Licences,
    Line,
    Name,
    Number,
    Options,
    Order,
    Prefix,
    Priority,
    Reference,
    Resource,
    Spare,
    SshKey,
    Trait,
    Url,
    UserData,
    Wakes,
    Watts,
    Wipe,
    moment,
)


class Bounds(In):
    """What one request may ask for in all and still be approved at once; what is not named is bounded by zero."""

    instances: Amount = Field(0, examples=[3])
    vcpus: Amount = Field(0, examples=[8])
    memory_mib: Amount = Field(0, examples=[16384])
    disk_gib: Amount = Field(0, examples=[200])
    gpus: Amount = Field(0, examples=[0])


class Policy(In):
    """How requests of a project are decided. What is null is as in the project above; a change leaves alone what it does not name."""

    auto_approve: Bounds | None = Field(None, description="Null: the parent's bounds hold; without any, every request goes to an approver.")
    max_priority: Priority | None = Field(None, description="The highest class that may be asked for; without any, `normal`.")
    may_preempt: Flag | None = Field(
        None, description="Whether requests may take the place of preemptible instances of lower classes; without any, not."
    )


_PROJECT_LEVEL = "Protection level (等保定级) of its systems; null: that of the project above. From 4 on they get hosts of their own."


class ProjectIn(In):
    """A new project."""

    name: Label = Field(examples=["health"])
    parent: Reference | None = Field(None, description="Path or id of the project above; null for a new root.", examples=["hubei"])
    description: Line = Field("", examples=["湖北省卫生健康委员会"])
    policy: Policy = Policy()
    level: Level | None = Field(None, description=_PROJECT_LEVEL, examples=[3])


class ProjectChange(In):
    """What can change of a project."""

    description: Line | None = Field(None, examples=["Health commission"])
    policy: Policy | None = None
    level: Level | None = Field(None, description=_PROJECT_LEVEL, examples=[3])


class LimitIn(In):
    """One limit."""

    kind: Literal["any", "vm", "container", "bare_metal"] = Field("any", description="`any` bounds the sum over all kinds.")
    resource: Resource = Field(examples=["vcpus"])
    amount: Amount | None = Field(description="Null takes the limit away.", examples=[64])


class LimitsIn(In):
    """Limits to set."""

    limits: list[LimitIn] = Field(min_length=1, max_length=50)


class RoleIn(In):
    """A role for a user."""

    user: Reference = Field(examples=["zhang"])
    role: Literal["member", "approver", "operator", "admin", "auditor"] = Field(examples=["member"])


class UserIn(In):
    """A new user."""

    name: Name = Field(examples=["zhang"])
    display_name: Line = Field("", examples=["张工"])


class UserChange(In):
    """What can change of a user."""

    disabled: Flag = Field(examples=[True])


class TokenIn(In):
    """A new token."""

    name: Line = Field(min_length=1, examples=["laptop"])
    expires_in_days: Int = Field(90, ge=1, le=3650)


class FlavorIn(In):
    """A new size."""

    name: Name = Field(examples=["small"])
    kind: Kind = "vm"
    vcpus: Int = Field(ge=1, le=1024, examples=[2])
    memory_mib: Int = Field(ge=1, le=1 << 26, examples=[4096])
    disk_gib: Int = Field(ge=0, le=1 << 20, examples=[40])
    gpus: Int = Field(0, ge=0, le=64)
    gpu_model: Name | None = Field(None, description="GPUs of this model alone, as hosts show it; null: any.", examples=[None])
    gpu_milli: Int = Field(1000, ge=1, le=1000, description="Thousandths of its GPU: 250 is a quarter. Below 1000 for one GPU alone.")
    cpu_baseline: Name | None = Field(
        None,
        description="The CPU that the guest sees, the same on every host that promises it; null: whatever its host has.",
        examples=["x86-64-v2"],
    )
    numa_nodes: Int = Field(
        0, ge=0, le=64, description="In how many NUMA nodes of its host, in equal parts; 1: all in one; 0: wherever.", examples=[1]
    )
    arch: Name | None = Field(None, description="Null: as the image.", examples=["x86_64"])
    traits: list[Trait] = Field([], max_length=32, description="What a host must have.", examples=[["ssd"]])


class ImageIn(In):
    """A new image. Without a URL its content is uploaded afterwards."""

    name: Name = Field(examples=["debian-12"])
    arch: Name = Field(examples=["x86_64"])
    format: Literal["qcow2", "raw"] = Field(examples=["qcow2"])
    os: Line = Field("", examples=["Debian 12"])
    min_disk_gib: Int = Field(0, ge=0, le=1 << 20)
    min_memory_mib: Int = Field(0, ge=0, le=1 << 26)
    sha256: Hex64 | None = Field(None, description="Refuse content with another digest.", examples=["5d" * 32])
    sm3: Hex64 | None = Field(None, description="Refuse content with another digest.", examples=["7e" * 32])
    url: Url | None = Field(None, description="Fetch the content from here.", examples=["https://images.example/debian-12.qcow2"])


class Overcommit(In):
    """How many times its inventory a host may promise."""

    vcpus: Number = Field(4.0, ge=0.1, le=64)
    memory_mib: Number = Field(1.0, ge=0.1, le=16)
    disk_gib: Number = Field(1.0, ge=0.1, le=64)


class Reserved(In):
    """What every host keeps for itself."""

    vcpus: Amount = 0
    memory_mib: Amount = 512
    disk_gib: Amount = 5


class PoolIn(In):
    """A new pool."""

    name: Name = Field(examples=["general"])
    zone: Name = Field(examples=["wuhan-a"])
    site: Line = Field("", examples=["武汉"])
    spare_hosts: Spare = Field(0, examples=[1])
    level: Level = Field(0, description="The protection level (等保定级) up to which systems may be here.", examples=[3])
    fill_order: Order = Field(0, examples=[10])
    licences: Licences = Field([], examples=[["oracle"]])
    may_wake: Wakes = False
    overcommit: Overcommit = Overcommit()
    reserved: Reserved = Reserved()
    wipe: Wipe = Field("", examples=["discard overwrite"])
    hypervisor_options: HypervisorOptions = Field({}, examples=[{"virt_type": "kvm"}])
    hypervisor_bridge: Bridge = Field("", examples=["br0"])


class PoolChange(In):
    """What can change of a pool."""

    zone: Name | None = Field(None, examples=["wuhan-a"])
    site: Line | None = Field(None, examples=["武汉"])
    level: Level | None = Field(None, examples=[3])
    spare_hosts: Spare | None = Field(None, examples=[1])
    fill_order: Order | None = Field(None, examples=[10])
    licences: Licences | None = Field(None, examples=[["oracle"]])
    may_wake: Wakes | None = Field(None, examples=[True])
    overcommit: Overcommit | None = None
    reserved: Reserved | None = None
    wipe: Wipe | None = Field(None, examples=["discard overwrite"])
    hypervisor_options: HypervisorOptions | None = Field(None, examples=[{"virt_type": "kvm"}])
    hypervisor_bridge: Bridge | None = Field(None, examples=["br0"])


class HostChange(In):
    """What an operator says of a host."""

    rack: Line = Field("", description="Where groups may be kept together or apart.", examples=["A-07"])
    dedicated_to: Reference | None = Field(
        None, description="Path or id of the project that alone may use it; null: everybody.", examples=["hubei/health"]
    )
    power: HostPower = Field("unknown", description="Whether it is on, where its driver can't say. Nothing is switched.", examples=["off"])
    idle_watts: Watts | None = Field(None, description="What it draws with nothing on it.", examples=[180])


class MachinePower(In):
    """Whether a machine is to be on."""

    power: Literal["on", "off"] = Field(description="`off` cuts its power, without asking what runs on it.", examples=["off"])


class WriteOff(In):
    """Why a machine is given up with its disks uncleared."""

    reason: Line = Field(min_length=1, examples=["burnt on 3 March; its disks went to the shredder"])


_CREDENTIALS = "What the driver proves itself by, such as a kubeconfig; kept sealed, and shown to nobody again."


class EndpointIn(In):
    """Something a driver connects to."""

    name: Name = Field(examples=["kvm-01"])
    driver: Name = Field(examples=["libvirt"])
    uri: Reference = Field(examples=["qemu+tls://kvm-01.example/system"])
    pool: Reference = Field(description="The pool that its hosts join.", examples=["general"])
    options: Options = Field({}, description="The driver's own options.", examples=[{"network": "default"}])
    credentials: Credentials | None = Field(None, description=_CREDENTIALS, examples=[None])


class EndpointChange(In):
    """How an endpoint is reached from now on; what is null stays."""

    options: Options | None = Field(None, description="All of them anew.", examples=[{"network": "default"}])
    credentials: Credentials | None = Field(None, description=_CREDENTIALS, examples=[None])


_CERTIFICATE_REQUEST = """\
-----BEGIN CERTIFICATE REQUEST-----
MIHLMHMCAQAwETEPMA0GA1UEAwwGa3ZtLTAxMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEJgZhxgL7T486nOC7hE41N5I2alwF3c3AlUK/cqr2UjC+I5FrZ8fkGwcv
DT+yWzpRBAgY9zA6BZU4qQDJzY405KAAMAoGCCqGSM49BAMCA0gAMEUCIFDTryuN
irWpe5Gs8s4smGYEkrYgQFGH2DXe2knShOQiAiEA4gkCzZ8GA+iFmoju7BbPngXq
IzB2Z9vPVhtmUqSmI4Q=
-----END CERTIFICATE REQUEST-----
"""  # for the key of nobody


class HypervisorIn(In):
    """A hypervisor that wants a certificate."""

    name: Name = Field(examples=["kvm-01"])
    addresses: list[Line] = Field(
        description="The addresses and host names that it is reached by.", min_length=1, max_length=32, examples=[["10.0.0.11", "kvm-01"]]
    )
    request: str = Field(description="PKCS #10 in PEM. Only the key in it counts.", max_length=8192, examples=[_CERTIFICATE_REQUEST])


class SpreadIn(In):
    """How the instances of one item lie to each other."""

    mode: Literal["pack", "spread", "affinity", "anti_affinity"] = Field(examples=["anti_affinity"])
    domain: Literal["host", "rack", "zone", "site"] = "host"
    max_per_domain: Int = Field(1, ge=1, le=1000)


class _Sized(In):
    kind: Kind = "vm"
    name: Prefix | None = Field(None, examples=["web"])
    flavor: Reference = Field(examples=["small"])
    image: Reference | None = Field(None, description="What it boots from; a container names its own.", examples=["debian-12"])
    container: ContainerIn | None = Field(None, description="What it runs, for the kind `container` alone.", examples=[None])
    pool: Reference | None = Field(None, description="Only there.", examples=["general"])
    zone: Reference | None = Field(None, description="Only there.", examples=["wuhan-a"])
    site: Reference | None = Field(None, description="Only there.", examples=["武汉"])
    spread: SpreadIn | None = None
    user_data: UserData = Field("", description="cloud-init user data, given to the guest as it is.", examples=["#cloud-config"])
    ssh_keys: list[SshKey] = Field([], max_length=16, examples=[["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8u zhang"]])
    preemptible: Flag = Field(
        False, description="Agree that it is deleted, with its disk, when a request of a higher class needs its place and may take it."
    )
    hypervisor: Reference | None = Field(
        None,
        description="For operators, of the kind `bare_metal`: once its system is up it is made a hypervisor and joins this pool.",
        examples=[None],
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "container" and (self.container is None or self.image or self.user_data or self.ssh_keys):
            raise PydanticCustomError("a_container", "a container needs `container`, and no image, user_data or ssh_keys")
        if self.kind != "container" and (self.image is None or self.container is not None):
            raise PydanticCustomError("no_container", "needs an image, and no `container` unless its kind is container")
        if self.kind != "bare_metal" and self.hypervisor is not None:
            raise PydanticCustomError("no_hypervisor", "only a machine of the kind bare_metal can be made a hypervisor")
        return self


class ItemIn(_Sized):
    """One line of a request: `count` instances; their names are numbered from `name`."""

    count: Int = Field(1, ge=1, le=200)


class _Ranked(In):
    priority: Priority = Field(
        "normal", description="Its class: who goes first, and who may be preempted. Bounded by the project's policy."
    )
    preempt: Flag = Field(
        False,
        description="Where there is no room, take that of preemptible instances of lower classes; for requests that the project's policy"
        " approves at once and lets preempt.",
    )


class _Timed(In):
    term_days: Int | None = Field(None, ge=1, le=36500, description="For how long, from its start.", examples=[365])
    ends: Flag = Field(
        False, description="Its instances are given back, that is deleted, at the end of the term (到期释放).", examples=[False]
    )
    starts_at: Annotated[datetime | None, BeforeValidator(moment)] = Field(
        None, description="When it is to start, at most a year ahead; null: at once. Quota is taken at once.", examples=[None]
    )


class RequestIn(_Ranked, _Timed):
    """An application for computing."""

    project: Reference = Field(examples=["hubei/health"])
    reason: Line = Field("", description="What it is for; approvers read this.", examples=["挂号系统上线"])
    items: list[ItemIn] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _not_too_many(self) -> RequestIn:
        if sum(item.count for item in self.items) > 500:
            raise ValueError("at most 500 instances in one request")
        return self


class InstanceIn(_Sized, _Ranked, _Timed):
    """One instance, decided at once."""

    project: Reference = Field(examples=["hubei/health"])
    reason: Line = ""


class DecisionIn(In):
    """An approval; a reason may be given."""

    reason: Line = Field("", examples=["within this year's budget"])


class RefusalIn(In):
    """A refusal; the reason is what the applicant reads."""

    reason: Line = Field(min_length=1, examples=["please use the shared database"])


class ResizeIn(In):
    """Another size."""

    flavor: Reference = Field(examples=["large"])


class ExtendIn(In):
    """More time."""

    days: Int = Field(ge=1, le=3650, description="By how much the end of its term moves.", examples=[30])


class ExecIn(In):
    """A command in a container. Its first thousand characters are recorded: pass secrets by `stdin`."""

    command: list[Word] = Field(min_length=1, max_length=64, examples=[["cat", "/etc/hostname"]])
    stdin: UserData = Field("", description="What it reads.", examples=[""])
    timeout_s: Int = Field(30, ge=1, le=300, description="It is given up after so long.")


class RebuildIn(In):
    """From another image, or the same."""

    image: Reference | None = Field(None, description="Of a container: a reference to a registry.", examples=["debian-12"])
