//! Formats that Proxmox VE checks, and the types of its configuration keys.

/// Keys whose values are numbers in JSON.
const NUMBERS: [&str; 18] = [
    "acpi",
    "autostart",
    "balloon",
    "ciupgrade",
    "cores",
    "cpuunits",
    "freeze",
    "kvm",
    "localtime",
    "numa",
    "onboot",
    "protection",
    "reboot",
    "sockets",
    "tablet",
    "tdf",
    "template",
    "vcpus",
];

/// Keys without a number at their end.
const PLAIN: [&str; 69] = [
    "acpi",
    "affinity",
    "agent",
    "allow-ksm",
    "amd-sev",
    "arch",
    "args",
    "audio0",
    "autostart",
    "balloon",
    "bios",
    "boot",
    "bootdisk",
    "cdrom",
    "cicustom",
    "cipassword",
    "citype",
    "ciupgrade",
    "ciuser",
    "cores",
    "cpu",
    "cpulimit",
    "cpuunits",
    "description",
    "efidisk0",
    "freeze",
    "hookscript",
    "hotplug",
    "hugepages",
    "import-working-storage",
    "intel-tdx",
    "ivshmem",
    "keephugepages",
    "keyboard",
    "kvm",
    "localtime",
    "lock",
    "machine",
    "memory",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "nameserver",
    "numa",
    "onboot",
    "ostype",
    "protection",
    "reboot",
    "rng0",
    "scsihw",
    "searchdomain",
    "shares",
    "smbios1",
    "smp",
    "sockets",
    "spice_enhancements",
    "sshkeys",
    "startdate",
    "startup",
    "tablet",
    "tags",
    "tdf",
    "template",
    "tpmstate0",
    "vcpus",
    "vga",
    "vmgenid",
    "vmstatestorage",
    "watchdog",
];

/// Keys that come in numbers: `net0`, `scsi3`.
const NUMBERED: [&str; 13] = [
    "hostpci", "ide", "ipconfig", "net", "numa", "parallel", "sata", "scsi", "serial", "unused",
    "usb", "virtio", "virtiofs",
];

/// Keys that only root with a ticket may set.
pub(super) const ROOT_ONLY: [&str; 4] = ["args", "arch", "amd-sev", "hookscript"];

pub(super) fn is_number(key: &str) -> bool {
    NUMBERS.contains(&key)
}

pub(super) fn is_config_key(key: &str) -> bool {
    let stem = key.trim_end_matches(|digit: char| digit.is_ascii_digit());
    PLAIN.contains(&key) || (stem != key && NUMBERED.contains(&stem))
}

/// A DNS name.
pub(super) fn valid_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        !label.is_empty()
            && label.len() <= 63
            && inner
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Tags as they are stored, or `None` if one of them is not a tag.
pub(super) fn normal_tags(tags: &str) -> Option<String> {
    let valid = |tag: &&str| {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        tag.starts_with(first) && tag.chars().all(|c| first(c) || matches!(c, '-' | '+' | '.'))
    };
    let all: Vec<&str> = tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).collect();
    all.iter().all(valid).then(|| all.join(";").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{is_config_key, normal_tags, valid_name};

    #[test]
    fn numbered_keys_need_their_number() {
        assert!(is_config_key("net0") && is_config_key("memory") && is_config_key("scsi12"));
        assert!(!is_config_key("net") && !is_config_key("nonsense"));
    }

    #[test]
    fn names_are_dns_names_and_tags_have_their_own_alphabet() {
        assert!(valid_name("ws-john-dev") && !valid_name("john_doe") && !valid_name("-x"));
        assert_eq!(normal_tags("stead, owner.john").as_deref(), Some("stead;owner.john"));
        assert_eq!(normal_tags("no=equals"), None);
    }
}
