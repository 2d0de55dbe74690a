"""`chutian simulate`, from files to figures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from simulation.__main__ import main

HOSTS = "name,vcpus,memory_mib,gpus,gpu_model,zone,count\na,8,16384,0,,z1,2\ng,8,16384,2,M,z2,\n"


def write(path: Path, text: str) -> str:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def simulated(capsys: pytest.CaptureFixture[str], tmp_path: Path, trace: str, *more: str, hosts: str = HOSTS) -> dict[str, float]:
    files = write(tmp_path / "hosts.csv", hosts), write(tmp_path / "trace.csv.gz", trace)
    assert main(["--hosts", files[0], "--trace", files[1], "--output", "json", *more]) == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err


def test_what_ends_makes_room_and_what_does_not_fit_is_counted_with_its_rule(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = "start,end,vcpus,memory_mib\n0,2,8,1024\n0,2,8,1024\n0,,8,1024\n1,,8,1024\n2,,8,1024\n4,,16,1024\n"
    found = simulated(capsys, tmp_path, trace)
    assert (found["requests"], found["placed"], found["refused"], found["refused_for_vcpus"]) == (6, 4, 2, 2)
    assert (found["hosts"], found["peak_hosts"], found["hours"], found["host_hours"]) == (3, 3, 4.0, 10.0)
    assert found["mean_used_vcpus"] == pytest.approx((3 * 2 + 2 * 2) / 3 / 4, abs=1e-4)
    assert found["peak_used_vcpus"] == 1.0


def test_what_starts_before_fills_the_hosts_and_is_not_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = "start,end,vcpus,memory_mib\n-9,,8,1024\n-9,-1,8,1024\n0,,8,1024\n0,,8,1024\n0,,8,1024\n2,,1,1024\n"
    found = simulated(capsys, tmp_path, trace)
    assert (found["requests"], found["placed"], found["hours"], found["host_hours"]) == (4, 2, 2.0, 6.0)
    assert simulated(capsys, tmp_path, trace, "--since", "-9")["requests"] == 6


def test_groups_and_shares_of_gpus_are_kept_to_and_given_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    header = "start,end,vcpus,memory_mib,gpus,gpu_milli,gpu_models,group,mode,domain,max_per_domain\n"
    apart = "0,,1,1,0,,,x,anti_affinity,zone,1\n" * 3
    shares = "0,1,1,1,1,600,M,,,,\n" * 3 + "1,,1,1,1,600,M|N,,,,\n" * 2 + "1,,1,1,2,,M,,,,\n"
    found = simulated(capsys, tmp_path, header + apart + shares)
    assert (found["placed"], found["refused"]) == (2 + 2 + 2, 3)
    assert found["refused_for_anti_affinity"] == 1
    assert found["refused_for_gpus"] == 2
    assert found["peak_used_gpus"] == pytest.approx(0.6)


def test_a_picture_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "out.png"
    simulated(capsys, tmp_path, "start,vcpus,memory_mib\n0,1,1\n5,1,1\n", "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_people_get_a_table_in_their_language(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--hosts", write(tmp_path / "h.csv", HOSTS), "--trace", write(tmp_path / "t.csv", "vcpus,memory_mib\n1,1\n99,1\n")]
    assert main([*files, "--lang", "zh_CN.UTF-8"]) == 0
    assert "被拒绝" in capsys.readouterr().out
    assert main([*files, "--lang", "C"]) == 0
    assert "1 (50.0%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("hosts", "trace", "says"),
    [
        ("name,cpus\na,1\n", "vcpus,memory_mib\n", "no format has the columns cpus, name"),
        (HOSTS + "a-1,8,8,0,,,\n", "vcpus,memory_mib\n1,1\n", "two hosts are named a-1"),
        (HOSTS, "vcpus,memory_mib\n1,1\n-3,1\n", "row 3: vcpus is '-3'"),
        (HOSTS, "vcpus,memory_mib\nmany,1\n", "row 2: vcpus is 'many', no number"),
        (HOSTS, "vcpus,memory_mib,start,end\n1,1,5,4\n", "ends (4) before it starts (5)"),
        (HOSTS, "vcpus,memory_mib,mode\n1,1,apart\n", "mode is one of affinity"),
        (HOSTS, "vcpus,memory_mib,start\n1,1,nan\n", "start is not a number"),
        ("", "vcpus,memory_mib\n1,1\n", "is empty"),
    ],
)
def test_a_bad_file_is_told_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path, hosts: str, trace: str, says: str) -> None:
    files = write(tmp_path / "hosts.csv", hosts), write(tmp_path / "trace.csv", trace)
    assert says in refused(capsys, "--hosts", files[0], "--trace", files[1])


def test_what_is_no_table_or_has_no_place_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hosts, broken = write(tmp_path / "hosts.csv", HOSTS), tmp_path / "trace.csv"
    broken.write_bytes(b"\x89PNG\x00\xff")
    assert "no CSV in UTF-8" in refused(capsys, "--hosts", hosts, "--trace", str(broken))
    broken.rename(tmp_path / "trace.xlsx")
    assert "no workbook" in refused(capsys, "--hosts", hosts, "--trace", str(tmp_path / "trace.xlsx"))
    assert "No such file" in refused(capsys, "--hosts", hosts, "--trace", str(tmp_path / "nothing.csv"))
    trace = write(tmp_path / "t.csv", "vcpus,memory_mib\n1,1\n")
    assert "is no folder" in refused(capsys, "--hosts", hosts, "--trace", trace, "--plot", str(tmp_path / "no" / "p.png"))


def test_published_traces_are_read_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    openb = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,2,P100\n"
    pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time\n"
    pods += "p,1000,1,1,500,P100|T4,0,7200\nq,1,1,0,0,,3600,\n"
    found = simulated(capsys, tmp_path, pods, hosts=openb)
    assert (found["placed"], found["hours"], found["peak_used_gpus"]) == (2, 1.0, 0.25)
    azure = "vmId,tenantId,cores,ram,vmTypeId,starttime,endtime\n1,9,30.0,7.0,0,-2,inf\n2,9,30.0,7.0,0,1,2\n"
    assert simulated(capsys, tmp_path, azure)["requests"] == 1
    huawei = "CPU1,RAM1,CPU2,RAM2\n8,16,8,16\n8,16,8,16\n"
    vms = "flavor_vcpus,flavor_ram,numa,strategy,group,domain\n16,32,2,,,\n9,9,1,,,\n1,1,1,anti-affinity,1,\n1,1,1,anti-affinity,1,\n"
    found = simulated(capsys, tmp_path, vms, hosts=huawei)
    assert (found["placed"], found["refused_for_cells"]) == (2, 1)
