"""DHCP for the servers of a rack, with the address from which iPXE starts.

In: the rack and its servers' addresses by MAC. Out: dnsmasq on the rack. It tells iPXE not to look for anything else, and advertises a
router that isn't one, since iPXE waits a quarter of a minute for one before it starts. There is no TFTP: the ROM of QEMU's network card
is iPXE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import Machine

CONF = """\
interface=rack
bind-interfaces
except-interface=lo
port=0
no-hosts
no-resolv
no-ping
dhcp-authoritative
log-dhcp
log-facility={folder}/dnsmasq.log
dhcp-leasefile={folder}/leases
pid-file=/run/dnsmasq.pid
dhcp-range={network}.0,static,255.255.255.0,1h
dhcp-hostsfile={folder}/hosts
dhcp-optsfile={folder}/options
dhcp-match=set:ipxe,175
dhcp-option=tag:ipxe,encap:175,176,1b
enable-ra
ra-param=rack,0,0
dhcp-range={prefix},ra-only,64
"""


@dataclass(frozen=True, slots=True)
class Dhcp:
    """The service, and what can be done to it."""

    rack: Machine
    folder: Path
    addresses: Mapping[str, str]  # by MAC

    def start(self, boot_url: str) -> None:
        self.folder.mkdir()
        network = self.rack.address.rpartition(".")[0]
        number = int(network.rpartition(".")[2])
        self.rack.run("ip", "address", "add", f"fd77:{number:x}::1/64", "dev", "rack", "nodad")
        (self.folder / "dnsmasq.conf").write_text(CONF.format(folder=self.folder, network=network, prefix=f"fd77:{number:x}::"))
        self._write(frozenset())
        self._options(boot_url)
        self.rack.run("dnsmasq", f"--conf-file={self.folder}/dnsmasq.conf", "--user=root", "--group=root")

    def boot_from(self, url: str) -> None:
        """Where iPXE gets its script; `${net0/mac:hexhyp}` in it is the machine's."""
        self._options(url)
        self._reload()

    @contextmanager
    def silent_for(self, *macs: str) -> Iterator[None]:
        """It doesn't answer those."""
        self._write(frozenset(macs))
        self._reload()
        try:
            yield
        finally:
            self._write(frozenset())
            self._reload()

    def log(self) -> str:
        return (self.folder / "dnsmasq.log").read_text()

    def _write(self, silent: frozenset[str]) -> None:
        lines = (f"{mac},{'ignore' if mac in silent else address}\n" for mac, address in self.addresses.items())
        (self.folder / "hosts").write_text("".join(lines))

    def _options(self, url: str) -> None:
        (self.folder / "options").write_text(f"tag:ipxe,option:bootfile-name,{url}\n")

    def _reload(self) -> None:
        self.rack.run("sh", "-c", "kill -HUP $(cat /run/dnsmasq.pid)")
