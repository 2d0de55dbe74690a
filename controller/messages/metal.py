"""What is told of bare machines: their BMCs, the runs of playbooks on them, their disks."""

from __future__ import annotations

METAL: dict[str, tuple[str, str]] = {
    # why a machine is given to nobody
    "machine_only_seen": (
        "This machine is only looked at, through its BMC: no address is set at which machines fetch what they start from (depot_listen).",
        "该服务器目前仅通过 BMC 纳入观测：尚未设置裸机启动所需的取件地址（depot_listen）。",
    ),
    "machine_uninspected": (
        "Nobody knows yet what this machine really is: inspect it (chutian machine inspect).",
        "该服务器尚未检测，实际配置未知：请先执行检测（chutian machine inspect）。",
    ),
    "machine_wiping": ("Its disks are being cleared.", "正在清除磁盘数据。"),
    "machine_quarantined": (
        "Nothing proves that its disks are clear, so it is given to nobody. {why} See to them, then wipe it again, or trust it as it is.",
        "无法证明磁盘已清除，该服务器已隔离，不再分配。{why} 请处理磁盘后重新清除，或确认后解除隔离。",
    ),
    "depot_closed": (
        "What machines start from can't be served at {address}: {detail} Look at the setting depot_listen and at who has that port.",
        "无法在 {address} 提供裸机启动所需文件：{detail} 请检查 depot_listen 设置及端口占用。",
    ),
    "machine_taken": (
        "The machine is another's, or not clean yet: {host}. It is tried again by itself.",
        "该服务器仍被占用或尚未清除完毕：{host}。系统将自动重试。",
    ),
    "machine_in_use": (
        "The host {host} is on this machine: it is neither inspected, wiped nor given out. Once that is over, retire the host.",
        "主机 {host} 运行在该服务器上：不检测、不清除，也不分配。停用后请将该主机退役。",
    ),
    "machine_at_work": (
        "A playbook works on {host}, or is about to. Wait for it (chutian run list --host {host}).",
        "{host} 正在或即将执行 playbook，请等待其结束（chutian run list --host {host}）。",
    ),
    "machine_differs": (
        "The BMC says {what} {bmc}, the machine itself {machine}; the machine is believed.",
        "{what}：BMC 报告为 {bmc}，服务器自检为 {machine}；以自检为准。",
    ),
    # what goes on
    "machine_inspect": ("The machine says what it is made of: {task}{far}", "正在检测服务器配置：{task}{far}"),
    "machine_provision": ("The machine is being set up: {task}{far}", "正在部署服务器：{task}{far}"),
    "machine_hypervisor": ("The machine is being made a hypervisor: {task}{far}", "正在将服务器部署为虚拟化主机：{task}{far}"),
    "machine_patch_host": ("The hypervisor is being patched: {task}{far}", "正在为虚拟化主机安装更新：{task}{far}"),
    "machine_wipe": ("The machine's disks are being cleared: {task}{far}", "正在清除磁盘数据：{task}{far}"),
    # why a run failed
    "depot_unreachable": (
        "The machine can't get what it needs from the depot: {detail}. See that the depot runs, and that the machine reaches it.",
        "服务器无法从装机仓库获取文件：{detail}。请确认装机仓库正在运行，且服务器可以访问。",
    ),
    "boot_device_ignored": (
        "The machine did not boot from {source}: {detail}. Set its boot order, give its boot_mode, update the BMC, or boot the other way.",
        "服务器没有从 {source} 启动：{detail}。请手动设置启动顺序、指定 boot_mode、升级 BMC 固件，或改用另一种启动方式。",
    ),
    "no_dhcp_answer": (
        "The machine got no answer by DHCP that leads to the depot: {detail}. Look at the DHCP server of its network, and at its cable.",
        "服务器没有得到指向装机仓库的 DHCP 应答：{detail}。请检查所在网络的 DHCP 服务与网线。",
    ),
    "ramdisk_silent": (
        "The ramdisk did not call back within {seconds} s: {detail}. Read the machine's console; try the other way to boot.",
        "内存系统在 {seconds} 秒内没有回报：{detail}。请查看服务器控制台，或改用另一种启动方式。",
    ),
    "wrong_machine": (
        "The machine that came up is {seen}, not {expected}; nothing was written. The BMC or the boot port is another one's.",
        "启动的服务器是 {seen}，而非 {expected}；未写入任何内容。BMC 地址或启动网口属于另一台服务器。",
    ),
    "checksum_mismatch": (
        "The image is not what its digest says: {detail}. Nothing starts from it. Import the image again; look at the store's disk.",
        "镜像与其摘要不符：{detail}。不会从中启动。请重新导入镜像，并检查存储盘。",
    ),
    "disk_too_small": (
        "No disk of the machine has room for the image: {detail}. Choose a smaller image or another machine.",
        "服务器没有容得下该镜像的磁盘：{detail}。请选择更小的镜像或其他服务器。",
    ),
    "write_error": (
        "Disk {disk} can't be written: {detail}. Replace it, or choose another as the root disk.",
        "磁盘 {disk} 无法写入：{detail}。请更换磁盘，或另选系统盘。",
    ),
    "readback_mismatch": (
        "Disk {disk} doesn't hold what was written to it: {detail}. Replace it.",
        "磁盘 {disk} 读回的内容与写入不符：{detail}。请更换磁盘。",
    ),
    "wipe_failed": (
        "Disks {disks} could not be wiped: {detail}. Take them out, or wipe them by hand; until then the machine is for nobody.",
        "磁盘 {disks} 擦除失败：{detail}。请取出或手动擦除；在此之前该服务器不可分配。",
    ),
    "ssh_unreachable": (
        "The machine doesn't answer by ssh as it should: {detail}. Read its console: is it up, with the address and the key given to it?",
        "服务器没有正确响应 SSH：{detail}。请查看其控制台：是否已启动，地址与主机密钥是否一致。",
    ),
    "playbook_task_failed": (
        "The playbook's task '{task}' failed: {detail} Mend what it says, then ask anew: the playbook begins again from its start.",
        "playbook 任务“{task}”失败：{detail} 请按提示排除故障后重试，playbook 将从头执行。",
    ),
    "playbook_unusable": (
        "The playbook {playbook} can't be run: {detail} Mend the controller's folder of playbooks, then ask anew.",
        "无法运行 playbook {playbook}：{detail} 请修复控制器的 playbook 目录后重试。",
    ),
    "result_unreadable": (
        "The playbook ended well, but its result can't be read: {detail} Ask anew; if it stays, the playbook is to be mended.",
        "playbook 已正常结束，但结果无法读取：{detail} 请重试；若问题依旧，需修复该 playbook。",
    ),
    "run_cancelled": ("The playbook was cancelled.", "playbook 已被取消。"),
    "run_interrupted": (
        "The playbook was interrupted: {detail} It is begun again from its start.",
        "playbook 执行被中断：{detail} 系统将从头重新执行。",
    ),
    "database_restored": (
        "The database was restored from a backup: somebody may have been given the machine since.",
        "数据库由备份恢复：此后该服务器可能已交付使用。",
    ),
    "machine_written_off": (
        "It was given up by {by} with its disks not cleared: {said}.",
        "已由 {by} 报废，磁盘未清除：{said}。",
    ),
    "wipe_interrupted": (
        "Clearing its disks was interrupted {times} times: see to memory and disk of the controller's machine, then wipe it again.",
        "清除磁盘已被中断 {times} 次：请检查控制器所在机器的内存与磁盘，然后重新清除。",
    ),
    "run_too_large": (
        "The playbook was ended because it left more than {bytes} bytes in its temporary folder. Look at what its last task was given.",
        "playbook 的临时目录超过 {bytes} 字节，已被终止。请检查其最后一个任务处理的数据。",
    ),
    "not_zero": ("A disk that was cleared still holds data: {detail}", "已清除的磁盘上仍有数据：{detail}"),
    # its BMC
    "bmc_unreachable": (
        "The machine's BMC does not answer: {detail} Check its address, its cable and its power; the machine itself may run on.",
        "服务器的带外管理控制器（BMC）没有响应：{detail} 请检查其地址、网线与供电；服务器本身可能仍在运行。",
    ),
    "bmc_certificate_changed": (
        "The BMC's TLS certificate is {seen}, not {expected}; nothing was sent. Give the new one if it was renewed; else see who answers.",
        "BMC 的 TLS 证书为 {seen}，而非 {expected}；未发送任何内容。若属正常换证，请更新指纹；否则请查明是谁在应答。",
    ),
    "bmc_certificate_untrusted": (
        "The BMC's TLS certificate is not trusted: {detail} Nothing was sent. Check the fingerprint {seen} and give it, or give ca_file.",
        "BMC 的 TLS 证书不受信任：{detail} 未发送任何内容。请核对指纹 {seen} 后设置 fingerprint，或设置 ca_file。",
    ),
    "bmc_password_refused": (
        "The BMC refuses the user name or the password: {detail} Give the endpoint new credentials; too many tries may lock the account.",
        "BMC 拒绝了用户名或密码：{detail} 请更新接入点凭据；尝试次数过多可能导致账户被锁定。",
    ),
    "bmc_system_unknown": (
        "The BMC has no machine {system}; there are: {systems}. Name one of these in the endpoint's address.",
        "BMC 中没有服务器 {system}；现有：{systems}。请在接入点地址中指定其中之一。",
    ),
    "bmc_busy": (
        "The BMC takes no requests just now; it is tried again: {detail}",
        "BMC 暂时无法受理请求，正在重试：{detail}",
    ),
    "ipmi_cipher_refused": (
        "The BMC does not speak IPMI cipher suite {suite}. Update its firmware, or set the option cipher_suite (3: the old one, SHA-1).",
        "BMC 不支持 IPMI 加密套件 {suite}。请升级其固件，或设置 cipher_suite 选项（3 为旧套件，使用 SHA-1）。",
    ),
    "power_refused": (
        "The BMC refuses the power action: {detail} Look at the machine's state in the BMC, then ask anew.",
        "BMC 拒绝了该电源操作：{detail} 请在 BMC 中查看服务器状态后重新操作。",
    ),
    "power_unchanged": (
        "The power action didn't take: asked for {wanted}, after {seconds} s it is {seen}. Ask anew, by force; else look at the machine.",
        "电源操作未生效：要求 {wanted}，{seconds} 秒后为 {seen}。请强制重试；仍无效时请现场检查服务器。",
    ),
    # what happened
    "machine.inspect_asked": ("Machine {name} is to be inspected.", "已要求检测服务器 {name}。"),
    "machine.wipe_asked": ("The disks of machine {name} are to be cleared.", "已要求清除服务器 {name} 的磁盘。"),
    "machine.patch_host_asked": ("Hypervisor {name} is to be patched.", "已要求为虚拟化主机 {name} 安装更新。"),
    "machine.trust_asked": (
        "Machine {name} is taken out of quarantine as it is.",
        "已按现状解除服务器 {name} 的隔离。",
    ),
    "machine.quarantined": ("Machine {name} is in quarantine. {why}", "服务器 {name} 已隔离。{why}"),
    "machine.written_off": (
        "Machine {name} is given up, as its BMC doesn't answer; its disks were not cleared. {said}",
        "服务器 {name} 的 BMC 无法访问，已报废；磁盘未清除。{said}",
    ),
    "instance.not_cleared": (
        "The machine of {name} can't be reached any more and was given up: its disks were not cleared, and there is no certificate. {said}",
        "{name} 所在服务器已无法访问并报废：磁盘未清除，不出具清除证明。{said}",
    ),
    "machine.off_asked": ("Machine {name} is to be switched off, by force.", "已要求强制关闭服务器 {name}。"),
    "machine.on_asked": ("Machine {name} is to be switched on.", "已要求开启服务器 {name}。"),
    "machine.switched_off": ("Machine {name} is off, its BMC says.", "服务器 {name} 已关机（BMC 确认）。"),
    "machine.switched_on": ("Machine {name} is on, its BMC says.", "服务器 {name} 已开机（BMC 确认）。"),
    "host.fence_asked": (
        "Host {name} is to be fenced: its machine {host} is switched off by its BMC, by force.",
        "已要求隔断主机 {name}：通过 BMC 强制关闭其服务器 {host}。",
    ),
    "host.spared": (
        "Machine {name} was not switched off: its host {host} answers again, or is retired.",
        "未关闭服务器 {name}：其主机 {host} 已恢复响应或已退役。",
    ),
    "run.cancel_asked": ("{name}: {step} is to be cancelled.", "{name}：已要求取消 {step}。"),
    "run.done": ("{name}: {step} is done.", "{name}：{step} 已完成。"),
    "run.failed": ("{name}: {step} failed. {why}", "{name}：{step} 失败。{why}"),
    "run.cancelled": ("{name}: {step} was cancelled.", "{name}：{step} 已取消。"),
    "run.interrupted": (
        "{name}: {step} was cut off with the controller that ran it; it is begun anew.",
        "{name}：{step} 随所在控制器中断，将重新开始。",
    ),
    # what can't be asked for
    "not_a_machine": ("{name} is no bare machine.", "{name} 不是裸金属服务器。"),
    "machine_occupied": (
        "{name} is somebody's, or about to be: its instance has to be deleted first.",
        "{name} 正在使用或即将交付，请先删除其实例。",
    ),
    "machine_no_hypervisor": (
        "{name} is no hypervisor that was made here (chutian instance create --hypervisor); patch it by the playbook.",
        "{name} 不是由本平台部署的虚拟化主机（chutian instance create --hypervisor），请直接使用 playbook 更新。",
    ),
    "machine_is_host": (
        "{name} is the machine of host {host}: drain that and retire it first (chutian host drain, chutian host retire).",
        "{name} 承载主机 {host}：请先迁空并停用该主机（chutian host drain、chutian host retire）。",
    ),
    "machine_holds": (
        "{name} is the machine of host {host}, on which are {count} instances: drain that first (chutian host drain), or patch it.",
        "{name} 承载主机 {host}，其上有 {count} 个实例：请先迁空该主机（chutian host drain），或使用更新功能。",
    ),
    "hypervisor_stays": (
        "A machine that is to be a hypervisor can't be preemptible, nor end with the term: it holds what others have.",
        "虚拟化主机承载他人的实例，不能设为可抢占，也不能到期释放。",
    ),
    "machine_power_is_its": (
        "{name} is somebody's, or about to be: its instance is started and stopped (chutian instance stop), and its power with it.",
        "{name} 正在使用或即将交付：请启停其实例（chutian instance stop），电源随之切换。",
    ),
    "machine_runs_host": (
        "The host {host} is on {name}, with {count} on it: drain it first; if it is silent, fence it (chutian host fence {host}).",
        "主机 {host} 运行在 {name} 上，其上尚有 {count} 个实例：请先清空；若已失联，请隔断（chutian host fence {host}）。",
    ),
    "host_answers": (
        "Host {name} answers, so it is not cut off from its power: drain it (chutian host drain {name}), or stop what it runs.",
        "主机 {name} 仍有响应，不予断电：请清空（chutian host drain {name}）或停止其上实例。",
    ),
    "fence_machine": (
        "{name} is a machine by its BMC: it is switched off by chutian machine power off {name}.",
        "{name} 是通过 BMC 纳管的服务器，请使用 chutian machine power off {name}。",
    ),
    "bmc_unknown": (
        "No BMC is known of the machine of {name} (UUID {machine}): enrol it (chutian endpoint create --driver bare_metal), or go there.",
        "主机 {name} 的服务器（UUID {machine}）没有已知的 BMC：请先纳管（chutian endpoint create --driver bare_metal），或人工关机。",
    ),
    "machine_claimed_twice": (
        "Two hosts, or two BMCs, claim the machine of {name}, their notes say which: retire the wrong one, or switch it off by hand.",
        "有两台主机或两个 BMC 声称是 {name} 的服务器（见其备注）：请将错误的一方退役，或人工关机。",
    ),
    "bmc_troubled": (
        "The BMC of {name}'s machine can't be asked (endpoint {endpoint}). {why} Mend that, or switch the machine off by hand.",
        "无法访问主机 {name} 的服务器的 BMC（接入点 {endpoint}）。{why} 请先排除该故障，或人工关机。",
    ),
    "machine_not_cleared": (
        "{name} was given up with its disks not cleared: a wipe alone takes it out of quarantine (chutian machine wipe {name}).",
        "{name} 报废时磁盘未清除：只有清除磁盘才能解除隔离（chutian machine wipe {name}）。",
    ),
    "machine_nobodys": (
        "{name} is nobody's, so there is nothing to be given up; retire it (chutian host retire {name}).",
        "{name} 未被使用，无需报废；可直接退役（chutian host retire {name}）。",
    ),
    "machine_wanted": (
        "{name} is still wanted: its instance {instance} has to be deleted first.",
        "{name} 仍在使用：请先删除其实例 {instance}。",
    ),
    "machine_answers": (
        "The BMC of {name} answers: its instance ends as any other does, once it was deleted and the disks are cleared.",
        "{name} 的 BMC 可以访问：实例删除并清除磁盘后即正常结束。",
    ),
    "machine_not_quarantined": ("{name} is not in quarantine.", "{name} 未被隔离。"),
    "machine_fixed": (
        "{name} is a whole machine and has the size it has; ask for another one, and delete it then.",
        "{name} 为整机，规格不可更改；请另行申请后删除。",
    ),
    "run_over": (
        "{step} on {name} has ended already: chutian run list --host {name} says how.",
        "{name} 上的 {step} 已结束，结果见 chutian run list --host {name}。",
    ),
    "run_not_found": ("There is no run {name}.", "没有运行记录 {name}。"),
    "certificate_not_found": ("There is no certificate {name}.", "没有清除证明 {name}。"),
}
