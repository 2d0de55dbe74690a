"""What `chutian machine`, `run` and `certificate` say: (Chinese, English)."""

from __future__ import annotations

Pair = tuple[str, str]

COLUMNS: dict[str, Pair] = {
    "col.document.method": ("方式", "METHOD"),
    "col.document.cleared_at": ("清除时间", "CLEARED"),
    "col.task.name": ("任务", "TASK"),
    "col.task.state": ("状态", "STATE"),
    "col.task.seconds": ("秒", "SECONDS"),
    "col.task.text": ("说明", "TEXT"),
    "col.instance": ("实例", "INSTANCE"),
    "col.model": ("型号", "MODEL"),
    "col.serial": ("序列号", "SERIAL"),
    "col.uuid": ("UUID", "UUID"),
    "col.cpu": ("处理器", "CPU"),
    "col.firmware": ("固件", "FIRMWARE"),
    "col.starts_by": ("启动方式", "STARTS BY"),
    "col.bmc_firmware": ("BMC 固件", "BMC FIRMWARE"),
    "col.disk": ("磁盘", "DISK"),
    "col.bytes": ("容量", "SIZE"),
    "col.nic": ("网口", "NIC"),
    "col.mac": ("MAC", "MAC"),
    "col.link": ("连通", "LINK"),
    "col.difference.what": ("差异", "DIFFERENCE"),
    "col.difference.bmc": ("BMC 报告", "THE BMC SAYS"),
    "col.difference.machine": ("服务器自检", "THE MACHINE SAYS"),
    "col.machine": ("服务器", "MACHINE"),
    "col.method": ("方式", "METHOD"),
    "col.verified": ("已核对", "VERIFIED"),
    "col.read_back": ("回读", "READ BACK"),
    "read_back.samples": ("抽样 {places} 处，共 {size}", "{size} at {places} places"),
    "read_back.whole": ("整盘，{size}", "all of it, {size}"),
    "read_back.ends": ("仅首尾，共 {size}", "its ends alone, {size}"),
    "col.cleared_at": ("清除时间", "CLEARED"),
    "col.playbooks": ("剧本摘要", "DIGEST"),
    "col.power_wanted": ("电源切换至", "POWER TO BE"),
    "col.signature": ("签名", "SIGNATURE"),
}

MESSAGES: dict[str, Pair] = {
    "machine.inspect": ("{name} 将被检测；chutian run list --host {name}", "{name} is to be inspected; chutian run list --host {name}"),
    "machine.write_off": ("{name} 已报废，磁盘未清除", "{name} is given up, its disks are not cleared"),
    "machine.wipe": ("{name} 的磁盘将被清除；chutian run list --host {name}", "{name} is to be wiped; chutian run list --host {name}"),
    "machine.patch": ("{name} 将安装更新；chutian run list --host {name}", "{name} is to be patched; chutian run list --host {name}"),
    "machine.trust": ("{name} 将解除隔离", "{name} leaves quarantine"),
    "confirm.fence": (
        "主机 {what} 的服务器将被强制断电，其上可迁走的实例会在别处启动。确定？",
        "Fence host {what}? Its machine is cut off from power, and what can be started elsewhere is",
    ),
    "host.fence": (
        "{name} 的服务器将被关闭；chutian host show {name}",
        "The machine of {name} is being switched off; chutian host show {name}",
    ),
    "host.state": ("{name}：{state} {reason}", "{name}: {state} {reason}"),
    "confirm.write_off": (
        "报废 {what}？其磁盘未清除，部门得不到清除证明",
        "Give up {what}? Its disks are not cleared, and its department gets no certificate",
    ),
    "confirm.power_off": ("强制关闭服务器 {what}？", "Cut the power of {what}?"),
    "machine.power_off": ("{name} 将被关闭；chutian machine show {name}", "{name} is being switched off; chutian machine show {name}"),
    "machine.power_on": ("{name} 将被开启；chutian machine show {name}", "{name} is being switched on; chutian machine show {name}"),
    "machine.power": ("{name}：电源 {power}", "{name}: power {power}"),
    "certificate.no_key": ("尚未出具任何清除证明", "No certificate was issued yet"),
    "certificate.saved": ("已保存到 {folder}，验证：", "Saved in {folder}; verify it with:"),
    "confirm.cancel_run": (
        "取消运行 {what}？部署中的实例将报错，清除中的服务器将被隔离",
        "Cancel run {what}? An instance that is being set up fails, a machine that is being wiped is in quarantine then",
    ),
    "run.cancel": ("{name} 将被取消；chutian run show {name} --follow", "{name} is being cancelled; chutian run show {name} --follow"),
    "run.task_ended": ("{name}：{state}，{seconds} 秒", "{name}: {state}, {seconds} s"),
}
