"""What an endpoint's options may say: a mapping of strings in, one frozen value out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.errors import InvalidSpec
from drivers.kubernetes.names import DNS_NAME
from drivers.options import read

LEVELS: Final = ("restricted", "baseline", "privileged")
EGRESS: Final = ("project", "any")


@dataclass(frozen=True, slots=True)
class Options:
    """One endpoint's settings."""

    credentials: str = field(default="", repr=False)  # a kubeconfig's text, all in it inline; kept sealed, never shown again
    pod_security: str = "restricted"  # the Pod Security level of projects' namespaces; else `baseline` or `privileged`
    run_as: str = ""  # the number of the user that containers run as; empty: the image's own, which `restricted` lets not be root
    egress: str = "project"  # where containers may connect to: inside their project and DNS; `any`: everywhere
    gpu_resource: str = "nvidia.com/gpu"  # what a GPU is called on these nodes
    gpu_device_class: str = ""  # where a DRA driver publishes GPUs instead: their DeviceClass; set it before any is given out
    storage_class: str = ""  # of volumes; empty: the cluster's default
    stop_s: str = "30"  # seconds that a container has between being asked to end and being killed
    retry_s: str = "1800"  # seconds for which what a node takes away again and again is made anew before it is given up
    timeout_s: str = "10"  # seconds for one call
    stale_s: str = "10"  # seconds for which what was seen last counts while the API server is silent

    @property
    def call_s(self) -> float:
        """`timeout_s` as a number."""
        return float(self.timeout_s)


def parse(given: Mapping[str, str]) -> Options:
    """Raises InvalidSpec for an unknown option or a value that can't be; the text of `credentials` is never quoted."""
    options = read(Options, given)
    for name, allowed in (("pod_security", LEVELS), ("egress", EGRESS)):
        if getattr(options, name) not in allowed:
            raise InvalidSpec(detail=f"{name} is {getattr(options, name)!r}, not one of {', '.join(allowed)}")
    for name in ("stop_s", "retry_s", "timeout_s", "stale_s"):
        if not getattr(options, name).isdecimal() or not 1 <= int(getattr(options, name)) <= 3600:
            raise InvalidSpec(detail=f"{name} is {getattr(options, name)!r}, not a whole number of seconds from 1 to 3600")
    if options.gpu_device_class and not DNS_NAME.fullmatch(options.gpu_device_class):
        raise InvalidSpec(detail=f"gpu_device_class is {options.gpu_device_class!r}, which can't be the name of a DeviceClass")
    if options.run_as and not (options.run_as.isdecimal() and int(options.run_as) < 1 << 31):
        raise InvalidSpec(detail=f"run_as is {options.run_as!r}, not the number of a user")
    if options.run_as == "0" and options.pod_security == "restricted":
        raise InvalidSpec(detail="run_as is root, which pod_security=restricted does not allow")
    return options
