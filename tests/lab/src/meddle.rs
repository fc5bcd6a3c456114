//! What somebody does to Coder, Forgejo and Kubernetes by hand, behind everybody's back.

use crate::lab::Lab;

impl Lab {
    /// Somebody makes a token of this name for a user of Coder's. False if there is no such user.
    pub fn plant_token(&self, user: &str, name: &str) -> bool {
        let uuid = self.world().pace.uuid();
        self.world().change(|state| state.coder.plant_key(user, name, uuid))
    }

    /// Somebody revokes a token in Coder. False if there is none of this name.
    pub fn lose_token(&self, name: &str) -> bool {
        self.world().change(|state| state.coder.lose_key(name))
    }

    /// Somebody makes a version of a template that says this of itself. False if there is no such
    /// template.
    pub fn plant_version(&self, template: &str, name: &str, message: &str) -> bool {
        let pace = &self.world().pace;
        self.world().change(|state| state.coder.plant_version(pace, template, name, message))
    }

    /// Somebody archives a version, or takes it out of the archive. False if there is none of this
    /// name.
    pub fn archive_version(&self, name: &str, is_archived: bool) -> bool {
        self.world().change(|state| state.coder.archive(name, is_archived))
    }

    /// Somebody gives a repository a secret. False if there is no such repository.
    pub fn plant_secret(&self, repository: &str, name: &str) -> bool {
        self.world().change(|state| state.forgejo.plant_secret(repository, name))
    }

    /// Somebody takes a secret away from a repository. False if it has none of this name.
    pub fn lose_secret(&self, repository: &str, name: &str) -> bool {
        self.world().change(|state| state.forgejo.lose_secret(repository, name))
    }

    /// Somebody deletes an object of Kubernetes: of `service`, the one of this name. False if there
    /// is none.
    pub fn lose_object(&self, kind: &str, name: &str) -> bool {
        self.world().change(|state| state.kubernetes.lose(kind, name))
    }

    /// Somebody labels an object of Kubernetes. False if there is none.
    pub fn label_object(&self, kind: &str, name: &str, label: &str, value: &str) -> bool {
        self.world().change(|state| state.kubernetes.label(kind, name, label, value))
    }

    /// Somebody makes a key of S3 that may make buckets.
    pub fn plant_account(&self, id: &str, secret: &str) {
        self.world().change(|state| state.s3.plant_account(id, secret));
    }

    /// Somebody begins so many uploads into a bucket, and has it keep versions or not. False if there is
    /// no such bucket.
    pub fn neglect_bucket(&self, bucket: &str, uploads: u64, versions: bool) -> bool {
        self.world().change(|state| state.s3.neglect(bucket, uploads, versions))
    }
}
