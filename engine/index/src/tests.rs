//! The promises of an index, kept against everything that may happen to its files.

use std::fs;
use std::path::{Path, PathBuf};

use stead_runtime::conformance::check_index;
use stead_runtime::ports::Index;
use stead_schemas::ids::{EntityKey, Partition};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::time::Timestamp;
use tempfile::TempDir;

use crate::EmbeddedIndex;
use crate::store::Store;
use crate::{codec, key};

const P0: Partition = Partition(0);
const P1: Partition = Partition(1);

/// An index that the partition has begun to fill, and the folder its directory `index` is in.
fn open() -> (EmbeddedIndex, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(folder.path().join("index"));
    index.clear(P0);
    (index, folder)
}

/// An index that has no place in the folder.
fn nowhere(folder: &TempDir) -> EmbeddedIndex {
    let index = EmbeddedIndex::open(folder.path().join("index").join("lock").join("no folder"));
    assert!(is_in_memory(&index));
    index
}

fn line(name: &str, started: i64) -> RunSummary {
    let owner = Owner::new("john").unwrap();
    RunSummary {
        run: EntityKey::of("workspace", &owner, name).run(1),
        kind: "workspace".into(),
        owner,
        name: name.into(),
        state: RunState::Running,
        phase: "ready".into(),
        waiting: String::new(),
        started: Timestamp::from_millis(started),
        updated: Timestamp::from_millis(started + 5),
        transitions: 3,
    }
}

fn all(index: &EmbeddedIndex, partition: Partition) -> Option<Vec<RunSummary>> {
    index.list(partition, None, usize::MAX)
}

/// The names that a partition lists, oldest first, as text; `lost` if it lists nothing.
fn names(index: &EmbeddedIndex, partition: Partition) -> String {
    let Some(mut lines) = all(index, partition) else {
        return "lost".into();
    };
    lines.sort_by_key(|line| line.started);
    let names: Vec<_> = lines.into_iter().map(|line| line.name).collect();
    names.join(" ")
}

/// The one file in which the index `root` keeps everything.
fn file(root: &Path) -> PathBuf {
    let mut rounds = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("db"));
    rounds.find(|path| path.exists()).unwrap()
}

/// Puts bytes where the line would be, behind the codec's back.
fn smuggle(index: &EmbeddedIndex, line: &RunSummary, bytes: Vec<u8>) {
    index.state().store.put(&[(key::key(P0, &line.run), bytes)]).unwrap();
}

fn is_in_memory(index: &EmbeddedIndex) -> bool {
    matches!(index.state().store, Store::Memory(_))
}

#[test]
fn who_is_started_again_in_its_place_has_its_name_again() {
    let (index, folder) = open();
    let path = folder.path().join("index");
    assert_eq!(index.name("a".into()), "a");
    assert_eq!(index.name("x".into()), "a");
    let beside = EmbeddedIndex::open(path.clone());
    assert_eq!(beside.name("b".into()), "b", "another process lives in the first place");
    drop(index);
    assert_eq!(EmbeddedIndex::open(path.clone()).name("c".into()), "a");
    // Half a name, another start of the machine, a copy, a directory that was deleted.
    let kept = fs::read_to_string(path.join("lock")).unwrap();
    let (start, rest) = kept.split_once(' ').unwrap();
    let others = [kept.trim_end().to_owned(), format!("other {rest}"), format!("{start} 1 2 a\n")];
    for other in others {
        fs::write(path.join("lock"), other).unwrap();
        assert_eq!(EmbeddedIndex::open(path.clone()).name("d".into()), "d");
    }
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(EmbeddedIndex::open(path).name("e".into()), "e");
}

#[test]
fn it_keeps_the_promises_of_an_index_in_files_and_in_memory() {
    let (files, folder) = open();
    check_index(&files, &|| fs::remove_dir_all(folder.path().join("index")).unwrap());
    assert!(!is_in_memory(&files));
    let memory = nowhere(&folder);
    check_index(&memory, &|| {
        smuggle(&memory, &line("a", 1), b"damaged".to_vec());
        assert_eq!(names(&memory, P0), "lost");
    });
    assert!(is_in_memory(&memory));
}

#[test]
fn a_page_is_read_without_what_lies_around_it() {
    let (index, folder) = open();
    let memory = nowhere(&folder);
    for index in [&index, &memory] {
        index.clear(P0);
        index.clear(P1);
        let lines: Vec<_> = (0..7).map(|n| line(&format!("w{n}"), n)).collect();
        index.put(P0, lines);
        index.put(P1, vec![line("other", 1)]);
        let sorted = all(index, P0).unwrap();
        // What does not decode would be noticed if it were read.
        smuggle(index, &sorted[0], b"damaged".to_vec());
        smuggle(index, &sorted[6], b"damaged".to_vec());
        let page = |after: usize, most| index.list(P0, Some(&sorted[after].run), most);
        assert_eq!(page(0, 2), Some(sorted[1..3].to_vec()));
        assert_eq!(page(2, 3), Some(sorted[3..6].to_vec()));
        assert_eq!(page(6, 10), Some(Vec::new()), "another partition begins behind the last");
        assert_eq!(page(5, 1), None);
    }
}

#[test]
fn a_new_index_is_lost_until_it_is_cleared() {
    let (index, _folder) = open();
    assert!(!index.put(P1, vec![line("early", 1)]));
    assert_eq!(names(&index, P1), "lost");
    index.clear(P1);
    assert!(index.put(P1, vec![line("a", 2)]));
    assert_eq!(names(&index, P1), "a");
}

#[test]
fn a_deleted_index_says_so_and_can_be_filled_again() {
    let (index, folder) = open();
    index.put(P0, vec![line("a", 1)]);
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    assert_eq!(names(&index, P0), "lost");
    assert!(!index.put(P0, vec![line("b", 2)]));
    index.clear(P0);
    assert!(index.put(P0, vec![line("a", 1), line("b", 2)]));
    assert_eq!(names(&index, P0), "a b");
    assert!(file(&folder.path().join("index")).exists());
}

#[test]
fn a_put_notices_the_deletion_too() {
    let (index, folder) = open();
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(!index.put(P0, vec![line("a", 1)]));
    assert_eq!(names(&index, P0), "lost");
}

#[test]
fn every_partition_is_told_of_the_loss() {
    let (index, folder) = open();
    index.clear(P1);
    index.put(P1, vec![line("one", 1)]);
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    index.clear(P0);
    assert_eq!(names(&index, P0), "");
    assert!(!index.put(P1, vec![line("two", 2)]));
    assert_eq!(names(&index, P1), "lost");
    index.clear(P1);
    assert_eq!(names(&index, P1), "");
}

#[test]
fn the_one_file_missing_is_a_lost_index() {
    let (index, folder) = open();
    fs::remove_file(file(&folder.path().join("index"))).unwrap();
    assert_eq!(names(&index, P0), "lost");
    index.clear(P0);
    assert!(index.put(P0, vec![line("a", 1)]));
    assert_eq!(names(&index, P0), "a");
}

#[test]
fn an_exchanged_file_is_a_lost_index() {
    let (index, folder) = open();
    index.put(P0, vec![line("a", 1)]);
    let path = file(&folder.path().join("index"));
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert_eq!(names(&index, P0), "lost");
}

#[test]
fn a_damaged_value_is_a_lost_index() {
    let (index, _folder) = open();
    let mut bytes = codec::encode(&line("a", 1)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    smuggle(&index, &line("a", 1), bytes);
    assert_eq!(names(&index, P0), "lost");
    index.clear(P0);
    assert_eq!(names(&index, P0), "");
}

#[test]
fn files_that_fail_again_and_again_are_given_up() {
    let (index, _folder) = open();
    for round in 1..=3 {
        assert!(!is_in_memory(&index), "round {round}");
        smuggle(&index, &line("a", 1), b"damaged".to_vec());
        assert_eq!(names(&index, P0), "lost");
        index.clear(P0);
    }
    assert!(is_in_memory(&index));
    assert!(index.put(P0, vec![line("a", 1)]));
    assert_eq!(names(&index, P0), "a");
}

#[test]
fn whoever_lives_keeps_its_name_though_its_files_are_given_up_or_moved() {
    let (index, folder) = open();
    assert_eq!(index.name("a".into()), "a");
    let path = folder.path().join("index");
    fs::rename(&path, folder.path().join("moved")).unwrap();
    assert_eq!(names(&index, P0), "lost");
    let elsewhere = EmbeddedIndex::open(folder.path().join("moved"));
    assert_eq!(elsewhere.name("b".into()), "b");
    for _ in 0..3 {
        index.clear(P0);
        smuggle(&index, &line("a", 1), b"damaged".to_vec());
        assert_eq!(names(&index, P0), "lost");
    }
    assert!(is_in_memory(&index));
    assert_eq!(EmbeddedIndex::open(path).name("c".into()), "c");
}

#[test]
fn deleting_an_index_any_number_of_times_is_no_failure() {
    let (index, folder) = open();
    for _ in 0..10 {
        fs::remove_dir_all(folder.path().join("index")).unwrap();
        assert_eq!(names(&index, P0), "lost");
        index.clear(P0);
    }
    assert!(!is_in_memory(&index));
}

#[test]
fn a_value_of_an_older_version_is_a_lost_index() {
    let (index, _folder) = open();
    let mut bytes = codec::encode(&line("a", 1)).unwrap();
    bytes[0] -= 1;
    smuggle(&index, &line("a", 1), bytes);
    assert_eq!(names(&index, P0), "lost");
}

#[test]
fn what_an_earlier_process_left_is_not_shown() {
    let (index, folder) = open();
    index.put(P0, vec![line("old", 1)]);
    drop(index);
    let index = EmbeddedIndex::open(folder.path().join("index"));
    assert_eq!(names(&index, P0), "lost");
    index.clear(P0);
    index.put(P0, vec![line("new", 2)]);
    assert_eq!(names(&index, P0), "new");
    assert!(!folder.path().join("index-1").exists());
}

#[test]
fn garbage_from_an_earlier_process_does_not_matter() {
    let (index, folder) = open();
    let root = folder.path().join("index");
    drop(index);
    fs::write(file(&root), b"this was a database").unwrap();
    let index = EmbeddedIndex::open(root);
    index.clear(P0);
    assert!(index.put(P0, vec![line("a", 1)]));
    assert!(!is_in_memory(&index));
}

#[test]
fn only_what_is_ours_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let thesis = folder.path().join("2024").join("thesis.txt");
    fs::create_dir(folder.path().join("2024")).unwrap();
    fs::write(&thesis, b"years of work").unwrap();
    let index = EmbeddedIndex::open(folder.path().to_owned());
    fs::remove_file(file(folder.path())).unwrap();
    assert_eq!(names(&index, P0), "lost");
    drop(EmbeddedIndex::open(folder.path().to_owned()));
    assert!(thesis.exists());
}

#[test]
fn two_indexes_do_not_share_a_directory() {
    let (first, folder) = open();
    let second = EmbeddedIndex::open(folder.path().join("index"));
    second.clear(P0);
    first.put(P0, vec![line("first", 1)]);
    second.put(P0, vec![line("second", 1)]);
    assert_eq!(names(&first, P0), "first");
    assert_eq!(names(&second, P0), "second");
    assert!(file(&folder.path().join("index-1")).exists());
}

#[test]
fn a_directory_taken_over_while_it_was_deleted_is_left_to_its_new_user() {
    let (first, folder) = open();
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let second = EmbeddedIndex::open(folder.path().join("index"));
    second.clear(P0);
    assert_eq!(names(&first, P0), "lost");
    assert!(file(&folder.path().join("index-1")).exists());
    assert!(second.put(P0, vec![line("second", 1)]));
    assert_eq!(names(&second, P0), "second");
}

#[test]
fn where_no_directory_can_be_made_the_index_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"not a directory").unwrap();
    let index = EmbeddedIndex::open(file.join("index"));
    assert!(is_in_memory(&index));
    assert_eq!(names(&index, P0), "lost");
    index.clear(P0);
    index.clear(P1);
    assert!(index.put(P0, vec![line("b", 2), line("a", 1)]));
    assert!(index.put(P1, vec![line("one", 1)]));
    assert_eq!(names(&index, P0), "a b");
    index.clear(P0);
    assert_eq!(names(&index, P0), "");
    assert_eq!(names(&index, P1), "one");
}

#[test]
fn an_index_whose_directory_cannot_be_made_again_goes_on_in_memory() {
    let (index, folder) = open();
    let root = folder.path().join("index");
    fs::remove_dir_all(&root).unwrap();
    fs::write(&root, b"not a directory").unwrap();
    assert_eq!(names(&index, P0), "lost");
    assert!(is_in_memory(&index));
    index.clear(P0);
    assert!(index.put(P0, vec![line("a", 1)]));
    assert_eq!(names(&index, P0), "a");
}
