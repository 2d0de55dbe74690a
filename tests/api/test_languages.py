"""The same API in two languages, by Accept-Language."""

from __future__ import annotations

import re

from tests.api.outside import Cloud, Department

_HAN = re.compile(r"[\u4e00-\u9fff]")


def test_whoever_prefers_chinese_reads_chinese(cloud: Cloud, free_department: Department) -> None:
    member, path = free_department.member, free_department.path
    id_ = member.ask("POST /v1/instances", {"project": path, "flavor": "tiny", "image": "debian", "name": "zh"})["id"]
    member.settled(id_, "active")
    for preference in ("zh", "zh-CN", "zh-CN,zh;q=0.9,en;q=0.8", "ZH-hans"):
        said = {"Accept-Language": preference}
        assert member.ask(f"GET /v1/instances/{id_}/explain", None, said)["text"] == "zh 已运行。"
        assert member.refused(404, "not_found", "GET /v1/instances/x", None, said)["message"] == "没有实例“x”。"
        assert _HAN.search(cloud.nobody.refused(401, "unauthenticated", "GET /v1/whoami", None, said)["message"])
        assert _HAN.search(member.refused(404, "not_found", "GET /nowhere", None, said)["message"])
        assert _HAN.search(member.call("PUT /healthz", None, said).json()["error"]["message"])
        assert _HAN.search(member.call("POST /v1/requests", b"x" * 2_000_000, said).json()["error"]["message"])
        assert _HAN.search(member.refused(403, "forbidden", "GET /v1/hosts", None, said)["message"])
        assert _HAN.search(member.refused(400, "invalid_request", "GET /v1/hosts", None, said, limit=0)["message"])
        (told,) = [one for one in member.ask("GET /v1/events", None, said, object=id_)["items"] if one["kind"] == "instance.active"]
        assert told["text"] == "zh 已运行。"
    told = cloud.admin.refused(
        400, "invalid_request", "POST /v1/flavors", {"vcpus": 0, "memory_mib": "x", "bogus": 1}, {"Accept-Language": "zh"}
    )
    assert {one["where"]: one["what"] for one in told["details"]["errors"]} == {
        "body.name": "必填",
        "body.vcpus": "不能小于 1",
        "body.memory_mib": "应为整数",
        "body.disk_gib": "必填",
        "body.bogus": "没有此字段",
    }
    wish = {"project": path, "flavor": "tiny", "image": "debian", "pool": "nowhere"}
    assert "没有资源池" in member.refused(400, "unknown_pool", "POST /v1/instances", wish, {"Accept-Language": "zh"})["message"]


def test_everybody_else_reads_english(cloud: Cloud, department: Department) -> None:
    for preference in ("", "en", "de", "en,zh", "*", "english-zh", "zz" * 1000):
        answer = department.member.call("GET /v1/hosts", headers={"Accept-Language": preference})
        assert answer.status_code == 403
        assert not _HAN.search(answer.text)
