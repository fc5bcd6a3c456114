//! The histories that are kept for ever: every build decides them again, wherever it is.

/// What each is called, and its transitions.
pub const KEPT: [(&str, &[u8]); 26] = [
    ("allowance-life", include_bytes!("../../../../schemas/tests/golden/allowance-life.jsonl")),
    ("backup-life", include_bytes!("../../../../schemas/tests/golden/backup-life.jsonl")),
    ("backup-life-1", include_bytes!("../../../../schemas/tests/golden/backup-life-1.jsonl")),
    ("bucket-life", include_bytes!("../../../../schemas/tests/golden/bucket-life.jsonl")),
    ("calendar-life", include_bytes!("../../../../schemas/tests/golden/calendar-life.jsonl")),
    (
        "drift-decisions-life",
        include_bytes!("../../../../schemas/tests/golden/drift-decisions-life.jsonl"),
    ),
    ("drift-life", include_bytes!("../../../../schemas/tests/golden/drift-life.jsonl")),
    ("home-life", include_bytes!("../../../../schemas/tests/golden/home-life.jsonl")),
    ("mcp-life", include_bytes!("../../../../schemas/tests/golden/mcp-life.jsonl")),
    ("notice-life", include_bytes!("../../../../schemas/tests/golden/notice-life.jsonl")),
    ("people-life", include_bytes!("../../../../schemas/tests/golden/people-life.jsonl")),
    ("pool-life", include_bytes!("../../../../schemas/tests/golden/pool-life.jsonl")),
    ("probe-life", include_bytes!("../../../../schemas/tests/golden/probe-life.jsonl")),
    ("schedule-life", include_bytes!("../../../../schemas/tests/golden/schedule-life.jsonl")),
    ("spare-life", include_bytes!("../../../../schemas/tests/golden/spare-life.jsonl")),
    ("template-life", include_bytes!("../../../../schemas/tests/golden/template-life.jsonl")),
    ("token-life", include_bytes!("../../../../schemas/tests/golden/token-life.jsonl")),
    ("vmids-life", include_bytes!("../../../../schemas/tests/golden/vmids-life.jsonl")),
    ("volume-life", include_bytes!("../../../../schemas/tests/golden/volume-life.jsonl")),
    (
        "workspace-cancelled",
        include_bytes!("../../../../schemas/tests/golden/workspace-cancelled.jsonl"),
    ),
    ("workspace-create", include_bytes!("../../../../schemas/tests/golden/workspace-create.jsonl")),
    ("workspace-ends", include_bytes!("../../../../schemas/tests/golden/workspace-ends.jsonl")),
    ("workspace-late", include_bytes!("../../../../schemas/tests/golden/workspace-late.jsonl")),
    ("workspace-life", include_bytes!("../../../../schemas/tests/golden/workspace-life.jsonl")),
    (
        "workspace-snapshots",
        include_bytes!("../../../../schemas/tests/golden/workspace-snapshots.jsonl"),
    ),
    (
        "workspace-without-room",
        include_bytes!("../../../../schemas/tests/golden/workspace-without-room.jsonl"),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::KEPT;

    #[test]
    fn every_history_that_is_kept_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/tests/golden");
        let files = fs::read_dir(folder).expect("the folder is there").flatten();
        let files: BTreeSet<String> =
            files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        let built_in: BTreeSet<String> =
            KEPT.iter().map(|(name, _)| format!("{name}.jsonl")).collect();
        assert_eq!(built_in, files);
    }
}
