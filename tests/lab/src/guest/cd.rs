//! A seed on a CD, read as Linux does: by its label, and the names that Joliet has for its files.

use super::seed::{Seed, instance_id};
use crate::world::World;

const SECTOR: usize = 2048;

/// The seed in a drive of the machine, if one of them has a CD with the label.
pub(super) fn seed(world: &World, vmid: u32) -> Option<Seed> {
    let disks: Vec<Vec<u8>> = world.read(|state| {
        let vm = state.proxmox.vms.get(&vmid)?;
        // The kernels of cloud images know no other drives.
        let scsi = crate::proxmox::drives(vm).filter(|(drive, _)| drive.starts_with("scsi"));
        let volumes = scsi.map(|(_, volume)| volume);
        Some(volumes.filter_map(|volume| state.proxmox.images.get(volume)).cloned().collect())
    })?;
    disks.iter().find_map(|disk| {
        let text = |name| file(disk, name).and_then(|bytes| String::from_utf8(bytes).ok());
        let (meta, user_data) = (text("meta-data")?, text("user-data")?);
        Some(Seed { instance: instance_id(&meta), user_data })
    })
}

/// A file in the one folder of a CD that is labelled as a seed.
fn file(disk: &[u8], name: &str) -> Option<Vec<u8>> {
    let descriptor = disk.get(17 * SECTOR..18 * SECTOR)?;
    let is_joliet = descriptor.starts_with(b"\x02CD001\x01") && &descriptor[88..91] == b"%/E";
    if !is_joliet || text(&descriptor[40..72]).trim_end().to_lowercase() != "cidata" {
        return None;
    }
    let root = &descriptor[156..190];
    let mut folder = extent(disk, root)?;
    while let Some(&size) = folder.first().filter(|size| **size > 0) {
        let record = folder.get(..usize::from(size))?;
        let named = record.get(33..33 + usize::from(record[32]))?;
        if text(named) == name {
            return extent(disk, record).map(<[u8]>::to_vec);
        }
        folder = &folder[usize::from(size)..];
    }
    None
}

fn extent<'a>(disk: &'a [u8], record: &[u8]) -> Option<&'a [u8]> {
    let number = |at: usize| {
        let bytes = record.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let start = number(2)? * SECTOR;
    disk.get(start..start + number(10)?)
}

/// Two bytes for each letter, the greater first.
fn text(bytes: &[u8]) -> String {
    let letters: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&letters)
}
