# What the builders of small guests have in common: Debian packages unpacked into the cache, and an initramfs of busybox, programs and modules.
# To be sourced; `cache` and `work` are the caller's folders. Nothing is installed on the host, no loop device and no mount is needed.

# unpack NAME PACKAGES.txt [KERNEL]: fetch the packages listed, once, and unpack them into the cache; sets `packages`, `kernel` and `vmlinuz`
unpack() {
    packages=$(_unpacked "$1" "$(sed 's/#.*//' "$2" | xargs)${3:+ $3}")
    vmlinuz=$(echo "$packages"/boot/vmlinuz-*)
    kernel=${vmlinuz##*/vmlinuz-}
}

_unpacked() { # _unpacked NAME PACKAGES: the folder with them
    local folder=$cache/$1-packages-$(echo "$2" | tr ' ' '\n' | sha256sum | cut -c1-16) debs part
    if [ ! -d "$folder" ]; then
        echo "fetching Debian packages for $1 (once)" >&2
        debs=$(mktemp -d -p "$work") part=$(mktemp -d -p "$cache" "$1-XXXXXX")
        _fetch "$debs" "$2" 2>"$work/fetch.log" || { apt-get update -qq && _fetch "$debs" "$2"; } || { rm -rf "$part"; cat "$work/fetch.log" >&2; exit 1; }
        for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$part"; done
        rm -rf "$part/usr/share"
        for image in "$part"/boot/vmlinuz-*; do [ ! -e "$image" ] || depmod -b "$part" "${image##*/vmlinuz-}"; done
        mv -T "$part" "$folder" 2>/dev/null || rm -rf "$part" # another builder was quicker
    fi
    echo "$folder"
}

_fetch() { # _fetch FOLDER PACKAGES; the kernel is the one that linux-image-… depends on today
    local image='' meta names
    names=$(echo "$2" | tr ' ' '\n' | grep -v '^linux-image')
    meta=$(echo "$2" | tr ' ' '\n' | grep '^linux-image') || true
    if [ -n "$meta" ]; then
        image=$(apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
        [ -n "$image" ] || return
    fi
    (cd "$1" && apt-get -o APT::Sandbox::User=root download -qq $names $image)
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

# add_efi VOLUME GRUB: what UEFI starts a FAT file system by, with Secure Boot as well: Debian's shim and GRUB, as they were signed. GRUB is `grubx64`,
# configured by EFI/debian/grub.cfg on the same volume, or `gcdx64`, by boot/grub/grub.cfg on the disc that has a file .disk/info
add_efi() {
    local signed
    signed=$(_unpacked efi "grub-efi-amd64-signed shim-signed")
    mmd -i "$1" ::EFI ::EFI/BOOT ::EFI/debian
    mcopy -i "$1" "$signed/usr/lib/shim/shimx64.efi.signed" ::EFI/BOOT/BOOTX64.EFI
    mcopy -i "$1" "$signed/usr/lib/grub/x86_64-efi-signed/$2.efi.signed" ::EFI/BOOT/grubx64.efi
}

# pack ROOT: the initramfs, on standard output
pack() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -1n); }
