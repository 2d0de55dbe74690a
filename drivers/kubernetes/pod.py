"""From a spec to the objects that are its instance: one Pod, a Secret for what is secret, a claim for each volume, one for its GPUs where
a driver of devices has them. Pure.

The pod is bound to its host by us: `spec.nodeName`, so neither scheduler nor binding is called. Where a claim's storage waits for a
consumer, or devices are claimed, it is the cluster's own scheduler that binds, told to take that very node. A stopped instance is the same
pod behind a gate: it holds its name, its claims and its part of the quota, and nothing on a node.

Invariant: `content` is equal for two specs exactly if one pod will do for both.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from drivers.base import CANONICAL_UUID, InstanceSpec, Power
from drivers.container import Container, Probe
from drivers.errors import InvalidSpec
from drivers.kubernetes import names
from drivers.kubernetes.options import Options

Json = dict[str, Any]
MAIN: Final = "main"
GPUS: Final = "gpus"  # what a pod calls its claim for them, and the claim its one request
RESTART: Final[Mapping[str, str]] = {"always": "Always", "on_failure": "OnFailure", "never": "Never"}
OUR_GROUP: Final = 65532  # volumes belong to it, so that any user may write there
STAYS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Taints for which the cluster would take our pods away after a while; that is ours to decide."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a pod depends on beside its spec. `late`: a claim of it is bound only when a pod that uses it is scheduled."""

    owner: str
    options: Options
    late: bool = False


def refuse(spec: InstanceSpec) -> Container:
    """The container of a spec that can be one; raises InvalidSpec."""
    if not CANONICAL_UUID.fullmatch(spec.instance_id):
        raise InvalidSpec(detail=f"{spec.instance_id!r} is not a UUID in canonical form")
    if not names.DNS_LABEL.fullmatch(spec.name):
        raise InvalidSpec(detail=f"{spec.name!r} can't be a pod's name")
    if spec.container is None:
        raise InvalidSpec(detail=f"a {spec.kind} is no container")
    if spec.container.restart not in RESTART:
        raise InvalidSpec(detail=f"restart is {spec.container.restart!r}, not one of {', '.join(RESTART)}")
    if spec.disk_gib <= sum(volume.size_gib for volume in spec.container.volumes):
        raise InvalidSpec(detail="its volumes leave nothing of its disk for the container itself")
    return spec.container


def pod(spec: InstanceSpec, setting: Setting) -> Json:
    """The Pod, whole."""
    container = refuse(spec)
    body = _spec(spec, container, setting)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": spec.name,
            "namespace": names.namespace_of(setting.owner, spec.project_id),
            "labels": labels(spec, setting.owner) | ({names.SERVICE: service(container)} if container.service else {}),
            "annotations": {
                names.OWNER: setting.owner,
                names.PROJECT: spec.project_id,
                names.INSTANCE: spec.instance_id,
                names.NAME: spec.name,
                names.HOST: spec.host,
                names.BUILD: str(spec.build),
                names.CONTENT: content(spec, body),
                names.IMAGE: container.image,
                names.SERVICE: service(container),
                **counters(spec),
            },
        },
        "spec": body,
    }


def labels(spec: InstanceSpec, owner: str) -> Json:
    """What all objects of an instance bear."""
    ours = {names.OWNER: names.label(owner), names.PROJECT: names.label(spec.project_id), names.INSTANCE: spec.instance_id}
    return {**names.MANAGED_BY, **ours}


def service(container: Container) -> str:
    """What a label or an annotation says of its service; empty for none."""
    return names.label(container.service) if container.service else ""


def counters(spec: InstanceSpec) -> Json:
    """What may change without another pod."""
    return {names.GENERATION: str(spec.generation), names.REBOOTS: str(spec.reboots)}


def content(spec: InstanceSpec, body: Json) -> str:
    """What a pod is made of. Secrets are not in it, not even as a digest: they count by their generation (in the Secret's name)."""
    whole = {
        "spec": body,
        "host": spec.host,
        "build": spec.build,
        "reboots": spec.reboots,
        "service": spec.container and spec.container.service,
    }
    return _digest(whole)


def _digest(whole: Json) -> str:
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def secret(spec: InstanceSpec, owner: str, pod_uid: str) -> Json:
    """The Secret with the container's secret environment; it goes when the pod goes."""
    assert spec.container is not None  # noqa: S101  # `refuse` was asked
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.secret_name(spec.name, spec.generation),
            "namespace": names.namespace_of(owner, spec.project_id),
            "labels": labels(spec, owner),
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": spec.name, "uid": pod_uid}],
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in spec.container.secrets},
    }


def claims(spec: InstanceSpec, setting: Setting) -> list[Json]:
    """A claim for each volume."""
    assert spec.container is not None  # noqa: S101  # `refuse` was asked
    storage = {"storageClassName": setting.options.storage_class} if setting.options.storage_class else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": names.claim_name(spec.name, volume.name),
                "namespace": names.namespace_of(setting.owner, spec.project_id),
                "labels": labels(spec, setting.owner),
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{volume.size_gib}Gi"}}, **storage},
        }
        for volume in spec.container.volumes
    ]


def device_claim(spec: InstanceSpec, setting: Setting) -> Json | None:
    """The claim for its GPUs; None where it has none, or the kubelet gives them out. Like a volume's it outlives the pod, for which the
    cluster's scheduler chooses the devices anew each time.
    """
    if not claims_devices(spec, setting.options):
        return None
    request = {"deviceClassName": setting.options.gpu_device_class, "allocationMode": "ExactCount", "count": spec.gpus}
    body = {"devices": {"requests": [{"name": GPUS, "exactly": request}]}}
    name = names.device_claim_name(spec.name)
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": name,
            "namespace": names.namespace_of(setting.owner, spec.project_id),
            "labels": labels(spec, setting.owner),
            "annotations": {
                names.OWNER: setting.owner,
                names.PROJECT: spec.project_id,
                names.INSTANCE: spec.instance_id,
                names.NAME: name,
                names.GENERATION: str(spec.generation),
                names.CONTENT: _digest(body),
            },
        },
        "spec": body,
    }


def claims_devices(spec: InstanceSpec, options: Options) -> bool:
    """Whether its GPUs are claimed as devices."""
    return bool(spec.gpus and options.gpu_device_class)


# -- the pod's spec ----------------------------------------------------------------------------------------------------------------------


def _spec(spec: InstanceSpec, container: Container, setting: Setting) -> Json:
    security: Json = {"seccompProfile": {"type": "RuntimeDefault"}}
    if setting.options.pod_security == "restricted":
        security["runAsNonRoot"] = True
    if setting.options.run_as:
        security["runAsUser"] = int(setting.options.run_as)
    if container.volumes:
        security["fsGroup"] = OUR_GROUP
    devices = claims_devices(spec, setting.options)
    claimed = [{"name": GPUS, "resourceClaimName": names.device_claim_name(spec.name)}]
    return {
        **_where(spec, setting),
        **({"resourceClaims": claimed} if devices else {}),
        "containers": [_container(spec, container, setting.options)],
        "volumes": [
            {"name": volume.name, "persistentVolumeClaim": {"claimName": names.claim_name(spec.name, volume.name)}}
            for volume in container.volumes
        ],
        "restartPolicy": RESTART[container.restart],
        "terminationGracePeriodSeconds": int(setting.options.stop_s),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "tolerations": [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in STAYS],
    }


def _where(spec: InstanceSpec, setting: Setting) -> Json:
    if spec.power is Power.STOPPED:
        return {"schedulerName": names.SCHEDULER, "schedulingGates": [{"name": names.STOPPED_GATE}]}
    if not setting.late and not claims_devices(spec, setting.options):
        return {"schedulerName": names.SCHEDULER, "nodeName": spec.host}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [spec.host]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}


def _container(spec: InstanceSpec, container: Container, options: Options) -> Json:
    sizes = sizes_of(spec, container, options)
    probes = {"livenessProbe": container.liveness, "readinessProbe": container.readiness, "startupProbe": container.startup}
    made: Json = {
        "name": MAIN,
        "image": container.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [_verbatim(word) for word in container.command],
        "args": [_verbatim(word) for word in container.args],
        "env": [{"name": key, "value": _verbatim(value)} for key, value in container.env],
        "ports": [{"name": port.name, "containerPort": port.port, "protocol": port.protocol.upper()} for port in container.ports],
        "volumeMounts": [{"name": volume.name, "mountPath": volume.path} for volume in container.volumes],
        "resources": {"requests": sizes | _shared(spec, container), "limits": sizes},
        "securityContext": _security(options),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **{key: _probe(probe) for key, probe in probes.items() if probe is not None},
    }
    if claims_devices(spec, options):
        made["resources"]["claims"] = [{"name": GPUS}]
    if container.secrets:
        made["envFrom"] = [{"secretRef": {"name": names.secret_name(spec.name, spec.generation)}}]
    return {key: value for key, value in made.items() if value}


def sizes_of(spec: InstanceSpec, container: Container, options: Options) -> Json:
    """What the container gets: all that its flavor has, its volumes' part of the disk aside."""
    root = spec.disk_gib - sum(volume.size_gib for volume in container.volumes)
    sizes = {"cpu": str(spec.vcpus), "memory": f"{spec.memory_mib}Mi", "ephemeral-storage": f"{root}Gi"}
    return sizes | ({options.gpu_resource: str(spec.gpus)} if spec.gpus and not options.gpu_device_class else {})


def _shared(spec: InstanceSpec, container: Container) -> Json:
    """What its node sets aside of the sizes that are promised there more than once: all instances together then fit what the node has."""
    root = spec.disk_gib - sum(volume.size_gib for volume in container.volumes)
    units = {"vcpus": ("cpu", spec.vcpus * 1000, "m"), "memory_mib": ("memory", spec.memory_mib << 10, "Ki")}
    units["disk_gib"] = ("ephemeral-storage", root << 10, "Mi")
    ratios = {size: ratio for size in units if (ratio := spec.overcommit.get(size, 1.0)) > 1}
    return {units[size][0]: f"{int(units[size][1] / ratio)}{units[size][2]}" for size, ratio in ratios.items()}


def _security(options: Options) -> Json:
    if options.pod_security != "restricted":
        return {}
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _verbatim(text: str) -> str:
    """Kubernetes makes `$(NAME)` the value of NAME and `$$` one `$`: neither is what was written."""
    return text.replace("$", "$$")


def _probe(probe: Probe) -> Json:
    if probe.command:
        how: Json = {"exec": {"command": [_verbatim(word) for word in probe.command]}}
    elif probe.http_path is not None:
        how = {"httpGet": {"path": probe.http_path, "port": probe.port}}
    else:
        how = {"tcpSocket": {"port": probe.port}}
    times = {"initialDelaySeconds": probe.delay_s, "periodSeconds": probe.period_s, "timeoutSeconds": probe.timeout_s}
    return {**how, **times, "failureThreshold": probe.failures}
