//! iSCSI: portals, groups of initiators, targets, extents, and what joins the last two. A target that
//! somebody is logged in at is in use, and whatever hangs on it with it. A group that is deleted leaves
//! its targets open to everybody.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::methods::{Reply, fields, number, option_at, unexpected};
use super::query;
use super::rpc::{EINVAL, RpcError};
use super::state::State;
use crate::inventory::IscsiEntry;
use crate::world::World;

/// What every target's name begins with.
const BASENAME: &str = "iqn.2005-10.org.freenas.ctl";

/// Things of one kind, by number.
pub(crate) type Things = BTreeMap<i64, Map<String, Value>>;

/// What the NAS knows of iSCSI.
#[derive(Clone)]
pub(crate) struct Iscsi {
    pub(crate) groups: Things,
    pub(crate) targets: Things,
    pub(crate) extents: Things,
    pub(crate) joints: Things,
    next: i64,
    /// Who is logged in at which target, by the machine that is.
    pub(crate) sessions: BTreeMap<u32, (String, String)>,
}

impl Default for Iscsi {
    fn default() -> Self {
        let things = Things::new;
        let (groups, targets, extents, joints) = (things(), things(), things(), things());
        Self { groups, targets, extents, joints, next: 1, sessions: BTreeMap::new() }
    }
}

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Group,
    Target,
    Extent,
    Joint,
}

impl Kind {
    /// Of a method's name: `iscsi.target.create`.
    pub(super) fn of(method: &str) -> Option<(Self, &str)> {
        let (word, what) = method.strip_prefix("iscsi.")?.split_once('.')?;
        let kind = match word {
            "initiator" => Self::Group,
            "target" => Self::Target,
            "extent" => Self::Extent,
            "targetextent" => Self::Joint,
            _ => return None,
        };
        Some((kind, what))
    }

    fn word(self) -> &'static str {
        match self {
            Self::Group => "initiator",
            Self::Target => "target",
            Self::Extent => "extent",
            Self::Joint => "targetextent",
        }
    }

    /// What it is if nothing is said; there is no other field.
    fn defaults(self) -> Value {
        match self {
            Self::Group => json!({ "initiators": [], "comment": "" }),
            Self::Target => json!({
                "name": null, "alias": null, "mode": "ISCSI", "groups": [], "auth_networks": [],
                "iscsi_parameters": null,
            }),
            Self::Extent => json!({
                "name": null, "type": "DISK", "disk": null, "serial": null, "path": null,
                "filesize": "0", "blocksize": 512, "pblocksize": false, "avail_threshold": null,
                "comment": "", "insecure_tpc": true, "xen": false, "rpm": "SSD", "ro": false,
                "enabled": true, "product_id": null,
            }),
            Self::Joint => json!({ "target": null, "lunid": null, "extent": null }),
        }
    }

    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Group => &[],
            Self::Target | Self::Extent => &["name"],
            Self::Joint => &["target", "extent"],
        }
    }
}

impl Iscsi {
    pub(super) fn things(&mut self, kind: Kind) -> &mut Things {
        match kind {
            Kind::Group => &mut self.groups,
            Kind::Target => &mut self.targets,
            Kind::Extent => &mut self.extents,
            Kind::Joint => &mut self.joints,
        }
    }

    /// Logs a machine in. False if there is no such target, no volume behind it, or it is not for him.
    pub(crate) fn log_in(&mut self, machine: u32, iqn: &str, initiator: &str) -> bool {
        let name = iqn.strip_prefix(BASENAME).and_then(|rest| rest.strip_prefix(':'));
        let target = self.targets.values().find(|target| Some(text(target, "name")) == name);
        let Some(target) = target else { return false };
        let is_shown = self.joints.values().any(|joint| joint["target"] == target["id"]);
        let groups = target["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lets_in = |group: &Value| match group["initiator"].as_i64() {
            None => true,
            Some(id) => self.groups.get(&id).is_some_and(|group| {
                let names = group["initiators"].as_array().map(Vec::as_slice).unwrap_or_default();
                names.is_empty() || names.iter().any(|name| name == initiator)
            }),
        };
        let may = is_shown && groups.iter().any(lets_in);
        if may {
            let session = (text(target, "name").to_owned(), initiator.to_owned());
            self.sessions.insert(machine, session);
        }
        may
    }

    /// All of it, for the inventory.
    pub(crate) fn entries(&self) -> Vec<IscsiEntry> {
        let kinds = [
            (Kind::Extent, &self.extents),
            (Kind::Group, &self.groups),
            (Kind::Target, &self.targets),
            (Kind::Joint, &self.joints),
        ];
        let all = kinds
            .into_iter()
            .flat_map(|(kind, things)| things.iter().map(move |(id, thing)| (kind, id, thing)));
        all.map(|(kind, id, thing)| {
            let name = Some(text(thing, "name")).filter(|name| !name.is_empty());
            let name = name.map_or_else(|| id.to_string(), str::to_owned);
            let mut sessions = self.sessions.values().filter(|_| kind == Kind::Target);
            let session = sessions.find(|(at, _)| *at == name);
            let mark = [text(thing, "comment"), text(thing, "alias")].concat();
            let initiator = session.map(|(_, who)| who.clone()).unwrap_or_default();
            IscsiEntry { kind: kind.word().to_owned(), name, mark, initiator }
        })
        .collect()
    }

    /// The name of a target among these that somebody is logged in at.
    fn in_use(&self, targets: &[&Value]) -> Option<String> {
        let names = self.targets.values().filter(|target| targets.contains(&&target["id"]));
        let mut names = names.map(|target| text(target, "name").to_owned());
        names.find(|name| self.sessions.values().any(|(at, _)| at == name))
    }
}

pub(super) fn text<'a>(thing: &'a Map<String, Value>, name: &str) -> &'a str {
    thing.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn config() -> Value {
    json!({
        "id": 1, "basename": BASENAME, "isns_servers": [], "listen_port": 3260,
        "pool_avail_threshold": null, "alua": false, "iser": false,
    })
}

pub(super) fn call(
    world: &World,
    kind: Kind,
    what: &str,
    params: &[Value],
) -> Result<Reply, RpcError> {
    match what {
        "create" => create(world, kind, params),
        "update" => update(world, kind, params),
        "delete" => delete(world, kind, params),
        "query" => {
            let all = |iscsi: &mut Iscsi| iscsi.things(kind).values().cloned().collect::<Vec<_>>();
            let items = world.change_quietly(|state| all(&mut state.truenas.iscsi));
            query::run(items.into_iter().map(Value::Object).collect(), params)
        }
        _ => Err(RpcError::NoMethod),
    }
}

fn create(world: &World, kind: Kind, params: &[Value]) -> Result<Reply, RpcError> {
    let mut thing = kind.defaults().as_object().cloned().unwrap_or_default();
    let known: Vec<String> = thing.keys().cloned().collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    thing.extend(fields(params, 0, kind.required(), &known)?);
    world.change(|state| {
        let nas = &mut state.truenas;
        let id = nas.iscsi.next;
        complete(nas, kind, &mut thing, id);
        validate(nas, kind, &thing, None)?;
        nas.iscsi.next += 1;
        note(world, kind, "created", &thing);
        nas.iscsi.things(kind).insert(id, thing.clone());
        Ok(Value::Object(thing).into())
    })
}

/// What the NAS adds of its own.
fn complete(nas: &State, kind: Kind, thing: &mut Map<String, Value>, id: i64) {
    thing.insert("id".to_owned(), Value::from(id));
    match kind {
        Kind::Group => {}
        Kind::Target => {
            thing.insert("rel_tgt_id".to_owned(), Value::from(id));
        }
        Kind::Extent => {
            if thing["serial"].is_null() {
                thing.insert("serial".to_owned(), Value::from(format!("{id:015x}")));
            }
            let naa = format!("0x6589cfc000000{id:019x}");
            let more = json!({ "naa": naa, "vendor": "TrueNAS", "locked": false });
            thing.extend(more.as_object().cloned().unwrap_or_default());
        }
        Kind::Joint => {
            let taken = |lun: &i64| {
                let of_it = |other: &&Map<String, Value>| other["target"] == thing["target"];
                nas.iscsi.joints.values().filter(of_it).any(|other| other["lunid"] == *lun)
            };
            if thing["lunid"].is_null() {
                let free = (0..).find(|lun| !taken(lun));
                thing.insert("lunid".to_owned(), json!(free));
            }
        }
    }
}

fn update(world: &World, kind: Kind, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    let known = kind.defaults();
    let known = known.as_object().cloned().unwrap_or_default();
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    let data = fields(params, 1, &[], &known)?;
    world.change(|state| {
        let nas = &mut state.truenas;
        let mut thing =
            nas.iscsi.things(kind).get(&id).cloned().ok_or_else(|| missing(kind, id))?;
        thing.extend(data);
        validate(nas, kind, &thing, Some(id))?;
        note(world, kind, "updated", &thing);
        nas.iscsi.things(kind).insert(id, thing.clone());
        Ok(Value::Object(thing).into())
    })
}

fn missing(kind: Kind, id: i64) -> RpcError {
    RpcError::missing(&format!("iscsi.{}", kind.word()), &id.to_string())
}

fn note(world: &World, kind: Kind, what: &str, thing: &Map<String, Value>) {
    let name = text(thing, "name");
    let mark = [text(thing, "comment"), text(thing, "alias")].concat();
    world.journal.effect("truenas", &format!("iscsi-{}-{what}", kind.word()), name, &mark);
}

/// What is wrong with a thing: the field, and in words.
type Fault = (&'static str, String);

fn validate(
    nas: &State,
    kind: Kind,
    thing: &Map<String, Value>,
    own: Option<i64>,
) -> Result<(), RpcError> {
    let fault = match kind {
        Kind::Group => None,
        Kind::Target => fault_of_target(&nas.iscsi, thing, own),
        Kind::Extent => fault_of_extent(nas, thing, own),
        Kind::Joint => fault_of_joint(&nas.iscsi, thing, own),
    };
    let Some((field, words)) = fault else { return Ok(()) };
    let verb = if own.is_some() { "update" } else { "create" };
    Err(RpcError::field(&format!("iscsi_{}_{verb}.{field}", kind.word()), words, EINVAL))
}

/// Whether another thing has the same in this field.
fn is_taken(things: &Things, own: Option<i64>, field: &str, thing: &Map<String, Value>) -> bool {
    let mut others = things.iter().filter(|(id, _)| own != Some(**id));
    others.any(|(_, other)| !thing[field].is_null() && other[field] == thing[field])
}

fn fault_of_target(iscsi: &Iscsi, thing: &Map<String, Value>, own: Option<i64>) -> Option<Fault> {
    let name = text(thing, "name");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    if name.is_empty() || name.len() > 120 || !name.chars().all(plain) {
        let words = "Only lowercase alphanumeric characters plus dot (.), dash (-), and colon (:) \
                     are allowed.";
        return Some(("name", words.to_owned()));
    }
    if is_taken(&iscsi.targets, own, "name", thing) {
        return Some(("name", "Target with this name already exists".to_owned()));
    }
    if is_taken(&iscsi.targets, own, "alias", thing) {
        return Some(("alias", "Alias already exists".to_owned()));
    }
    let unknown = |group: &&Value| {
        let of = group["initiator"].as_i64();
        group["portal"] != 1 || of.is_some_and(|id| !iscsi.groups.contains_key(&id))
    };
    let groups = thing["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let group = groups.iter().find(unknown)?;
    Some(("groups", format!("Following groups do not exist: {group}")))
}

fn fault_of_extent(nas: &State, thing: &Map<String, Value>, own: Option<i64>) -> Option<Fault> {
    let (name, extents) = (text(thing, "name"), &nas.iscsi.extents);
    let zvol = text(thing, "disk").strip_prefix("zvol/").unwrap_or_default();
    if name.is_empty() || name.len() > 64 || name.contains(['"', '\'']) {
        return Some(("name", "Invalid extent name".to_owned()));
    }
    let flat = |name: &str| name.replace('/', "-");
    let mut others = extents.iter().filter(|(id, _)| own != Some(**id));
    if others.any(|(_, other)| flat(text(other, "name")) == flat(name)) {
        return Some(("name", "Extent name must be unique".to_owned()));
    }
    if nas.datasets.get(zvol).is_none_or(|found| found.volsize.is_none()) {
        return Some(("disk", format!("Device /dev/zvol/{zvol} does not exist")));
    }
    let taken = is_taken(extents, own, "disk", thing);
    taken.then(|| ("disk", "Disk currently in use".to_owned()))
}

fn fault_of_joint(iscsi: &Iscsi, thing: &Map<String, Value>, own: Option<i64>) -> Option<Fault> {
    let number = |field: &str| thing[field].as_i64().unwrap_or(0);
    if !iscsi.targets.contains_key(&number("target")) {
        return Some(("target", "Target does not exist".to_owned()));
    }
    if !iscsi.extents.contains_key(&number("extent")) {
        return Some(("extent", "Extent does not exist".to_owned()));
    }
    let taken = is_taken(&iscsi.joints, own, "extent", thing);
    taken.then(|| ("extent", "Extent is already in use by a target".to_owned()))
}

fn delete(world: &World, kind: Kind, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    let force = match kind {
        Kind::Extent => option_at(params, 2),
        Kind::Target | Kind::Joint => option_at(params, 1),
        Kind::Group => false,
    };
    let stale = !force && kind != Kind::Group && world.faults.fires("truenas", "target-in-use");
    world.change(|state| {
        let iscsi = &mut state.truenas.iscsi;
        let thing = iscsi.things(kind).get(&id).cloned().ok_or_else(|| missing(kind, id))?;
        let hangs_on = |field: &str| {
            let of_it = |joint: &&Map<String, Value>| joint[field] == id;
            iscsi.joints.values().filter(of_it).cloned().collect::<Vec<_>>()
        };
        let (joints, said) = match kind {
            Kind::Group => (Vec::new(), ""),
            Kind::Target => (hangs_on("target"), "Target"),
            Kind::Extent => (hangs_on("extent"), "Associated target(s)"),
            Kind::Joint => (vec![thing.clone()], "Associated target"),
        };
        let mut targets: Vec<&Value> = joints.iter().map(|joint| &joint["target"]).collect();
        targets.extend((kind == Kind::Target).then_some(&thing["id"]));
        let user = iscsi.in_use(&targets).filter(|_| !force);
        if let Some(name) = user.or_else(|| stale.then(|| text(&thing, "name").to_owned())) {
            return Err(unexpected(&format!("{said} {name} is in use.")));
        }
        for joint in joints {
            iscsi.joints.remove(&joint["id"].as_i64().unwrap_or(0));
        }
        if kind == Kind::Group {
            forget_group(iscsi, id);
        }
        iscsi.things(kind).remove(&id);
        note(world, kind, "removed", &thing);
        Ok(Value::Bool(true).into())
    })
}

/// Whoever was kept out by it is kept out no more.
fn forget_group(iscsi: &mut Iscsi, id: i64) {
    for target in iscsi.targets.values_mut() {
        for group in target["groups"].as_array_mut().into_iter().flatten() {
            if group["initiator"] == id {
                group["initiator"] = Value::Null;
            }
        }
    }
}

/// A volume that goes takes its extents along, whoever is logged in.
pub(super) fn detach(world: &World, nas: &mut State, dataset: &str) {
    let disk = format!("zvol/{dataset}");
    let iscsi = &mut nas.iscsi;
    let (gone, kept): (Things, Things) = std::mem::take(&mut iscsi.extents)
        .into_iter()
        .partition(|(_, extent)| text(extent, "disk") == disk);
    iscsi.extents = kept;
    iscsi.joints.retain(|_, joint| !gone.values().any(|extent| extent["id"] == joint["extent"]));
    for extent in gone.values() {
        note(world, Kind::Extent, "removed", extent);
    }
}
