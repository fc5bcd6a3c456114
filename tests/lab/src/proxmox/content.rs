//! Images of CDs: laid onto the one storage that takes them, listed, deleted. One of the same name is
//! overwritten without a word.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer;
use super::params::Params;
use super::state::{IMAGES, STORAGES};
use super::tasks::{self, Plan};
use super::{Place, vm};
use crate::net::{Answer, Call};
use crate::world::World;

/// A file comes last: what it is must be known before.
pub(super) fn upload(
    world: &Arc<World>,
    call: &Call,
    params: &Params,
    at: (&str, &str),
) -> Result<Answer, Answer> {
    let (node, storage) = at;
    params.check(&["content", "filename"], &["checksum", "checksum-algorithm", "tmpfilename"])?;
    takes_images(storage)?;
    let mut parts = call.parts();
    let Some(file) = parts.pop().filter(|part| part.name == "filename") else {
        return Err(answer::error(400, "no upload file found"));
    };
    let name = file.file.unwrap_or_default();
    if params.text("content").as_deref() != Some("iso") || !name.ends_with(".iso") {
        return Err(answer::parameter("filename", "wrong file extension"));
    }
    let volume = format!("{storage}:iso/{name}");
    let plan = Plan { kind: "imgcopy", ms: 80, needs_room: true };
    let place = Place { world, node, vmid: 0 };
    Ok(tasks::start(&place, plan, move |world, doom| {
        if let Some(doom) = doom {
            return Err(doom.exit.clone());
        }
        world.change(|state| state.proxmox.images.insert(volume.clone(), file.body));
        world.journal.effect("proxmox", "image-laid", &volume, "");
        Ok(())
    }))
}

pub(super) fn list(world: &World, params: &Params, storage: &str) -> Result<Answer, Answer> {
    params.check(&[], &["content", "vmid"])?;
    takes_images(storage)?;
    let line = |(volume, bytes): (&String, &Vec<u8>)| json!({ "volid": volume, "content": "iso", "format": "iso", "size": bytes.len(), "ctime": 0 });
    let lines: Vec<Value> = world.read(|state| state.proxmox.images.iter().map(line).collect());
    Ok(answer::data(Value::from(lines)))
}

pub(super) fn delete(
    world: &Arc<World>,
    params: &Params,
    at: (&str, &str),
    volume: &str,
) -> Result<Answer, Answer> {
    let (node, storage) = at;
    params.check(&[], &["delay"])?;
    takes_images(storage)?;
    let volume = volume.to_owned();
    let plan = Plan { kind: "imgdel", ms: 40, needs_room: false };
    let place = Place { world, node, vmid: 0 };
    Ok(tasks::start(&place, plan, move |world, doom| {
        if let Some(doom) = doom {
            return Err(doom.exit.clone());
        }
        // One that is not there is no error to Proxmox.
        if world.change(|state| state.proxmox.images.remove(&volume)).is_some() {
            world.journal.effect("proxmox", "image-deleted", &volume, "");
        }
        Ok(())
    }))
}

/// The images in the drives of a machine, each with its drive.
pub(crate) fn drives(vm: &vm::Vm) -> impl Iterator<Item = (&str, &str)> {
    let cds = vm.config.iter().filter(|(_, setting)| setting.contains("media=cdrom"));
    let images = cds.filter_map(|(key, setting)| Some((key.as_str(), setting.split(',').next()?)));
    images.filter(|(_, volume)| *volume != "none")
}

fn takes_images(storage: &str) -> Result<(), Answer> {
    let Some((_, kind, _)) = STORAGES.iter().find(|(name, ..)| *name == storage) else {
        return Err(answer::error(500, format!("storage '{storage}' does not exist")));
    };
    if storage != IMAGES {
        let words = format!("can't upload to storage type '{kind}', not a file based storage!");
        return Err(answer::error(500, words));
    }
    Ok(())
}
