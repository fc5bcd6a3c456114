//! Histories that real runs left behind replay for ever.

use std::fs;
use std::path::Path;

use stead_core::run::Run;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

#[test]
fn recorded_histories_replay() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/tests/golden");
    let mut replayed = 0;
    for file in fs::read_dir(folder).expect("the folder is there").flatten() {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        let mut run: Option<Run> = None;
        for line in text.lines() {
            let transition = Transition::decode(line.as_bytes()).expect("an old shape decodes");
            let run = run.get_or_insert_with(|| {
                let key = transition.run.key();
                let workflow = WORKFLOWS.iter().find(|known| known.kind == key.kind());
                Run::new(*workflow.expect("the workflow is there"), transition.run.clone())
            });
            let replayed = run.replay(&transition);
            assert!(replayed.is_ok(), "{}: {}", file.path().display(), replayed.unwrap_err());
        }
        replayed += 1;
    }
    assert!(replayed >= 4, "{replayed}");
}
