//! The program under test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The `stead` of this workspace, built once for each run of the tests; or the one that
/// `STEAD_BINARY` names.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("STEAD_BINARY").map_or_else(built, PathBuf::from))
}

/// Another build of it, which decides otherwise: what this one calls `proxmox.resize-disk` has
/// another name in it, for engines and workers alike. Its bytes are in one place (`Step::name`).
pub fn other_build() -> &'static PathBuf {
    static OTHER: OnceLock<PathBuf> = OnceLock::new();
    OTHER.get_or_init(|| {
        let file = binary().with_file_name(format!("stead-other-{}", std::process::id()));
        let renamed = "s/proxmox[.]resize-disk/proxmox.resize-disc/g";
        let out = fs::File::create(&file).expect("a file");
        let mut sed = Command::new("sed");
        sed.env("LC_ALL", "C").arg(renamed).arg(binary()).stdout(out);
        assert!(sed.status().expect("sed runs").success(), "the binary can be changed");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it may run");
        file
    })
}

fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // target/<profile>/deps/suite-<hash>
    let profile = test.ancestors().nth(2).expect("a test lies in deps of a profile");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--package", "stead"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let done = build.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "the binary `stead` cannot be built:\n{said}");
    let binary = profile.join("stead");
    assert!(
        binary.is_file(),
        "cargo built `stead`, but it is not at {}; name it in STEAD_BINARY",
        binary.display()
    );
    binary
}
