"""GPUs that a DRA driver publishes: which of them a class chooses, how many are left on each node, and what a claim of ours asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import Configuration

from drivers.base import Condition, Health, Power
from drivers.kubernetes import conditions, devices, names, records, rights, tenancy
from drivers.kubernetes import pod as making
from drivers.kubernetes.access import Access
from drivers.kubernetes.api import Api
from drivers.kubernetes.devices import Counted
from drivers.kubernetes.gpus import Gpus
from drivers.kubernetes.options import Options
from drivers.kubernetes.rights import reviews
from tests.drivers.kubernetes.backend import tenant
from tests.drivers.kubernetes.objects import OWNER, spec_of

DRIVER = "gpu.example.com"
CLASS = Options(gpu_device_class=DRIVER)
CLAIMED = making.Setting(OWNER, CLASS)
META = {"uid": "u", "resourceVersion": "3"}
NVIDIA = "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'"


def device(name: str, taint: str = "", **attributes: Any) -> dict[str, Any]:
    kinds = {str: "string", bool: "bool", int: "int"}
    given_ = {key.replace("__", "/"): {kinds[type(value)]: value} for key, value in attributes.items()}
    return {"name": name, "attributes": given_, **({"taints": [{"key": "broken", "effect": taint}]} if taint else {})}


def slice_of(*found: dict[str, Any], node: str = "node-1", pool: str = "", generation: int = 1, driver: str = DRIVER) -> devices.Slice:
    where = {"nodeName": node} if node else {"allNodes": True}
    spec = {"driver": driver, "pool": {"name": pool or node, "generation": generation, "resourceSliceCount": 1}, "devices": list(found)}
    return devices.slice_({"metadata": {"name": "s", **META}, "spec": {**spec, **where}}, "")


# -- choosing ----------------------------------------------------------------------------------------------------------------------------

READ: dict[str, Any] = {
    f'device.driver == "{DRIVER}"': (("device.driver", DRIVER),),
    NVIDIA: (("device.driver", "gpu.nvidia.com"), ("gpu.nvidia.com/type", "gpu")),
    'device.attributes["a.b"].whole == true\n  && device.attributes["a.b"].lanes==16': (("a.b/whole", True), ("a.b/lanes", 16)),
    "true": None,
    "": None,
    "device.driver != 'x'": None,
    "device.driver == 'x' || device.driver == 'y'": None,
    "device.driver == 'x && y'": None,
    "device.driver == 'x' && ": None,
    "device.capacity['a.b'].memory.compareTo(quantity('40Gi')) >= 0": None,
    "device.attributes['a.b'].type in ['gpu']": None,
    "device.attributes['a.b'].type == 'g\\'u'": None,
}


@pytest.mark.parametrize(("expression", "wants"), READ.items(), ids=[str(number) for number in range(len(READ))])
def test_of_cel_only_plain_equality_is_understood(expression: str, wants: Any) -> None:
    assert devices.understood(expression) == wants


def test_a_class_wants_all_that_its_selectors_say_and_one_that_is_not_understood_spoils_it() -> None:
    def class_of(*said: str) -> devices.DeviceClass:
        chosen_by = [{"cel": {"expression": one}} for one in said]
        return devices.device_class({"metadata": {"name": "c", **META}, "spec": {"selectors": chosen_by}}, "")

    assert class_of().wants == ()
    assert class_of(f"device.driver == '{DRIVER}'", "device.attributes['x.y'].on == true").wants == (
        ("device.driver", DRIVER),
        ("x.y/on", True),
    )
    assert class_of(f"device.driver == '{DRIVER}'", "true").wants is None


@pytest.mark.parametrize(
    ("wants", "is_chosen"),
    [
        ((), True),
        ((("device.driver", DRIVER),), True),
        ((("device.driver", "other"),), False),
        (((f"{DRIVER}/type", "gpu"),), True),
        ((("elsewhere.org/slot", 1),), True),
        ((("elsewhere.org/slot", True),), False),
        (((f"{DRIVER}/absent", "x"),), False),
        ((("device.driver", DRIVER), (f"{DRIVER}/type", "mig")), False),
    ],
)
def test_a_device_is_chosen_if_all_holds_and_attributes_without_domain_are_its_drivers(wants: Any, is_chosen: bool) -> None:
    (found,) = slice_of(device("gpu-0", type="gpu", elsewhere_org__slot=1)).devices
    found = replace(found, attributes={name.replace("elsewhere_org", "elsewhere.org"): value for name, value in found.attributes.items()})
    assert devices.chosen(found, DRIVER, wants) is is_chosen


# -- counting ----------------------------------------------------------------------------------------------------------------------------

ANY = (("device.driver", DRIVER),)


def count(*slices: devices.Slice, taken: set[devices.Place] | None = None) -> dict[str, Counted]:
    return devices.counted(slices, ANY, taken or set())


def test_a_node_has_the_devices_of_its_pools_less_what_others_hold() -> None:
    there = [slice_of(device("gpu-0"), device("gpu-1")), slice_of(device("gpu-0"), node="node-2"), slice_of(device("x"), driver="nic.com")]
    assert {node: one.free for node, one in count(*there).items()} == {"node-1": 2, "node-2": 1}
    held = {(DRIVER, "node-1", "gpu-0"), ("nic.com", "node-1", "x"), (DRIVER, "node-9", "gpu-1")}
    assert {node: one.free for node, one in count(*there, taken=held).items()} == {"node-1": 1, "node-2": 1}


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    old, new = slice_of(device("gpu-0"), device("gpu-1")), slice_of(device("gpu-0"), generation=2)
    assert count(old, new)["node-1"].free == count(new, old)["node-1"].free == 1


def test_what_is_tainted_or_no_nodes_own_is_no_gpu_of_it() -> None:
    assert count(slice_of(device("a", taint="NoSchedule"), device("b", taint="NoExecute"), device("c", taint="None")))["node-1"].free == 1
    assert count(slice_of(device("a"), node="", pool="fabric")) == {}
    own = {**device("a"), "nodeName": "node-7"}
    assert count(slice_of(own, device("b"), node="", pool="fabric"))["node-7"].free == 1


@pytest.mark.parametrize(
    ("models", "one"),
    [
        (["NVIDIA A100-SXM4-40GB"] * 2, "nvidia-a100-sxm4-40gb"),
        (["A", "B", "A"], ""),
        (["A", ""], ""),
        (["", ""], ""),
        (["华为"], ""),
    ],
)
def test_a_node_has_a_model_where_all_its_gpus_are_of_it_whoever_holds_them(models: list[str], one: str) -> None:
    there = slice_of(*(device(f"gpu-{number}", **({"productName": model} if model else {})) for number, model in enumerate(models)))
    assert count(there)["node-1"] == Counted(len(models), one)
    assert count(there, taken={(DRIVER, "node-1", "gpu-0")})["node-1"] == Counted(len(models) - 1, one)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["node-1", "node-2"]), st.integers(0, 2)), max_size=8))
def test_no_device_counts_twice_and_none_is_counted_that_is_held(made: list[tuple[str, str, int]]) -> None:
    """Each slice: its pool's name, its node, its generation; with one device that bears its place in the list."""
    there = [slice_of(device(f"d{number}"), node=node, pool=pool, generation=at) for number, (pool, node, at) in enumerate(made)]
    newest = {pool: max(at for name, _, at in made if name == pool) for pool, _, _ in made}
    real = [(DRIVER, pool, f"d{number}") for number, (pool, _, at) in enumerate(made) if at == newest[pool]]
    assert sum(one.free for one in count(*there).values()) == len(real)
    assert sum(one.free for one in count(*there, taken=set(real)).values()) == 0


# -- claiming ----------------------------------------------------------------------------------------------------------------------------


def test_gpus_of_a_device_class_are_claimed_and_the_clusters_scheduler_gives_them_on_our_node() -> None:
    spec = spec_of(gpus=2)
    body, claim = making.pod(spec, CLAIMED)["spec"], making.device_claim(spec, CLAIMED)
    assert claim is not None
    (request,) = claim["spec"]["devices"]["requests"]
    assert request["exactly"] == {"deviceClassName": DRIVER, "allocationMode": "ExactCount", "count": 2}
    assert body["resourceClaims"] == [{"name": request["name"], "resourceClaimName": claim["metadata"]["name"]}]
    resources = body["containers"][0]["resources"]
    assert resources["claims"] == [{"name": request["name"]}]
    assert not {"nvidia.com/gpu", DRIVER} & {*resources["limits"], *resources["requests"]}
    terms = body["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]
    assert not {"nodeName", "schedulerName"} & body.keys()


def test_who_has_no_gpus_or_whose_kubelet_gives_them_out_claims_nothing_and_is_bound_by_us() -> None:
    for spec, setting in ((spec_of(), CLAIMED), (spec_of(gpus=2), making.Setting(OWNER, Options()))):
        assert making.device_claim(spec, setting) is None
        body = making.pod(spec, setting)["spec"]
        assert body["nodeName"] == "node-1"
        assert "resourceClaims" not in body


def test_a_stopped_instance_keeps_its_claim_and_no_node() -> None:
    spec = spec_of(gpus=1, power=Power.STOPPED)
    assert making.device_claim(spec, CLAIMED) is not None
    assert not {"nodeName", "affinity"} & making.pod(spec, CLAIMED)["spec"].keys()


def test_a_claim_bears_a_whole_mark_and_its_content_says_whether_it_will_do() -> None:
    def content_of(**fields: Any) -> str:
        made = making.device_claim(spec_of(**fields), CLAIMED)
        assert made is not None
        seen = devices.device_claim({**made, "metadata": {**made["metadata"], **META}}, OWNER)
        assert seen.mark is not None
        assert seen.mark.instance == spec_of(**fields).instance_id
        assert devices.device_claim({**made, "metadata": {**made["metadata"], **META}}, "another-cloud").mark is None
        return seen.mark.content

    assert content_of(gpus=1) == content_of(gpus=1, generation=5, host="node-2", vcpus=9)
    assert content_of(gpus=1) != content_of(gpus=2)


def test_what_a_claim_was_given_is_read_and_what_an_administrator_only_looks_at_is_not_held() -> None:
    results = [{"request": "r", "driver": DRIVER, "pool": "node-1", "device": f"gpu-{number}"} for number in range(2)]
    results[1]["adminAccess"] = True  # type: ignore[assignment]
    raw = {"metadata": {"name": "c", "namespace": "n", **META}, "spec": {}, "status": {"allocation": {"devices": {"results": results}}}}
    assert devices.device_claim(raw, OWNER).devices == ((DRIVER, "node-1", "gpu-0"),)
    del raw["status"]
    assert devices.device_claim(raw, OWNER).devices == ()


# -- a container and its claim -----------------------------------------------------------------------------------------------------------

WAITS = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: 1 cannot allocate all claims, 2 no"}
GATED = [{"name": names.STOPPED_GATE}]
RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}, "started": True, "ready": True}]}
STATES: dict[str, tuple[Any, str, tuple[Condition, str | None]]] = {
    "waits, and others hold devices": ({}, "there", (Condition.BUSY, "devices_taken")),
    "waits for another reason": ({"message": "1 Insufficient cpu"}, "there", (Condition.BUSY, "unschedulable")),
    "waits, its claim is gone": ({}, "none", (Condition.STOPPED, "device_claim_missing")),
    "waits, its claim is going": ({}, "going", (Condition.STOPPED, "device_claim_missing")),
    "stopped, its claim is gone": ({"gates": GATED}, "none", (Condition.STOPPED, None)),
    "runs": ({"node": "node-1"}, "there", (Condition.RUNNING, None)),
    "runs, its claim is going": ({"node": "node-1"}, "going", (Condition.RUNNING, "device_claim_gone")),
    "runs, its claim is gone": ({"node": "node-1"}, "none", (Condition.RUNNING, "device_claim_gone")),
    "leaves, its claim is going": ({"node": "node-1", "leaves": True}, "going", (Condition.BUSY, None)),
}


@pytest.mark.parametrize(("state", "claim", "expected"), STATES.values(), ids=STATES)
def test_what_is_said_of_a_container_and_its_claim(state: dict[str, Any], claim: str, expected: tuple[Condition, str | None]) -> None:
    spec, woken = spec_of(gpus=1), []
    gpus = Gpus(Api(Access(Configuration(host="https://127.0.0.1:1")), 1.0), OWNER, DRIVER, woken.append)
    made = making.device_claim(spec, CLAIMED)
    assert made is not None
    if claim != "none":
        made["metadata"] |= META | ({"deletionTimestamp": "2026-01-01T12:00:00Z"} if claim == "going" else {})
        gpus.wrote(made)
    raw = making.pod(spec, CLAIMED)
    raw["metadata"] |= META | {"creationTimestamp": "2026-01-01T11:00:00Z"}
    raw["metadata"] |= {"deletionTimestamp": "2026-01-01T12:00:00Z"} if state.get("leaves") else {}
    raw["spec"] |= {"nodeName": state.get("node", ""), "schedulingGates": state.get("gates", [])}
    waits = {**WAITS, "message": state.get("message", WAITS["message"])}
    raw["status"] = RUNNING if "node" in state else {"phase": "Pending", "conditions": [] if "gates" in state else [waits]}
    pod = records.pod(raw, OWNER)
    seen = gpus.observed(conditions.observation(pod, Health.READY, datetime.now(UTC)), pod)
    assert (seen.condition, seen.reason and seen.reason.code) == expected
    assert (seen.generation is None) is (expected[1] == "device_claim_missing"), "only what can be mended at once is not the whole spec"
    assert woken == [], "nobody is woken by what we wrote ourselves"


# -- what is around them ------------------------------------------------------------------------------------------------------------------


def test_a_quota_bounds_devices_and_claims_where_there_are_any() -> None:
    hard = tenancy.quota(tenant(gpus=3), CLASS)
    assert hard[f"{DRIVER}.deviceclass.resource.k8s.io/devices"] == hard["count/resourceclaims.resource.k8s.io"] == "3"
    assert hard["requests.nvidia.com/gpu"] == "3", "a class may be an extended resource, too: its devices count as both"
    assert not [name for name in tenancy.quota(tenant(gpus=3), Options()) if "resource.k8s.io" in name]


def test_rights_on_devices_are_asked_for_only_where_devices_are() -> None:
    groups = [{one["group"] for one in reviews(rights.needed(options))} for options in (Options(), CLASS)]
    assert ["resource.k8s.io" in found for found in groups] == [False, True]
    assert "resource.k8s.io" not in rights.rbac_manifest({})
    assert "resourceslices" in rights.rbac_manifest({"gpu_device_class": DRIVER})


def test_a_claims_name_is_its_instances() -> None:
    assert names.device_claim_name("web-1") == "web-1.gpus"
