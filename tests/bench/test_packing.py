"""The packing benchmark on made-up traces of a few lines."""

import gzip
import json

import pytest

from bench.packing.__main__ import main


def write(path, *lines):
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def measured(tmp_path, *arguments):
    out = tmp_path / "out.json"
    assert main([*arguments, "--json", str(out)]) in (0, 1)
    return json.loads(out.read_text())


def test_whole_gpus_fill_a_cluster_that_they_fit(tmp_path, capsys):
    nodes = write(tmp_path / "nodes.csv", "sn,cpu_milli,memory_mib,gpu,model", *(f"n{k},64000,65536,2,M{k % 2}" for k in range(6)))
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec"
    whole = [f"p{k},1000,1024,1,1000,{'M1' if k % 3 == 0 else ''}" for k in range(20)]
    pods = write(tmp_path / "pods.csv.gz", header, *whole, "c,1000,1024,0,0,")
    found = measured(tmp_path, "openb", "--nodes", nodes, "--pods", pods, "--seeds", "2")
    assert {"ours_at_100", "fgd_at_100", "first_fit_at_100", "best_fit_at_100", "dot_product_at_100"} <= found.keys()
    assert all(80 < found[key] <= 100 for key in found if key.endswith("_100"))
    assert "FGD" in capsys.readouterr().out


def test_a_cluster_too_small_to_be_asked_for_in_percents_is_said(tmp_path, capsys):
    nodes = write(tmp_path / "nodes.csv", "sn,cpu_milli,memory_mib,gpu,model", "n0,64000,65536,1,M")
    pods = write(tmp_path / "pods.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli", "p,1000,1024,1,640")
    assert main(["openb", "--nodes", nodes, "--pods", pods, "--seeds", "1"]) == 2
    assert "100 %" in capsys.readouterr().err


def test_a_pool_never_beats_its_bound_and_no_policy_loses_what_fits_exactly(tmp_path):
    types = write(tmp_path / "types.csv", "id,vmTypeId,machineId,core,memory", "1,0,10,0.5,0.5")
    header = "vmId,tenantId,cores,ram,vmTypeId,starttime,endtime"
    lives = [f"{k},{k % 3},3200.0,1536.0,0,{-1 + k * 0.1:.1f},{'inf' if k % 2 else 1 + k * 0.1}" for k in range(40)]
    requests = write(tmp_path / "part_0.csv.gz", header, *lives)
    found = measured(tmp_path, "azure", "--types", types, "--requests", str(tmp_path / "part_*.csv.gz"))
    assert found == measured(tmp_path, "azure", "--types", types, "--requests", requests)
    assert {"ours_host_hours_ratio", "first_fit_host_hours_ratio", "ours_peak_ratio"} <= found.keys()
    assert all(1 <= value < 2 for value in found.values())


@pytest.fixture
def servers(tmp_path):
    machines = write(tmp_path / "machines.csv", "CPU1,RAM1,CPU2,RAM2", *["8,16,8,16"] * 4)
    racks = write(tmp_path / "racks.csv", "host_id,rack_id", *(f"host-{k},{k // 2}" for k in range(6)))
    return ["topology", "--machines", machines, "--providers", racks]


HEADER = "flavor_vcpus,flavor_ram,numa,strategy,group,domain"


def placed(tmp_path, servers, *lines):
    return measured(tmp_path, *servers, "--requests", write(tmp_path / "sequence.csv", HEADER, *lines))


def test_a_sequence_stops_at_the_first_refusal(tmp_path, servers):
    found = placed(tmp_path, servers, *["16,32,2,,,"] * 3, "9,16,1,,,", "1,1,1,,,")
    assert found == {"best_fit_placed": 3, "first_fit_placed": 3, "ours_placed": 3}


def test_a_collocated_group_stays_in_one_rack_and_ours_leaves_room_for_it(tmp_path, servers):
    found = placed(tmp_path, servers, *["8,16,1,,,"] * 2, *["8,16,1,affinity,0,"] * 4)
    assert found["ours_placed"] == 6
    assert found["first_fit_placed"] == 4


def test_members_that_must_be_apart_take_a_server_each(tmp_path, servers):
    assert placed(tmp_path, servers, *["1,1,1,anti-affinity,0,"] * 5)["ours_placed"] == 4


def test_fault_domains_of_a_group_share_no_rack(tmp_path, servers):
    lines = [f"1,1,1,fault_domain,0,{domain}" for domain in (0, 0, 1, 1, 0, 2)]
    assert placed(tmp_path, servers, *lines)["ours_placed"] == 5


def test_a_pattern_that_matches_nothing_is_said(tmp_path, servers, capsys):
    assert main([*servers, "--requests", str(tmp_path / "none*.csv")]) == 2
    assert "none*.csv" in capsys.readouterr().err
