//! An image of a CD with a seed on it, as ISO 9660 has it: a few files in one folder, with the label by
//! which cloud-init knows it. Names stand in a second list, too, as Joliet has it, since the first
//! knows none with a dash.

/// What a CD is read in.
const SECTOR: usize = 2048;
/// Where the descriptors begin.
const DESCRIPTORS: usize = 16;
/// Descriptors, two of each list of folders, two folders: what comes before the files.
const FILES: usize = DESCRIPTORS + 3 + 4 + 2;
/// The label, by which cloud-init finds it.
const LABEL: &str = "cidata";

/// How names are written in one of the two lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Plain,
    Joliet,
}

/// One of the two lists: where its descriptor, its list of folders, and its folder are.
struct List {
    names: Names,
    descriptor: usize,
    paths: usize,
    folder: usize,
}

const LISTS: [List; 2] = [
    List { names: Names::Plain, descriptor: DESCRIPTORS, paths: 19, folder: 23 },
    List { names: Names::Joliet, descriptor: DESCRIPTORS + 1, paths: 21, folder: 24 },
];

/// The image of these files.
pub(crate) fn image(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut places = Vec::new();
    let mut end = FILES;
    for (name, content) in files {
        places.push((*name, end, content.len()));
        end += content.len().div_ceil(SECTOR);
    }
    let mut disk = vec![0; end * SECTOR];
    for list in &LISTS {
        put(&mut disk, list.descriptor, &descriptor(list, end));
        put(&mut disk, list.paths, &paths(list, Order::Little));
        put(&mut disk, list.paths + 1, &paths(list, Order::Big));
        put(&mut disk, list.folder, &folder(list, &places));
    }
    put(&mut disk, DESCRIPTORS + 2, b"\xffCD001\x01");
    for ((_, content), (_, at, _)) in files.iter().zip(&places) {
        put(&mut disk, *at, content);
    }
    disk
}

fn put(disk: &mut [u8], sector: usize, bytes: &[u8]) {
    disk[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// A number in both orders, as most of them are written.
fn both(number: usize) -> [u8; 8] {
    let number = small(number);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both_short(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// Seeds are small.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn named(name: &str, names: Names) -> Vec<u8> {
    match names {
        Names::Plain => name.to_uppercase().replace('-', "_").into_bytes(),
        Names::Joliet => name.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

/// A text of a fixed length; what is left of it is blank.
fn padded(text: &str, length: usize, names: Names) -> Vec<u8> {
    let mut bytes = match names {
        Names::Plain => text.to_uppercase().into_bytes(),
        Names::Joliet => named(text, names),
    };
    let blank: &[u8] = if names == Names::Plain { b" " } else { b"\0 " };
    while bytes.len() + blank.len() <= length {
        bytes.extend(blank);
    }
    bytes.resize(length, 0);
    bytes
}

fn descriptor(list: &List, sectors: usize) -> Vec<u8> {
    let kind = if list.names == Names::Plain { 1 } else { 2 };
    let mut bytes = vec![kind];
    bytes.extend(b"CD001\x01\0");
    bytes.extend(padded("", 32, list.names));
    bytes.extend(padded(LABEL, 32, list.names));
    bytes.extend([0; 8]);
    bytes.extend(both(sectors));
    let mut escapes = [0; 32];
    if list.names == Names::Joliet {
        escapes[..3].copy_from_slice(b"%/E");
    }
    bytes.extend(escapes);
    bytes.extend([both_short(1), both_short(1), both_short(2048)].concat());
    bytes.extend(both(paths(list, Order::Little).len()));
    bytes.extend([small(list.paths).to_le_bytes(), [0; 4]].concat());
    bytes.extend([small(list.paths + 1).to_be_bytes(), [0; 4]].concat());
    bytes.extend(record(&[0], list.folder, SECTOR, true));
    // Who made it of what, and three files that say more of it: nobody, and none.
    bytes.extend(padded("", 4 * 128 + 3 * 37, list.names));
    bytes.extend([b"0000000000000000\0".as_slice(); 4].concat());
    bytes.push(1);
    bytes
}

/// The one folder, in the list of folders.
fn paths(list: &List, order: Order) -> Vec<u8> {
    let (at, parent) = (small(list.folder), 1_u16);
    let numbers = match order {
        Order::Little => [at.to_le_bytes().as_slice(), &parent.to_le_bytes()].concat(),
        Order::Big => [at.to_be_bytes().as_slice(), &parent.to_be_bytes()].concat(),
    };
    [[1, 0].as_slice(), &numbers, &[0, 0]].concat()
}

fn folder(list: &List, files: &[(&str, usize, usize)]) -> Vec<u8> {
    let mut bytes = record(&[0], list.folder, SECTOR, true);
    bytes.extend(record(&[1], list.folder, SECTOR, true));
    let mut files: Vec<_> =
        files.iter().map(|(name, at, length)| (named(name, list.names), *at, *length)).collect();
    files.sort();
    for (name, at, length) in files {
        bytes.extend(record(&name, at, length, false));
    }
    bytes
}

/// A line of a folder. Its time is none: what is on it is not older than the boot that reads it.
fn record(name: &[u8], at: usize, length: usize, is_folder: bool) -> Vec<u8> {
    let size = (33 + name.len()).next_multiple_of(2);
    let mut bytes = vec![u8::try_from(size).unwrap_or(u8::MAX), 0];
    bytes.extend(both(at));
    bytes.extend(both(length));
    bytes.extend([126, 1, 1, 0, 0, 0, 0, if is_folder { 2 } else { 0 }, 0, 0]);
    bytes.extend(both_short(1));
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend(name);
    bytes.resize(size, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{SECTOR, image};

    #[test]
    fn an_image_has_its_label_and_its_files_at_whole_sectors() {
        let long = [b'x'; 3_000];
        let disk = image(&[("meta-data", b"a"), ("user-data", &long)]);
        assert_eq!(disk.len(), (25 + 1 + 2) * SECTOR);
        assert_eq!(&disk[16 * SECTOR..][..6], b"\x01CD001");
        assert_eq!(&disk[16 * SECTOR + 40..][..7], b"CIDATA ");
        assert_eq!(&disk[17 * SECTOR..][..6], b"\x02CD001");
        assert_eq!(&disk[17 * SECTOR + 40..][..6], b"\0c\0i\0d");
        assert_eq!(&disk[17 * SECTOR + 88..][..3], b"%/E");
        // The end of a descriptor is where it has to be: nothing before it is too long or too short.
        assert_eq!((disk[16 * SECTOR + 881], disk[17 * SECTOR + 881]), (1, 1));
        assert_eq!((disk[25 * SECTOR], &disk[26 * SECTOR..][..3_000]), (b'a', long.as_slice()));
    }
}
