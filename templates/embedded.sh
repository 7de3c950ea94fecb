#!/bin/sh
# Sets up the root file system of an image in fresh namespaces and becomes the job.
#
#   embedded.sh ROOT SHM-BYTES STARTED [SOURCE TARGET ro|rw]... -- COMMAND...
#
# Runs as process 1 of a new PID namespace and a new mount namespace, where nothing that is mounted
# here is seen by the host. It has all rights over those namespaces: as root, or as the root of a user
# namespace. COMMAND gives these rights up and enters ROOT. The file STARTED appears when all is set
# up, so that the caller can tell a job that failed from one that never ran.
#
# Only sh and util-linux are needed.
set -eu

root=$1
shm=$2
started=$3
shift 3

# Flags that a mount already has must be named again: the kernel lets a user namespace add ro, but not
# take nosuid or nodev away (mount_namespaces(7), "Restrictions on mount namespaces").
read_only() {
    flags=$(findmnt --noheadings --first-only --output VFS-OPTIONS --mountpoint "$1")
    mount -o "remount,bind,ro,${flags#r[ow],}" "$1"
}

# A mount point is made where there is none: below /run, /work or /out; all else is read-only.
attach() {
    place=$root$2
    if [ ! -e "$place" ]; then
        if [ -d "$1" ]; then
            mkdir -p "$place"
        else
            mkdir -p "${place%/*}"
            : >"$place"
        fi
    fi
    mount --rbind "$1" "$place"
    [ "$3" = rw ] || read_only "$place"
}

mount --rbind "$root" "$root"
read_only "$root"

mount -t proc proc "$root/proc"
for part in bus fs irq sys sysrq-trigger; do
    [ ! -e "$root/proc/$part" ] || attach "$root/proc/$part" "/proc/$part" ro
done

# A user namespace may not unmount parts of what it inherits, so /sys comes whole.
mount --rbind /sys "$root/sys"
findmnt --noheadings --list --submounts --output TARGET --mountpoint "$root/sys" |
    while read -r place; do
        read_only "$place"
    done

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/run"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    attach "/dev/$device" "/dev/$device" rw
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs -o "mode=1777,nosuid,nodev,size=$shm" tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

while [ "$1" != -- ]; do
    attach "$1" "$2" "$3"
    shift 3
done
shift

# Without a network of the host's there is still loopback, which distributed training listens on.
[ -z "${ENVLOCK_LOOPBACK-}" ] || ip link set lo up 2>/dev/null || true

: >"$started"
exec "$@"
