"""Pools, endpoints and hosts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from controller.api.answers.base import AT, Identified, Out, ReasonOut


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
    wipe: str = Field(
        description="How disks of its bare machines are cleared; empty: as their drivers do it.", examples=["discard overwrite"]
    )
    hypervisor_options: dict[str, str] = Field(
        description="Options of the endpoints that machines become which are made its hypervisors.", examples=[{"network": "br0"}]
    )
    hypervisor_bridge: str = Field(description="The bridge that those get over their own NIC; empty: none.", examples=["br0"])


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


class TrustOut(Out):
    """By what hypervisors and the controller know each other."""

    authorities: str = Field(description="Whom both sides trust, PEM.", examples=["-----BEGIN CERTIFICATE-----"])
    controller: str = Field(description="Who alone may connect, as libvirtd's `tls_allowed_dn_list` has it.", examples=["CN=controller"])


class HypervisorCertificateOut(Out):
    """A hypervisor's certificate."""

    certificate: str = Field(description="PEM.", examples=["-----BEGIN CERTIFICATE-----"])
    ends: datetime = Field(examples=[AT])


class NodeOut(Out):
    """A NUMA node of a host: what it may promise, and has promised to instances that ask for their place in nodes."""

    number: int = Field(examples=[0])
    cpus: list[int] = Field(examples=[[0, 1, 2, 3]])
    memory_mib: int = Field(examples=[131072])
    there: bool = Field(description="Whether it was found when the host was looked at last.")
    capacity: dict[str, int] = Field(examples=[{"vcpus": 128, "memory_mib": 130816}])
    used: dict[str, int] = Field(examples=[{"vcpus": 8, "memory_mib": 16384}])


class GpuOut(Out):
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
    power_wanted: Literal["on", "off"] | None = Field(
        description="What it, or the machine that it is on, is being switched to by its BMC; null: nothing, or done.", examples=[None]
    )
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


class RightsOut(Out):
    """What a backend's own people apply there."""

    manifest: str = Field(description="For Kubernetes: YAML for `kubectl apply`.", examples=["apiVersion: v1\nkind: Namespace\n…"])
