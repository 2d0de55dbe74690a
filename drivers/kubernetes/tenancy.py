"""A project's surroundings in a cluster, as objects: namespace, network policy, limit range, quota, services. Pure.

The quota is what was placed of the project, in all, so that something created behind our back can't eat what others were promised.

How strict Pod Security is, is the endpoint's to say: the API server enforces one level for a namespace, a project has one namespace in a
cluster, and all nodes of a cluster are in one pool. So each endpoint says it for its part of a pool. Rejected: a level of the pool as well,
which could only repeat or contradict this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drivers.container import Port, Tenant
from drivers.kubernetes import devices, names
from drivers.kubernetes.options import Options
from drivers.kubernetes.quantity import quantity
from drivers.kubernetes.records import Thing

Json = dict[str, Any]
OURS: Final = "chutian"  # the name of what there is one of in each namespace
GROUPS: Final[Mapping[str, tuple[str, str]]] = {
    "Namespace": ("v1", "namespaces"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "LimitRange": ("v1", "limitranges"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Service": ("v1", "services"),
}
"""API version and resource of each kind."""
PODS: Final = "pods"
CLAIMS: Final = "count/resourceclaims.resource.k8s.io"
RECOUNT: Final = "count/recounts.chutian.io"
RECOUNT_S: Final = 5
SMALL: Final = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
"""What a container gets that asks for nothing: none of ours does."""


def path(kind: str, namespace: str, name: str) -> str:
    """Where one object is."""
    version, resource = GROUPS[kind]
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    return f"{root}/{resource}/{name}" if kind == "Namespace" else f"{root}/namespaces/{namespace}/{resource}/{name}"


def surroundings(tenant: Tenant, owner: str, options: Options) -> list[Json]:
    """All objects of one project but its instances', the namespace first."""
    namespace = names.namespace_of(owner, tenant.project_id)
    labels = labels_of(tenant.project_id, owner)
    made = [
        _object("LimitRange", namespace, OURS, labels, {"limits": [{"type": "Container", "default": SMALL, "defaultRequest": SMALL}]}),
        _object("NetworkPolicy", namespace, OURS, labels, _isolation(options)),
        _object("ResourceQuota", namespace, OURS, labels, {"hard": quota(tenant, options)}),
        *(_object("Service", namespace, name, labels, _service(name, ports)) for name, ports in sorted(tenant.services.items())),
    ]
    return [_namespace(tenant, namespace, labels, owner, options), *made]


def labels_of(project_id: str, owner: str) -> Json:
    """What all objects of a project bear."""
    return {**names.MANAGED_BY, names.OWNER: names.label(owner), names.PROJECT: names.label(project_id)}


def quota(tenant: Tenant, options: Options) -> Json:
    """The project's share; nothing that reaches outside the cluster by a port of its nodes or a balancer."""
    sums = {"cpu": str(tenant.vcpus), "memory": f"{tenant.memory_mib}Mi", "ephemeral-storage": f"{tenant.disk_gib}Gi"}
    return {
        **({name: str(tenant.gpus) for name in device_amounts(options)}),
        "pods": str(tenant.instances),
        **{f"{of}.{name}": amount for of in ("requests", "limits") for name, amount in sums.items()},
        "requests.storage": f"{tenant.disk_gib}Gi",
        f"requests.{options.gpu_resource}": str(tenant.gpus),
        "services.nodeports": "0",
        "services.loadbalancers": "0",
    }


def device_amounts(options: Options) -> tuple[str, ...]:
    """What of a quota bounds devices. A claim of ours has one at least, so there are never more claims than GPUs: that keeps out most of
    what others would claim by another class. Where the class is also an extended resource, its devices count as that, too.
    """
    return (devices.quota_name(options.gpu_device_class), CLAIMS) if options.gpu_device_class else ()


def nothing(project_id: str, owner: str) -> Json:
    """The quota of a project that is to go: no pod can be made any more."""
    namespace = names.namespace_of(owner, project_id)
    return _object("ResourceQuota", namespace, OURS, labels_of(project_id, owner), {"hard": {"pods": "0"}})


def in_force(quota: Thing | None) -> bool:
    """Whether what the cluster enforces is nowhere more than what was written last: until its controller has looked, it lets anything in.

    Less is no reason to wait: then the server itself refuses what is beyond.
    """
    if quota is None:
        return False
    enforced = quota.status.get("hard") or {}
    written: Mapping[str, str] = quota.body["spec"].get("hard") or {}
    return bool(written) and all(name in enforced and quantity(enforced[name]) <= quantity(most) for name, most in written.items())


def full(quota: Thing | None) -> bool:
    """Whether the server, as far as it has told, would refuse one more pod: asking it would cost as much as making one."""
    status = {} if quota is None else quota.status
    used, enforced = ((status.get(part) or {}).get("pods") for part in ("used", "hard"))
    return used is not None and enforced is not None and quantity(used) >= quantity(enforced)


def overcounts(quota: Thing | None, there: Mapping[str, int]) -> bool:
    """Whether the cluster counts more of something (PODS, CLAIMS) than is there. An API server that is killed between counting one and
    keeping it leaves it so until the quota is looked at as a whole, which happens by itself every few minutes only.
    """
    used: Mapping[str, str] = {} if quota is None else quota.status.get("used") or {}
    return any(name in used and quantity(used[name]) > amount for name, amount in there.items())


def recounted(wanted: Json, now_s: float) -> Json:
    """The quota with an amount of nothing beside the others: a change of any makes the cluster count anew. The same for some seconds."""
    hard = {**wanted["spec"]["hard"], RECOUNT: str(int(now_s) // RECOUNT_S)}
    return {**wanted, "spec": {**wanted["spec"], "hard": hard}}


def marked(namespace: Thing) -> Json:
    """The namespace with the mark of one that is to go, if it still is as it was seen."""
    notes = {key: value for key, value in namespace.annotations.items() if key.startswith(names.PREFIX)}
    metadata = {
        "name": namespace.name,
        "resourceVersion": str(namespace.version),
        "labels": dict(namespace.labels),
        "annotations": {**notes, names.EMPTYING: str(namespace.version)},
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def holds(seen: Thing | None, wanted: Json) -> bool:
    """Whether an object is as it should be: it has at least what is wanted; the server's defaults may stand beside it."""
    if seen is None or seen.deleting or names.EMPTYING in seen.annotations:
        return False
    metadata = wanted["metadata"]
    if not covers(seen.labels, metadata["labels"]) or not covers(seen.annotations, metadata.get("annotations", {})):
        return False
    return covers(seen.body["spec"], wanted.get("spec", {}))


def covers(seen: Any, wanted: Any) -> bool:
    """`wanted` is part of `seen`, quantities being compared as such. A quota has no amounts beside those wanted."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(name in seen and covers(seen[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(seen, list) and len(seen) == len(wanted) and all(covers(*pair) for pair in zip(seen, wanted, strict=True))
    return bool(seen == wanted) or _equal(seen, wanted)


def _equal(seen: object, wanted: object) -> bool:
    try:
        return isinstance(seen, str) and isinstance(wanted, str) and quantity(seen) == quantity(wanted)
    except ValueError:
        return False


def _object(kind: str, namespace: str, name: str, labels: Json, spec: Json) -> Json:
    return {
        "apiVersion": GROUPS[kind][0],
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def _namespace(tenant: Tenant, name: str, labels: Json, owner: str, options: Options) -> Json:
    level = {"pod-security.kubernetes.io/enforce": options.pod_security}
    notes = {names.OWNER: owner, names.PROJECT: tenant.project_id, names.PATH: tenant.project}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**labels, **level}, "annotations": notes}}


def _isolation(options: Options) -> Json:
    """Nobody from outside the project comes in; out of it only to where names are resolved, or as the endpoint says."""
    inside: Json = {"podSelector": {}}
    policy: Json = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [inside]}]}
    if options.egress == "project":
        names_asked = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
        policy |= {"policyTypes": ["Ingress", "Egress"], "egress": [{"to": [inside]}, names_asked]}
    return policy


def _service(name: str, ports: tuple[Port, ...]) -> Json:
    spec: Json = {"selector": {names.SERVICE: names.label(name)}}
    if not ports:
        return {**spec, "clusterIP": "None"}
    return {**spec, "ports": [{"name": port.name, "port": port.port, "protocol": port.protocol.upper()} for port in ports]}
