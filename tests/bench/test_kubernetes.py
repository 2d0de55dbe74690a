"""The pure parts of the benchmark on a cluster: what is read from the API server's metrics, and what a table makes of rounds."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.kubernetes.__main__ import compared
from bench.kubernetes.cluster import Spent, counted, node_name
from bench.kubernetes.first_look import listed
from bench.kubernetes.round import Round, median, parts

METRICS = """\
# HELP apiserver_request_total [STABLE] Counter of apiserver requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 40
apiserver_request_total{code="403",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 2
apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="binding",verb="POST",version="v1"} 7
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="",scope="",subresource="/readyz",verb="GET",version=""} 900
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="nodes",scope="cluster",subresource="",verb="LIST",version="v1"} 1e+03
apiserver_request_terminations_total{resource="pods",verb="POST"} 5
"""  # noqa: E501 - as the server writes it


def round_of(count: int, took_s: float, nodes: int, **spent: float) -> Round:
    placed = Counter({node_name(number): count // nodes for number in range(nodes)})
    return Round(count, took_s, Spent(spent), Counter({("POST", "pods"): count + 4}), placed)


def test_requests_are_summed_up_by_what_they_were_for() -> None:
    found = counted(METRICS)
    assert found == {("POST", "pods"): 42, ("POST", "pods/binding"): 7, ("LIST", "nodes"): 1000}
    assert listed(found) == 1000


def test_what_was_spent_between_two_readings_counts_from_nothing_where_a_part_began_later() -> None:
    spent = Spent({"etcd": 5.0, "kube-scheduler": 2.0}).since(Spent({"etcd": 4.0}))
    assert spent.by == {"etcd": 1.0, "kube-scheduler": 2.0}
    assert spent.total == 3.0


def test_both_sides_are_compared_by_their_medians() -> None:
    mine = [round_of(40, took_s, 4, controller=0.08, etcd=0.04) for took_s in (1.0, 2.0, 40.0)]
    theirs = [round_of(40, 4.0, 40, etcd=0.1, scheduler=0.3)]
    rows = {row.key: row for row in compared(mine, theirs, theirs)}
    assert rows["ratio_to_default"].value == 2.0
    assert rows["cpu_ratio_to_default"].value == pytest.approx(0.3)
    assert rows["requests_per_container"].value == pytest.approx(1.1)
    assert rows["nodes_ratio_to_default"].value == pytest.approx(0.1)
    assert all(row.met() is not False for row in rows.values())
    assert parts(mine) == {"controller": pytest.approx(2.0), "etcd": pytest.approx(1.0)}
    assert median(mine, lambda one: one.took_s) == 2.0


@pytest.mark.parametrize("placed", [{"a": 3}, {"a": 3, "": 1}])
def test_a_round_that_left_something_out_is_no_round(placed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="of 4 pods"):
        Round(4, 1.0, Spent({}), Counter(), Counter(placed))
