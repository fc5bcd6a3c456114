//! The site configuration that leads a Stead to this lab.

use crate::kubernetes::REPOSITORIES;
use crate::options::Addresses;

/// The templates of the site: name, VMID, Coder's template, and what their guests are. The disk of
/// each has 40 GiB.
const TEMPLATES: [(&str, u32, &str, &str); 2] = [
    ("debian-12", 9000, "stead-machine", ""),
    ("debian-12-desktop", 9001, "stead-desktop", "guest = { docker = true, desktop = true }\n"),
];

/// The repository that Coder's templates are made of, each of the folder of its name. Nobody looks at it by
/// himself: a webhook that the lab loses stays lost.
const REPOSITORY: &str = "platform/templates";

/// The configuration as TOML; secrets are references into this mount of Vault's.
pub(crate) fn toml(at: &Addresses, mount: &str) -> String {
    let templates: String = TEMPLATES.iter().map(template).collect();
    let host = at.kubernetes_url.trim_start_matches("http://");
    let servers: String = REPOSITORIES.iter().map(|name| server(host, name)).collect();
    let text = format!(
        r#"[vault]
address = "{vault}"
mount = "{mount}"
role_id = "env:STEAD_VAULT_ROLE_ID"
secret_id = "env:STEAD_VAULT_SECRET_ID"

[proxmox]
address = "{proxmox}"
secret = "vault:secret/data/proxmox/api"
node = "pve1"
vmid_first = 10000
vmid_last = 10999

[truenas]
address = "{truenas}"
secret = "vault:secret/data/truenas/api"
parent = "tank/coder-home"
nfs_server = "127.0.0.1"
networks = "10.10.20.0/24, 10.10.30.0/24"
volumes = "tank/coder-volumes"
portal = "127.0.0.1:3260"

[coder]
address = "{coder}"
secret = "vault:secret/data/coder/api"
organization = "default"

[forgejo]
address = "{forgejo}"
secret = "vault:secret/data/forgejo/api"
credentials = "vault:secret/data/stead/tokens"
webhook_secret = "vault:secret/data/stead/webhook"

# Who may own workspaces is asked of Authentik where this section is there.
#[authentik]
#address = "{authentik}"
#secret = "vault:secret/data/authentik/api"

[s3]
admin = "{s3}"
address = "{s3}"
secret = "vault:secret/data/s3/admin"
credentials = "vault:secret/data/stead/buckets"

[kubernetes]
address = "{kubernetes}"
registry = "{kubernetes}"
secret = "vault:secret/data/kubernetes/api"

[guest]
secret = "vault:secret/data/stead/seed"
{templates}{servers}"#,
        vault = at.vault_url,
        proxmox = at.proxmox_url,
        truenas = at.truenas_url,
        coder = at.coder_url,
        forgejo = at.forgejo_url,
        authentik = at.authentik_url,
        s3 = at.s3_url,
        kubernetes = at.kubernetes_url,
    );
    text.replace("vault:secret/", &format!("vault:{mount}/"))
}

fn template((name, vmid, coder, guest): &(&str, u32, &str, &str)) -> String {
    format!(
        "\n[[template]]\nname = \"{name}\"\nvmid = {vmid}\ndisk_gb = 40\nvolume_gb_max = 100\ncoder_template = \"{coder}\"\n{guest}\
         \n[[deployments]]\ntemplate = \"{coder}\"\nrepository = \"{REPOSITORY}\"\npath = \"{coder}\"\npoll = \"never\"\n"
    )
}

fn server(host: &str, name: &str) -> String {
    format!(
        "\n[[mcp_servers]]\nname = \"{name}\"\nimage = \"{host}/{name}:latest\"\n\
         vault_path = \"secret/mcp/{name}/{{username}}\"\n"
    )
}
