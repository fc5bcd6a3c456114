//! Where buckets are made.

use super::check;

const S3: &str = "[s3]\nadmin = \"https://garage.lan:3903\"\naddress = \"https://s3.lan\"\n\
                  secret = \"vault:secret/data/s3/admin\"\n\
                  credentials = \"vault:secret/data/stead/buckets\"\n";

#[test]
fn a_site_need_not_have_s3_and_what_it_has_is_checked() {
    check(|text| format!("{S3}{text}"), &[]);
    check(
        |text| {
            format!("{}{text}", S3.replace("buckets", "buckets#1").replace("admin =", "adnim ="))
        },
        &[
            "line 1: s3.credentials: names a folder in Vault, which has no version",
            "line 1: s3.admin: is missing",
            "line 2: s3.adnim: there is no such key; there are address, admin, credentials, \
             grace_seconds, kind, quota_gb, region, secret, users",
        ],
    );
}

#[test]
fn s3_without_an_administration_says_what_it_needs_instead() {
    let generic = |more: &str| {
        let section = S3.replace("admin = \"https://garage.lan:3903\"", "kind = \"generic\"");
        format!("{section}{more}")
    };
    let users = "users = \"vault:secret/data/s3/users\"\n";
    check(|text| format!("{}{text}", generic(users)), &[]);
    check(
        |text| format!("{}{text}", generic("quota_gb = 10\n")),
        &[
            "line 1: s3.quota_gb: is Garage's; S3 of the kind generic has nothing like it",
            "line 1: s3.users: is missing: S3 of the kind generic makes no keys, so each owner's own \
             lies there",
        ],
    );
    check(
        |text| format!("{S3}kind = \"minio\"\n{users}{text}"),
        &[
            "line 1: s3.kind: is garage, or generic for S3 without Garage's administration",
            "line 1: s3.users: is for S3 of the kind generic; Garage makes keys",
        ],
    );
}
