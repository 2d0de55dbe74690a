"""The help of groups, commands and options: (Chinese, English). The first line of a command's text is its summary; `\\b` keeps the
lines after it as they are."""

from __future__ import annotations

Pair = tuple[str, str]

GROUPS: dict[str, Pair] = {
    "group.project": ("项目：部门组成的树，以及谁能做什么", "Projects: the tree of departments, and who may do what"),
    "group.quota": ("配额：能用多少、用了多少", "Quota: what may be used and what is used"),
    "group.user": ("用户和令牌", "Users and their tokens"),
    "group.flavor": ("规格：有名字的大小", "Flavors: named sizes"),
    "group.image": ("镜像：实例从它启动", "Images: what instances boot from"),
    "group.pool": ("资源池：运维人员命名的一组主机", "Pools: the operators' named sets of hosts"),
    "group.endpoint": ("接入点：驱动所连接的对象", "Endpoints: what the drivers connect to"),
    "group.host": ("主机：有容量的地方", "Hosts: the places with capacity"),
    "group.request": ("申请单：部门申请资源，审批人决定", "Requests: what a department applies for, decided by approvers"),
    "group.instance": ("实例：项目正在运行的东西", "Instances: what a project has running"),
    "group.plan": ("规划：该把什么迁到哪里，以及“假如”（只计算，不执行）", "Plans: what should move where, and what if; nothing is done"),
    "group.explain": ("解释：为什么是这样，或者将会怎样", "Explain: why it is so, or what would happen"),
    "section.ask": ("使用资源", "Using the cloud"),
    "section.operate": ("运维", "Operating it"),
    "section.self": ("本工具", "This tool"),
    "section.controller": ("控制器（在控制器所在的机器上）", "The controller (on its own machine)"),
}

COMMANDS: dict[str, Pair] = {
    "help.chutian": ("楚天：私有云资源管理。", "Chutian: private-cloud resource management."),
    "help.exit_codes": ("退出码：", "Exit codes:"),
    "help.environment": (
        "环境变量：\n  CHUTIAN_SERVER  CHUTIAN_TOKEN  CHUTIAN_CA  CHUTIAN_PROFILE\n  CHUTIAN_LANG  CHUTIAN_CONFIG_HOME",
        "Environment:\n  CHUTIAN_SERVER  CHUTIAN_TOKEN  CHUTIAN_CA  CHUTIAN_PROFILE\n  CHUTIAN_LANG  CHUTIAN_CONFIG_HOME",
    ),
    "help.options_metavar": ("[选项]", "[OPTIONS]"),
    "help.command_metavar": ("命令 [参数]...", "COMMAND [ARGS]..."),
    "help.verb_metavar": ("动作 [参数]...", "COMMAND [ARGS]..."),
    "help.options": ("选项：", "Options:"),
    "help.commands": ("命令：", "Commands:"),
    "help.arguments": ("参数：", "Positional arguments:"),
    "help.required": ("[必填]", "[required]"),
    "help.default": ("[默认：", "[default: "),
    "help.usage": ("用法：", "Usage: "),
    "help.login": (
        (
            "登录：检查令牌并保存到配置文件\n\n\b\n令牌从文件、标准输入或隐藏的提示读入，不作为参数：\n"
            "  chutian login --server https://云:8443 --ca ca.pem --token-file 令牌文件"
        ),
        (
            "Check a token and keep it in the profile\n\n\b\nThe token comes from a file, stdin or a hidden prompt, never an argument:\n"
            "  chutian login --server https://cloud:8443 --ca ca.pem --token-file FILE"
        ),
    ),
    "help.whoami": ("显示当前身份和角色", "Show who you are and your roles"),
    "help.events": ("查看事件；--follow 持续跟踪", "What happened; with --follow, what happens"),
    "help.simulate": (
        "在一组主机上重放一份申请记录，看调度结果（不触及运行中的云）",
        "Replay a trace of requests on hosts (touches no running cloud)",
    ),
    "help.serve": ("运行控制器", "Run the controller"),
    "help.migrate": ("把数据库结构升级到当前版本", "Bring the database's schema up to date"),
    "help.stop-database": ("停止内置的 PostgreSQL", "Stop the embedded PostgreSQL"),
    "help.bootstrap": ("建立第一个管理员", "Make the first administrator"),
    "help.completion": (
        """打印命令行补全脚本

\b
  bash:  eval "$(chutian completion bash)"
  zsh:   eval "$(chutian completion zsh)"    # compinit 之后
  fish:  chutian completion fish | source""",
        """Print the shell completion script

\b
  bash:  eval "$(chutian completion bash)"
  zsh:   eval "$(chutian completion zsh)"    # after compinit
  fish:  chutian completion fish | source""",
    ),
    "help.version": ("显示版本", "Show the version"),
    "help.project.list": ("以树形列出项目", "List projects as a tree"),
    "help.project.show": ("查看一个项目", "Show a project"),
    "help.project.create": (
        "创建项目；路径最后一段是名字\n\n\b\n  chutian project create hubei/health/his --auto-approve instances=3,vcpus=8,memory_mib=16384",
        (
            "Create a project; the last part of PATH is its name\n\n\b\n"
            "  chutian project create hubei/health/his --auto-approve instances=3,vcpus=8,memory_mib=16384"
        ),
    ),
    "help.project.update": ("修改说明或审批策略", "Change the description or the approval policy"),
    "help.project.delete": ("删除空项目", "Delete an empty project"),
    "help.project.grant": (
        "授予角色\n\n\b\n角色：member approver operator admin auditor",
        "Give a user a role in a project\n\n\b\nRoles: member approver operator admin auditor",
    ),
    "help.project.revoke": ("收回角色", "Take a role away"),
    "help.project.roles": ("列出谁有什么角色", "List who has which role"),
    "help.quota.show": ("显示限额、用量、预占和剩余", "Show limits, usage, holds and what is left"),
    "help.quota.set": (
        "设置限额；none 表示取消\n\n\b\n  chutian quota set hubei/health vcpus=64 memory_mib=131072 gpus=none",
        "Set limits; none takes one away\n\n\b\n  chutian quota set hubei/health vcpus=64 memory_mib=131072 gpus=none",
    ),
    "help.user.create": ("创建用户", "Create a user"),
    "help.user.list": ("列出用户", "List users"),
    "help.user.show": ("查看一个用户", "Show a user"),
    "help.user.disable": ("停用用户，其令牌随即失效", "Disable a user: its tokens are refused at once"),
    "help.user.enable": ("重新启用用户", "Enable a user again"),
    "help.user.token": ("为用户签发令牌，只显示这一次", "Make a token for a user; it is shown only this once"),
    "help.user.tokens": ("列出用户的令牌（不含密文）", "List a user's tokens, without their secret"),
    "help.user.revoke": ("吊销令牌", "Revoke a token"),
    "help.flavor.create": ("创建规格", "Create a flavor"),
    "help.flavor.list": ("列出规格", "List flavors"),
    "help.flavor.show": ("查看一个规格", "Show a flavor"),
    "help.flavor.delete": ("删除规格", "Delete a flavor"),
    "help.image.import": (
        "导入镜像\n\n\b\n  chutian image import debian-13 --file debian-13.qcow2 --arch x86_64",
        "Import an image\n\n\b\n  chutian image import debian-13 --file debian-13.qcow2 --arch x86_64",
    ),
    "help.image.upload": ("重新发送镜像的内容", "Send an image's content (again)"),
    "help.image.list": ("列出镜像", "List images"),
    "help.image.show": ("查看一个镜像", "Show an image"),
    "help.image.delete": ("删除镜像", "Delete an image"),
    "help.pool.create": ("创建资源池", "Create a pool"),
    "help.pool.list": ("列出资源池", "List pools"),
    "help.pool.show": ("查看一个资源池", "Show a pool"),
    "help.pool.update": ("修改资源池", "Change a pool"),
    "help.pool.delete": ("删除没有主机的资源池", "Delete a pool without hosts"),
    "help.endpoint.create": (
        "接入接入点并发现其主机\n\n\b\n  chutian endpoint create kvm1 --driver libvirt --uri qemu+ssh://kvm1/system --pool general",
        (
            "Enrol an endpoint and find its hosts\n\n\b\n"
            "  chutian endpoint create kvm1 --driver libvirt --uri qemu+ssh://kvm1/system --pool general"
        ),
    ),
    "help.endpoint.list": ("列出接入点", "List endpoints"),
    "help.endpoint.show": ("查看一个接入点", "Show an endpoint"),
    "help.endpoint.delete": ("移除接入点（其主机须已退役）", "Delete an endpoint whose hosts are retired"),
    "help.host.list": ("列出主机及其用量", "List hosts and what is used of each"),
    "help.host.show": ("查看一台主机", "Show a host"),
    "help.host.update": ("设置主机的机架或专属项目", "Set a host's rack, or dedicate it to a project"),
    "help.host.cordon": ("不再放置新实例，已有的不动", "No new placements; nothing moves"),
    "help.host.uncordon": ("恢复放置", "Allow placements again"),
    "help.host.retire": ("主机退役", "Retire a host for good"),
    "help.request.create": (
        (
            "提交申请单\n\n\b\n  chutian request create -f request.yaml --explain   先看能否满足\n"
            "  chutian request create -f request.yaml --wait      提交并等到实例运行"
        ),
        (
            "Apply for what a file says\n\n\b\n  chutian request create -f request.yaml --explain   would it fit?\n"
            "  chutian request create -f request.yaml --wait      apply, and wait for the instances"
        ),
    ),
    "help.request.list": ("列出申请单", "List requests"),
    "help.request.show": ("查看一张申请单", "Show a request"),
    "help.request.approve": ("批准申请单", "Approve a request"),
    "help.request.refuse": ("拒绝申请单（须说明理由）", "Refuse a request, with a reason"),
    "help.request.cancel": ("撤回申请单", "Cancel a request"),
    "help.request.wait": ("等到有决定且实例都在运行", "Wait until it is decided and its instances are active"),
    "help.instance.create": (
        "创建一个实例\n\n\b\n  chutian instance create --project hubei/health/his --flavor small --image debian-13 --name web --wait",
        "Create an instance\n\n\b\n  chutian instance create --project hubei/health/his --flavor small --image debian-13 --name web --wait",
    ),
    "help.instance.list": ("列出实例", "List instances"),
    "help.instance.show": ("查看一个实例", "Show an instance"),
    "help.instance.start": ("启动实例", "Start an instance"),
    "help.instance.stop": ("关闭实例", "Stop an instance"),
    "help.instance.reboot": ("重启实例", "Reboot an instance"),
    "help.instance.resize": ("更换规格", "Give an instance another flavor"),
    "help.instance.rebuild": ("从镜像重建系统盘，原有数据会丢失", "Make the disk again from the image; its data is lost"),
    "help.instance.protect": ("防止误删", "Keep an instance from being deleted"),
    "help.instance.unprotect": ("解除防误删", "Allow it to be deleted again"),
    "help.instance.delete": ("删除实例及其磁盘", "Delete an instance and its disk"),
    "help.instance.console": ("查看控制台输出", "Show what the guest wrote to its console"),
    "help.instance.wait": ("等待实例到达某个状态", "Wait for a state"),
    "help.plan.drain": ("腾空一台主机需要哪些迁移，或为何不行", "Which moves empty a host, or why it can't be"),
    "help.plan.consolidate": ("腾空尽可能多的主机", "Empty as many hosts of a pool as can be"),
    "help.plan.rebalance": ("使资源池更均衡", "Level how full a pool's hosts are"),
    "help.plan.defragment": ("为某规格腾出更多位置", "Make room for more of a flavor"),
    "help.plan.preempt": (
        "为某规格腾出位置需要抢占谁，或为何不行",
        "Who would have to make way for a flavor, or why even that is not enough",
    ),
    "help.plan.what-if": (
        "假如失去或增加主机、淘汰架构、再放实例",
        "What if hosts were lost or added, an architecture retired, instances placed",
    ),
    "help.explain.request": ("申请单能否满足（不会真的提交）", "Whether the request in a file would fit; nothing is done"),
    "help.explain.refusals": ("哪些申请因没有空间被拒绝，为什么", "What was refused for lack of room, and why"),
    "help.explain.instance": ("实例为什么在这里、为什么是这个状态", "Why an instance is where it is and as it is"),
}

OPTIONS: dict[str, Pair] = {
    "opt.help": ("显示本帮助", "Show this help."),
    "opt.output": ("输出形式", "Form of the output."),
    "opt.lang": ("界面语言", "Language."),
    "opt.profile": ("配置文件中的哪一份", "Which profile of the config file."),
    "opt.server": ("控制器地址", "The controller's address."),
    "opt.ca": ("信任的 CA 证书文件 (PEM)", "CA certificate to trust (PEM file)."),
    "opt.yes": ("不再确认", "Don't ask."),
    "opt.limit": ("一页多少条", "Items on a page."),
    "opt.cursor": ("从哪里继续", "Where to go on."),
    "opt.all": ("所有页", "All pages."),
    "opt.wait": ("等到完成", "Wait until it is done."),
    "opt.timeout": ("最多等多少秒", "Seconds to wait at most."),
    "opt.token-file": ("存有令牌的文件", "File that holds the token."),
    "opt.description": ("说明", "Description."),
    "opt.auto-approve": ("在此之内自动批准；没写的按 0 算", "Requests within are approved at once; what isn't named is 0."),
    "opt.no-auto-approve": ("所有申请都须审批", "Every request needs an approver."),
    "opt.max-priority": ("可申请的最高优先级", "Highest class that may be asked for."),
    "opt.may-preempt": (
        "其申请可否抢占较低优先级的可抢占实例",
        "Whether its requests may take the place of preemptible instances of lower classes.",
    ),
    "opt.priority": ("优先级，默认 normal", "Priority class; normal by default."),
    "opt.of-priority": ("只看此优先级", "Only of this class."),
    "opt.preemptible": (
        "同意在更高优先级的申请需要时被删除（连同磁盘）",
        "Agree that it is deleted, with its disk, when a request of a higher class needs its place.",
    ),
    "opt.preempt": (
        "没有空间时抢占较低优先级的可抢占实例（须项目策略允许）",
        "Where there is no room, take that of preemptible instances of lower classes (if the project's policy lets it).",
    ),
    "opt.kind": ("只限制这一类实例", "Limit only instances of this kind."),
    "opt.display-name": ("显示名", "Name for people."),
    "opt.token-name": ("令牌的用途", "What the token is for."),
    "opt.days": ("多少天后过期", "Days until it expires."),
    "opt.vcpus": ("虚拟 CPU 数", "Virtual CPUs."),
    "opt.memory-mib": ("内存 (MiB)", "Memory in MiB."),
    "opt.disk-gib": ("磁盘 (GiB)", "Disk in GiB."),
    "opt.gpus": ("GPU 数", "GPUs."),
    "opt.arch": ("CPU 架构，如 x86_64、aarch64", "CPU architecture: x86_64, aarch64, …"),
    "opt.trait": ("主机须具备的特性，可重复", "Trait a host must have; repeatable."),
    "opt.flavor-kind": ("实例类型，默认 vm", "Kind of instance; vm by default."),
    "opt.image-file": ("镜像文件", "The image file."),
    "opt.url": ("由控制器从此地址下载", "The controller fetches it from here."),
    "opt.format": ("格式；文件可自动识别", "Format; a file's is recognised."),
    "opt.os": ("操作系统", "Operating system."),
    "opt.sha256": ("内容必须符合的 SHA-256", "SHA-256 the content must have."),
    "opt.sm3": ("内容必须符合的 SM3", "SM3 the content must have."),
    "opt.min-disk-gib": ("至少需要的磁盘 (GiB)", "Least disk in GiB."),
    "opt.min-memory-mib": ("至少需要的内存 (MiB)", "Least memory in MiB."),
    "opt.pool-zone": ("可用区", "Failure domain."),
    "opt.site": ("地点", "Place."),
    "opt.overcommit": ("超分比例，如 vcpus=4", "Overcommit, such as vcpus=4."),
    "opt.reserved": ("为主机自身预留", "Kept for the host itself."),
    "opt.driver": ("驱动，如 libvirt", "Driver, such as libvirt."),
    "opt.uri": ("连接地址", "Where to connect."),
    "opt.endpoint-pool": ("其主机归入的资源池", "Pool that its hosts join."),
    "opt.option": ("驱动选项，可重复", "Driver option; repeatable."),
    "opt.in-pool": ("只看此资源池", "Only in this pool."),
    "opt.in-zone": ("只看此可用区", "Only in this zone."),
    "opt.in-site": ("只看此地点", "Only at this site."),
    "opt.of-kind": ("只看此类实例的", "Only for this kind of instances."),
    "opt.of-arch": ("只看此架构的", "Only for this architecture."),
    "opt.of-driver": ("只看此驱动的", "Only of this driver."),
    "opt.of-disabled": ("只看已停用的（true）或未停用的（false）", "Only those that are disabled (true), or only the others."),
    "opt.in-state": ("只看此状态", "Only in this state."),
    "opt.in-project": ("所在项目", "In which project."),
    "opt.on-host": ("只看此主机上的（运维）", "Only on this host (operators)."),
    "opt.named": ("只看此名字的", "Only of this name."),
    "opt.request-file": ("YAML 或 JSON 申请单；- 为标准输入", "Request in YAML or JSON; - is stdin."),
    "opt.project": ("项目的路径或 id", "Project, by path or id."),
    "opt.reason": ("用途说明", "What it is for."),
    "opt.decision-reason": ("决定的理由", "Reason of the decision."),
    "opt.explain": ("只看能否满足，不执行", "Only say whether it would fit."),
    "opt.idempotency-key": ("幂等键：同一键重试不会做两次", "Same key, same answer: not done twice."),
    "opt.flavor": ("规格", "Flavor."),
    "opt.image": ("镜像", "Image."),
    "opt.other-image": ("换成此镜像", "From this image instead."),
    "opt.instance-name": ("名字，也是主机名", "Name, also the host name."),
    "opt.into-pool": ("只放在此资源池", "Only in this pool."),
    "opt.why-not-host": ("同时说明为何不在此主机上（供运维）", "Tell as well why it is not on this host (for operators)."),
    "opt.spare-hosts": (
        "任何时刻都应能失去这么多台主机并重启其实例（N+k）",
        "So many hosts may be lost at any moment, and all is restarted (N+k).",
    ),
    "opt.preempt-copies": ("要放多少个（要么全放，要么不放）", "How many are to find a place, all or none."),
    "opt.preempt-priority": ("其优先级，默认 critical", "Their class; critical by default."),
    "opt.copies": ("够多少个即可", "How many more are enough."),
    "opt.lose": ("失去此主机", "This host is lost."),
    "opt.add": ("增加 N 台与此相同的主机", "N more hosts like this one."),
    "opt.retire-arch": ("此架构的主机全部淘汰", "All hosts of this architecture go."),
    "opt.place": ("再放置 N 个此规格的实例", "N instances of this flavor are to be placed."),
    "opt.into-site": ("只放在此地点", "Only at this site."),
    "opt.pool-spare-hosts": (
        "须能失去这么多台主机并在其余主机上重启其实例（N+k）",
        "So many hosts may be lost, and all is restarted on the others (N+k).",
    ),
    "opt.pool-level": ("可承载系统的最高等保级别（0–5）", "Protection level up to which systems may be here (0-5)."),
    "opt.project-level": (
        "系统的等保级别（0–5）；4 级起使用专属主机",
        "Protection level of its systems (0-5); from 4 on they get hosts of their own.",
    ),
    "opt.no-level": ("沿用上级项目的等保级别", "The level of the project above holds."),
    "opt.rack": ("所在机架", "The rack that it is in."),
    "opt.dedicated-to": ("仅供此项目及其下级使用", "Only for this project and those below it."),
    "opt.no-dedication": ("供所有项目使用", "For every project."),
    "opt.into-zone": ("只放在此可用区", "Only in this zone."),
    "opt.instance-kind": ("实例类型", "Kind of instance."),
    "opt.spread": ("与本项目其他实例的相对位置", "Where, relative to the others."),
    "opt.domain": ("相对位置按什么算", "What apart or together means."),
    "opt.user-data": ("cloud-init 用户数据文件", "cloud-init user data file."),
    "opt.ssh-key": ("SSH 公钥文件，可重复", "SSH public key file; repeatable."),
    "opt.term-days": ("使用期限（天）", "Term in days."),
    "opt.if-generation": ("仅当代数仍为此值时执行", "Only if its generation is still this."),
    "opt.max-bytes": ("最后多少字节", "How many of the last bytes."),
    "opt.follow": ("持续跟踪", "Go on as it grows."),
    "opt.raw": ("不过滤控制字符", "Keep control sequences."),
    "opt.for": ("等待的状态", "State to wait for."),
    "opt.object": ("只看此对象（id 或实例名）", "Only of this object (id or instance)."),
    "opt.after": ("此游标之后的", "After this cursor."),
}
