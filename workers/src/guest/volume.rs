//! The volume that a machine has for itself, over iSCSI: a unit logs in at every boot, before the
//! agent starts, and mounts it. Only a device whose beginning holds nothing gets a file system, and one
//! that cannot be mounted keeps nobody out: whoever it belongs to is needed to mend it.

use stead_schemas::step::volume::AttachedVolume;

use super::user_data::quoted;

pub(super) const SCRIPT: &str = "/usr/local/sbin/stead-volume";
pub(super) const UNIT_NAME: &str = "stead-volume.service";

/// Tried again until TrueNAS answers. What is stopped after the agent is unmounted in order.
pub(super) const UNIT: &str = "\
[Unit]
Description=The volume of this workspace
Wants=network-online.target
After=network-online.target cloud-init.service cloud-init-network.service iscsid.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/stead-volume
ExecStop=/usr/local/sbin/stead-volume stop
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=2
";

/// Logs in without asking the portal which targets it has: the one that is meant is known. What was
/// noted of it is forgotten first.
/// `blkid` says the same of what it cannot read as of what is empty, so that a device counts as empty
/// only if its beginning is read and is zeros. What holds anything else than our kind of file system
/// is its user's to mount; the mount point cannot be written to then.
pub(super) fn script(volume: &AttachedVolume) -> String {
    let AttachedVolume { portal, target, initiator, .. } = volume;
    let (at, to, who) = (quoted(portal), quoted(target), quoted(initiator));
    format!(
        r#"#!/bin/sh
# stead-volume: {portal} {target} {initiator}
# Logs in to this workspace's volume and mounts it on /data.
set -u
portal={at}
target={to}
initiator={who}
data=/data

node() {{
    iscsiadm --mode node --targetname "$target" "$@"
}}

if [ "${{1-}}" = stop ]; then
    ! mountpoint -q "$data" || umount "$data" || exit 1
    node --logout
    exit 0
fi

mkdir -p /etc/iscsi "$data"
mountpoint -q "$data" || chattr +i "$data" 2>/dev/null
if [ "$(cat /etc/iscsi/initiatorname.iscsi 2>/dev/null)" != "InitiatorName=$initiator" ]; then
    echo "InitiatorName=$initiator" >/etc/iscsi/initiatorname.iscsi || exit 1
    systemctl restart iscsid.service
fi
if ! iscsiadm --mode session 2>/dev/null | grep -qF " $target "; then
    node --op delete >/dev/null 2>&1
    node --portal "$portal" --op new >/dev/null || exit 1
    node --op update --name node.startup --value manual || exit 1
    node --login || exit 1
fi
iscsiadm --mode session --rescan >/dev/null || exit 1
device= tries=0
until device=$(readlink -e /dev/disk/by-path/*-iscsi-"$target"-lun-0); do
    tries=$((tries + 1))
    [ "$tries" -le 30 ] || {{ echo "stead: the volume does not appear" >&2; exit 1; }}
    sleep 1
done

kind() {{
    blkid --probe --output value --match-tag TYPE "$device"
}}

blkid --probe "$device" >/dev/null 2>&1
if [ "$?" = 2 ] && cmp --silent --bytes=16777216 "$device" /dev/zero; then
    mkfs.ext4 -q -m 0 -E root_owner=1000:1000 "$device" || exit 1
fi
if [ "$(kind)" != ext4 ]; then
    echo "stead: the volume holds something that is not mounted by itself; it is left alone" >&2
    exit 0
fi
if ! mountpoint -q "$data"; then
    e2fsck -p "$device" >/dev/null
    [ "$?" -le 2 ] || {{ echo "stead: the volume's file system needs a hand; it is not mounted" >&2; exit 0; }}
    mount -t ext4 -o noatime,_netdev "$device" "$data" ||
        {{ echo "stead: the volume cannot be mounted" >&2; exit 0; }}
fi
resize2fs "$device" >/dev/null 2>&1 || echo "stead: the volume's file system cannot grow" >&2
exit 0
"#
    )
}
