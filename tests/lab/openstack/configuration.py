"""The configuration files of a region's services.

In: settings. Out: for each file its path under `etc` and its sections. Only what differs from a release's defaults is here, so that the
rest is as in any other region: mostly ports, paths and accounts, and shorter intervals, since tests wait for them.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.lab.openstack.settings import APIS, OWN, REGION, Settings

Sections = Mapping[str, Mapping[str, object]]


def write(settings: Settings) -> None:
    """All of them, and the keys that tokens are made with."""
    for path, sections in _files(settings).items():
        target = settings.etc / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text(sections))
    rabbit = settings.data / "rabbit"
    for name, lines in {"rabbitmq.conf": _rabbit(settings), "environment": "", "plugins": "[].\n"}.items():
        (rabbit / name).write_text(lines)
    shutil.copy(settings.environment / "venv/etc/nova/api-paste.ini", settings.etc / "nova/api-paste.ini")
    new_keys(settings.etc / "keystone/credential-keys")
    new_keys(settings.etc / "keystone/fernet-keys")


def write_compute(settings: Settings, folder: Path, uri: str | None = None) -> None:
    """The file that one hypervisor has beside nova.conf: a simulated one, or the libvirtd there."""
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {"host": folder.name, "state_path": folder},
        "oslo_concurrency": {"lock_path": folder},
    }
    if uri is not None:
        sections["DEFAULT"].update(_real(folder))
        sections["libvirt"] = {"virt_type": "qemu", "connection_uri": uri, "images_type": "qcow2"}
        helper = f"{settings.program('privsep-helper')} --config-file {settings.etc}/nova/nova.conf"
        sections["nova_sys_admin"] = {"helper_command": helper}  # else it would ask sudo
    (folder / "compute.conf").write_text(text(sections))


def _real(folder: Path) -> dict[str, object]:
    return {
        "compute_driver": "libvirt.LibvirtDriver",
        "instances_path": folder / "instances",
        "force_config_drive": "true",  # there is no metadata service
        "config_drive_format": "iso9660",
        "mkisofs_cmd": "genisoimage",
        "reserved_host_memory_mb": 0,
    }


def new_keys(folder: Path) -> None:
    """Those of fernet, as `keystone-manage fernet_setup` makes them: what was made with older ones is void."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("0", "1"):
        part = folder.with_suffix(f".{name}")
        part.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        part.chmod(0o600)
        part.rename(folder / name)


def text(sections: Sections) -> str:
    return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in one.items()) for name, one in sections.items())


def database(settings: Settings, name: str) -> str:
    return f"mysql+pymysql://region:region@127.0.0.1:{settings.ports['mariadb']}/{name}"


def queue(settings: Settings) -> str:
    return f"rabbit://guest:guest@127.0.0.1:{settings.ports['rabbit']}/"


def adaptations(settings: Settings) -> str:
    """SQL that makes a copy of the databases this region's: where its services are."""
    named = "update keystone.endpoint e join keystone.service s on e.service_id = s.id set e.url = '{}' where s.type = '{}'{}; "
    plain = "".join(named.format(settings.url(api), kind, "") for api, kind in APIS.items())
    public = "".join(named.format(settings.public_url(api), kind, " and e.interface = 'public'") for api, kind in APIS.items())
    cell = "update nova_api.cell_mappings set {} where name = '{}'; "
    cells = cell.format(f"database_connection = '{database(settings, 'nova_cell0')}'", "cell0") + cell.format(
        f"database_connection = '{database(settings, 'nova')}', transport_url = '{queue(settings)}'", "cell1"
    )
    return plain + public + cells


def _account(settings: Settings, name: str) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": settings.url("keystone"),
        "username": name,
        "password": OWN[name].password,
        "project_name": OWN[name].project,
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def _authtoken(settings: Settings, name: str) -> dict[str, object]:
    return {
        "www_authenticate_uri": settings.public_url("keystone"),
        "memcached_servers": f"127.0.0.1:{settings.ports['memcached']}",
        "service_token_roles_required": "true",
        "token_cache_time": 60,
        "interface": "internal",
        **_account(settings, name),
    }


def _files(settings: Settings) -> dict[str, Sections]:
    return {
        "keystone/keystone.conf": _keystone(settings),
        "placement/placement.conf": {
            "placement_database": {"connection": database(settings, "placement")},
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": _authtoken(settings, "placement"),
        },
        "glance/glance-api.conf": _glance(settings),
        "neutron/neutron.conf": _neutron(settings),
        "neutron/ml2_conf.ini": {
            "ml2": {
                "type_drivers": "flat,geneve",
                "tenant_network_types": "geneve",
                "mechanism_drivers": "chutian_lab",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": "public"},
            "ml2_type_geneve": {"vni_ranges": "1:60000", "max_header_size": 38},
        },
        "nova/nova.conf": _nova(settings),
    }


def _rabbit(settings: Settings) -> str:
    return f"listeners.tcp.1 = 127.0.0.1:{settings.ports['rabbit']}\nvm_memory_high_watermark.absolute = 1GB\n"


def _keystone(settings: Settings) -> Sections:
    return {
        "DEFAULT": {},
        "database": {"connection": database(settings, "keystone")},
        "oslo_middleware": {"enable_proxy_headers_parsing": "true"},
        "token": {"provider": "fernet", "expiration": settings.token_s, "allow_expired_window": 3600},
        "identity": {"password_hash_rounds": 4},  # the least: no password here is worth more
        "fernet_tokens": {"key_repository": settings.etc / "keystone/fernet-keys"},
        "fernet_receipts": {"key_repository": settings.etc / "keystone/fernet-keys"},  # of its own, or of /etc where nothing is said
        "credential": {"key_repository": settings.etc / "keystone/credential-keys"},
        "cache": {
            "enabled": "true",
            "backend": "dogpile.cache.pymemcache",
            "memcache_servers": f"127.0.0.1:{settings.ports['memcached']}",
        },
    }


def _glance(settings: Settings) -> Sections:
    stores = {
        name: {"filesystem_store_datadir": settings.data / name} for name in ("images", "os_glance_staging_store", "os_glance_tasks_store")
    }
    return {
        "DEFAULT": {"enabled_backends": "images:file", "bind_host": "127.0.0.1"},
        "database": {"connection": database(settings, "glance")},
        "oslo_middleware": {"enable_proxy_headers_parsing": "true"},
        "glance_store": {"default_backend": "images"},
        **stores,
        "paste_deploy": {"flavor": "keystone", "config_file": settings.environment / "venv/etc/glance/glance-api-paste.ini"},
        "oslo_concurrency": {"lock_path": settings.data / "locks"},
        "keystone_authtoken": _authtoken(settings, "glance"),
    }


def _neutron(settings: Settings) -> Sections:
    return {
        "DEFAULT": {
            "core_plugin": "ml2",
            "service_plugins": "",
            "api_paste_config": settings.environment / "venv/etc/neutron/api-paste.ini",
            "transport_url": queue(settings),
            "dhcp_agent_notification": "false",
            "state_path": settings.data / "neutron",
        },
        "database": {"connection": database(settings, "neutron")},
        "oslo_middleware": {"enable_proxy_headers_parsing": "true"},
        "quotas": {"quota_port": 100_000, "quota_security_group": 10_000, "quota_security_group_rule": 100_000},
        "oslo_concurrency": {"lock_path": settings.data / "locks"},
        "nova": {"endpoint_type": "internal", **_account(settings, "nova")},
        "keystone_authtoken": _authtoken(settings, "neutron"),
    }


def _nova(settings: Settings) -> Sections:
    own = _account(settings, "nova")
    return {
        "DEFAULT": {
            "compute_driver": "chutian_lab_hypervisor.Hypervisor",
            "transport_url": queue(settings),
            "my_ip": "127.0.0.1",
            "state_path": settings.data / "nova",
            "periodic_fuzzy_delay": 0,
            "report_interval": settings.report_s,
            "service_down_time": settings.patience_s,
            "sync_power_state_interval": 5,
            "update_resources_interval": 5,
            "allow_resize_to_same_host": "true",  # who places an instance says where it stays
        },
        "api": {"max_limit": 1000},
        "oslo_middleware": {"enable_proxy_headers_parsing": "true"},
        "api_database": {"connection": database(settings, "nova_api")},
        "database": {"connection": database(settings, "nova")},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 2},
        "keystone_authtoken": _authtoken(settings, "nova"),
        "service_user": {"send_service_user_token": "true", **own},
        "placement": {"valid_interfaces": "internal", **_account(settings, "placement")},
        "neutron": {"valid_interfaces": "internal", **_account(settings, "neutron")},
        "glance": {"valid_interfaces": "internal", **_account(settings, "glance")},
        "vnc": {"enabled": "false"},
        "oslo_concurrency": {"lock_path": settings.data / "locks"},
        "quota": {"instances": 1000, "cores": 10_000, "ram": 10_000_000},
    }
