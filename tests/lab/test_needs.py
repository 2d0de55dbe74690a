"""What is missing on a machine is said in words, with what to do about it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.needs import CHECKOUT, missing

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kwok")


def find(script: str = "kubernetes-binaries", **environ: str) -> tuple[int, str, str]:
    without = {name: value for name, value in os.environ.items() if name != "KUBEBUILDER_ASSETS"}
    done = subprocess.run([CHECKOUT / "scripts" / script, "find"], env={**without, **environ}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr


def test_programs_that_are_missing_are_named_by_their_packages() -> None:
    said = missing({"sh": "dash", "no-such-program": "its-package"})
    assert any("its-package" in one for one in said)
    assert not any("dash" in one for one in said)


def test_binaries_are_taken_from_where_the_environment_says(tmp_path: Path) -> None:
    for name in COMPONENTS:
        (tmp_path / name).touch(0o755)
    assert find(KUBEBUILDER_ASSETS=str(tmp_path)) == (0, str(tmp_path), "")


def test_a_folder_that_lacks_one_is_not_taken(tmp_path: Path) -> None:
    for name in COMPONENTS[:3]:
        (tmp_path / name).touch(0o755)
    code, out, said = find(KUBEBUILDER_ASSETS=str(tmp_path))
    assert (code, out) == (1, "")
    assert "lacks kube-scheduler" in said


@pytest.mark.parametrize(("script", "target"), [("kubernetes-binaries", "make kubernetes"), ("openstack-region", "make openstack")])
def test_what_was_never_made_is_told_how_to_make(tmp_path: Path, script: str, target: str) -> None:
    code, out, said = find(script, CHUTIAN_CACHE=str(tmp_path))
    assert (code, out) == (1, "")
    assert target in said
