//! The templates of a site: data, checked like everything else.

use std::collections::BTreeSet;

use stead_schemas::site::{Guest, Network, Range, System, Template};

use super::proxmox::is_bridge;
use super::reader::Reader;

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Template> {
    let tables = reader.tables("template");
    if tables.is_empty() {
        let words = "there is none; write a [[template]] with name, vmid, disk_gb, coder_template";
        reader.add(None, "template".to_owned(), words.to_owned());
    }
    let mut names = BTreeSet::new();
    let mut templates = Vec::new();
    for (line, value) in tables {
        match serde_json::from_value::<Template>(value) {
            Ok(template) => {
                check(reader, line, &template);
                if !names.insert(template.name.clone()) {
                    let words = format!("there are two templates of the name {}", template.name);
                    reader.add(Some(line), "template.name".to_owned(), words);
                }
                templates.push(template);
            }
            Err(error) => reader.add(Some(line), "template".to_owned(), error.to_string()),
        }
    }
    templates
}

fn check(reader: &mut Reader<'_>, line: usize, template: &Template) {
    let ranges = [
        ("cpu_cores", template.cpu_cores),
        ("memory_gb", template.memory_gb),
        ("storage_quota_gb", template.storage_quota_gb),
    ];
    for (name, Range { min, max, default }) in ranges {
        if min > max || !(min..=max).contains(&default) {
            let words = format!("min {min}, max {max}, default {default} do not fit together");
            reader.add(Some(line), format!("template.{name}"), words);
        }
    }
    if let Some(Network { bridge, vlan }) = &template.network {
        if !is_bridge(bridge) {
            let words = format!("`{bridge}` is no bridge of Proxmox's, such as vmbr1");
            reader.add(Some(line), "template.network".to_owned(), words);
        }
        if vlan.is_some_and(|vlan| !(1..=4094).contains(&vlan)) {
            let words = "a VLAN has a number from 1 to 4094".to_owned();
            reader.add(Some(line), "template.network".to_owned(), words);
        }
    }
    if template.storage_backend.is_empty() {
        let words = "name at least one storage backend".to_owned();
        reader.add(Some(line), "template.storage_backend".to_owned(), words);
    }
    let Guest { system, docker, desktop } = template.guest;
    if system == System::Windows && (docker || desktop) {
        let words = "docker and desktop are of Linux; Windows has a desktop of its own".to_owned();
        reader.add(Some(line), "template.guest".to_owned(), words);
    }
}
