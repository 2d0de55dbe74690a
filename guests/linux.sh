# What the builders of small guests have in common: Debian packages unpacked into the cache, and an initramfs of busybox, programs and modules.
# To be sourced; `cache` and `work` are the caller's folders. Nothing is installed on the host, no loop device and no mount is needed.

# unpack NAME PACKAGES.txt [KERNEL]: fetch the packages listed, once, and unpack them into the cache; sets `packages`, `kernel` and `vmlinuz`
unpack() {
    local listed
    listed=$(sed 's/#.*//' "$2" | xargs)${3:+ $3}
    packages=$cache/$1-packages-$(echo "$listed" | tr ' ' '\n' | sha256sum | cut -c1-16)
    if [ ! -d "$packages" ]; then
        echo "fetching the $1 guest's Debian packages (once, about 35 MB)" >&2
        mkdir "$work/debs" "$work/packages"
        _fetch "$listed" 2>"$work/fetch.log" || { apt-get update -qq && _fetch "$listed"; } || { cat "$work/fetch.log" >&2; exit 1; }
        for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/packages"; done
        rm -rf "$packages.part" "$work/packages/usr/share"
        mv "$work/packages" "$packages.part"
        depmod -b "$packages.part" "$(basename "$packages.part"/boot/vmlinuz-* | sed 's/^vmlinuz-//')"
        mv "$packages.part" "$packages"
    fi
    vmlinuz=$(echo "$packages"/boot/vmlinuz-*)
    kernel=${vmlinuz##*/vmlinuz-}
}

_fetch() { # the kernel is the one that linux-image-… depends on today
    local image names
    names=$(echo "$1" | tr ' ' '\n' | grep -v '^linux-image')
    image=$(apt-cache depends "$(echo "$1" | tr ' ' '\n' | grep '^linux-image')" 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$image" ] && (cd "$work/debs" && apt-get -o APT::Sandbox::User=root download -qq $names "$image")
}

# make_root ROOT: the folders, busybox and its applets
make_root() {
    mkdir -p "$1"/{bin,dev,proc,sys,etc,lib/mod,lib64,usr,run,var}
    ln -s ../bin "$1/usr/bin"; ln -s ../bin "$1/usr/sbin"; ln -s bin "$1/sbin"; ln -s lib "$1/usr/lib"
    cp "$packages/bin/busybox" "$1/bin/"
    for applet in $("$packages/bin/busybox" --list); do [ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"; done
}

# add_programs ROOT FILE...: programs of the packages, with the libraries that they are linked with
add_programs() {
    local root=$1 loader=$packages/lib64/ld-linux-x86-64.so.2 libraries=$packages/lib/x86_64-linux-gnu:$packages/usr/lib/x86_64-linux-gnu
    shift
    cp "${@/#/$packages}" "$root/bin/"
    for program in "${@/#/$packages}"; do "$loader" --library-path "$libraries" --list "$program"; done | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
        case $library in "$packages"/*) cp -L "$library" "$root/lib/" ;; /lib64/ld-*) ;; *) echo "$library is not in packages.txt" >&2; exit 1 ;; esac
    done
    cp -L "$loader" "$root/lib64/"
    cp -L "$packages"/lib/x86_64-linux-gnu/libnss_files.so.2 "$root/lib/"
}

# modules NAME...: files of the modules named, and of what they need, in the order of loading
modules() {
    for module in "$@"; do modprobe -d "$packages" -S "$kernel" --show-depends "$module" | awk '/^insmod/ {print $2}'; done | awk '!seen[$0]++'
}

# add_modules ROOT LIST: the modules in the file LIST, and a list of the same name that says in which order to load them
add_modules() {
    xargs -a "$2" cp -t "$1/lib/mod/"
    sed 's|.*/||' "$2" >"$1/lib/mod/${2##*/}"
}

# pack ROOT: the initramfs, on standard output
pack() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -1n); }
