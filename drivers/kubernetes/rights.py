"""What the driver may do in a cluster: one table, of which the manifest for the cluster's people is made and by which `prepare` asks
whether it holds. Pure.

Nothing here lets it read a Secret, run in another's namespace by choice, or change a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import yaml

from drivers.kubernetes.options import Options, parse

Right = tuple[str, str, tuple[str, ...]]
RIGHTS: Final[tuple[Right, ...]] = (
    ("", "nodes", ("list", "watch")),
    ("", "namespaces", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "pods", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "pods/eviction", ("create",)),
    ("", "pods/log", ("get",)),
    ("", "pods/exec", ("create", "get")),
    ("", "secrets", ("create", "update")),
    ("", "services", ("list", "watch", "create", "patch", "delete")),
    ("", "resourcequotas", ("list", "watch", "create", "patch")),
    ("", "limitranges", ("list", "watch", "create", "patch")),
    ("", "persistentvolumeclaims", ("list", "watch", "create", "delete")),
    ("networking.k8s.io", "networkpolicies", ("list", "watch", "create", "patch")),
    ("storage.k8s.io", "storageclasses", ("list",)),
)
"""API group, resource, verbs."""
DEVICES: Final[tuple[Right, ...]] = (
    ("resource.k8s.io", "resourceslices", ("list", "watch")),
    ("resource.k8s.io", "deviceclasses", ("list", "watch")),
    ("resource.k8s.io", "resourceclaims", ("list", "watch", "create", "delete")),
)
"""The same where GPUs are claimed as devices, and nowhere else."""

ACCOUNT: Final = "chutian"
NAMESPACE: Final = "chutian-system"


def needed(options: Options) -> tuple[Right, ...]:
    """Those that an endpoint with these options can't do without."""
    return (*RIGHTS, *(DEVICES if options.gpu_device_class else ()))


def reviews(rights: Iterable[Right]) -> list[dict[str, str]]:
    """One question for each verb: the attributes of a SelfSubjectAccessReview."""
    found = []
    for group, resource, verbs in rights:
        plain, _, sub = resource.partition("/")
        found += [{"group": group, "resource": plain, "subresource": sub, "verb": verb} for verb in verbs]
    return found


def missing(allowed: Callable[[Mapping[str, str]], bool], rights: Iterable[Right]) -> list[str]:
    """Those that we lack, one text for each resource."""
    lacking: dict[str, list[str]] = {}
    for one in reviews(rights):
        if not allowed(one):
            name = "/".join(part for part in (one["resource"], one["subresource"]) if part)
            lacking.setdefault(f"{name} ({one['group']})" if one["group"] else name, []).append(one["verb"])
    return [f"{', '.join(verbs)} {resource}" for resource, verbs in lacking.items()]


def rbac_manifest(given: Mapping[str, str]) -> str:
    """YAML for `kubectl apply`: an account with the rights that an endpoint with these options needs and no others, and a token for it that
    lasts until its Secret is deleted. Raises InvalidSpec for options that can't be.
    """
    account = {"name": ACCOUNT, "namespace": NAMESPACE}
    documents: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**account, "name": f"{ACCOUNT}-token", "annotations": {"kubernetes.io/service-account.name": ACCOUNT}},
            "type": "kubernetes.io/service-account-token",
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": ACCOUNT},
            "rules": [
                {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)} for group, resource, verbs in needed(parse(given))
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)
