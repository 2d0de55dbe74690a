"""The databases of a new region, made once.

`python -m tests.lab.openstack.databases ENVIRONMENT FOLDER` leaves MariaDB's data folder there. In it: schemas, keystone's first
contents, accounts and services; what depends on ports is put right in each copy (`configuration.adaptations`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.openstack import configuration
from tests.lab.openstack.api import Api
from tests.lab.openstack.rig import Region
from tests.lab.openstack.services import environ
from tests.lab.openstack.settings import ADMIN, APIS, DEMO, OTHER, OWN, REGION, Account, Settings, free_ports

NAMES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova_cell0", "nova")
INTERFACES = ("public", "internal", "admin")


def make(environment: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ct-openstack-", dir="/tmp") as scratch:
        region = Region(Settings(Path(scratch), environment, free_ports()))
        region.prepare()
        try:
            _install(region)
            region.start("mariadb")
            region.start("memcached")
            _schemas(region)
            region.start("keystone")
            _register(Api({"keystone": region.settings.url("keystone")}, ADMIN))
            region.process("mariadb").stop(60)  # in order: no log is left to be replayed by each that is made from it
        finally:
            region.kill_all()
        data = region.settings.data / "mariadb"
        subprocess.run(["cp", "-a", "--sparse=always", data, target], check=True)


def _install(region: Region) -> None:
    data = region.settings.data / "mariadb"
    data.mkdir()
    who = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
    options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]  # though nobody knows this machine's name
    line = ["mariadb-install-db", "--no-defaults", who, f"--datadir={data}", *options]
    subprocess.run(line, check=True, capture_output=True, env=environ(region.settings))


def _schemas(region: Region) -> None:
    """Side by side, as far as they don't wait for each other."""
    settings, etc = region.settings, region.settings.etc
    grants = (
        f"create database {name} character set utf8mb4; grant all on {name}.* to region@'127.0.0.1' identified by 'region';"
        for name in NAMES
    )
    region.sql("".join(grants))
    keystone = [settings.program("keystone-manage"), f"--config-file={etc}/keystone/keystone.conf"]
    nova = [settings.program("nova-manage"), f"--config-file={etc}/nova/nova.conf"]
    neutron = [f"--config-file={etc}/neutron/neutron.conf", f"--config-file={etc}/neutron/ml2_conf.ini"]
    url = settings.url("keystone")
    urls = [f"--bootstrap-{interface}-url={url}" for interface in INTERFACES]
    chains: dict[str, list[list[str]]] = {
        "keystone": [
            [*keystone, "db_sync"],
            [*keystone, "bootstrap", f"--bootstrap-password={ADMIN.password}", f"--bootstrap-region-id={REGION}", *urls],
        ],
        "placement": [[settings.program("placement-manage"), f"--config-file={etc}/placement/placement.conf", "db", "sync"]],
        "glance": [[settings.program("glance-manage"), f"--config-file={etc}/glance/glance-api.conf", "db_sync"]],
        "neutron": [[settings.program("neutron-db-manage"), *neutron, "upgrade", "heads"]],
        "nova": [
            [*nova, "api_db", "sync"],
            [*nova, "cell_v2", "map_cell0", f"--database_connection={configuration.database(settings, 'nova_cell0')}"],
            [*nova, "cell_v2", "create_cell", "--name=cell1"],
            [*nova, "db", "sync"],
        ],
    }
    _run_all(region, chains)


def _run_all(region: Region, chains: dict[str, list[list[str]]]) -> None:
    began = time.monotonic()

    def run(name: str) -> None:
        with region.settings.log(name).open("ab") as log:
            for command in chains[name]:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ(region.settings), check=False)
                if done.returncode:
                    raise RuntimeError(f"schema of {name}: {region.settings.log(name).read_text()[-2000:]}")
        print(f"openstack: schema of {name} after {time.monotonic() - began:.0f} s", file=sys.stderr)

    with ThreadPoolExecutor(len(chains)) as pool:
        list(pool.map(run, chains))


def _register(api: Api) -> None:
    """Accounts, projects and services, in keystone."""
    roles = {one["name"]: one["id"] for one in api.ask("keystone", "GET /roles")["roles"]}
    projects: dict[str, str] = {}
    for account in (DEMO, OTHER, *OWN.values()):
        if account.project not in projects:
            projects[account.project] = _create(api, "project", name=account.project, domain_id="default")
        _account(api, account, projects[account.project], roles)
    for service, kind in APIS.items():
        if service != "keystone":
            made = _create(api, "service", name=service, type=kind)
            for interface in INTERFACES:
                _create(api, "endpoint", service_id=made, interface=interface, region_id=REGION, url="http://unset")


def _account(api: Api, account: Account, project: str, roles: dict[str, str]) -> None:
    user = _create(api, "user", name=account.name, password=account.password, domain_id="default")
    for role in account.roles:
        api.ask("keystone", f"PUT /projects/{project}/users/{user}/roles/{roles[role]}")


def _create(api: Api, what: str, **of: object) -> str:
    made: str = api.ask("keystone", f"POST /{what}s", {what: of})[what]["id"]
    return made


if __name__ == "__main__":
    os.umask(0o022)
    destination = Path(sys.argv[2])
    shutil.rmtree(destination, ignore_errors=True)
    make(Path(sys.argv[1]), destination)
