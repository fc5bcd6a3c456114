# What a developer sees of a workspace in Coder, and what he may choose. Everything else is Stead's:
# the module `stead` hands each build over to it. README.md says what this needs.

terraform {
  required_version = ">= 1.5"
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.4"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 4.0"
    }
  }
}

variable "stead_template" {
  description = "The template of the site that workspaces are made of; the first one that this template of Coder's shows, if nothing is said."
  type        = string
  default     = ""
}

variable "vault_mount" {
  description = "The KV engine, version 2, in which agents' tokens are left for their machines."
  type        = string
  default     = "secret"
}

variable "vault_url" {
  description = "Where people find Vault; no link is shown if nothing is said."
  type        = string
  default     = ""
}

variable "grafana_url" {
  description = "Where people find Grafana; no link is shown if nothing is said."
  type        = string
  default     = ""
}

variable "s3_url" {
  description = "Where people find the console of the object store; no link is shown if nothing is said."
  type        = string
  default     = ""
}

variable "forgejo_url" {
  description = "Where people find Forgejo; no link is shown if nothing is said."
  type        = string
  default     = ""
}

provider "coder" {}

# Its address and its token are in the environment of Coder's provisioner.
provider "vault" {
  skip_child_token = true
}

data "coder_workspace" "me" {}

data "coder_workspace_owner" "me" {}

data "coder_parameter" "cpu_cores" {
  name         = "cpu_cores"
  display_name = "CPU cores"
  description  = "Virtual cores. A change takes effect when the machine starts next."
  type         = "number"
  form_type    = "slider"
  default      = 4
  mutable      = true
  order        = 1
  validation {
    min = 2
    max = 16
  }
}

data "coder_parameter" "memory_gb" {
  name         = "memory_gb"
  display_name = "Memory (GiB)"
  description  = "A change takes effect when the machine starts next."
  type         = "number"
  form_type    = "slider"
  default      = 8
  mutable      = true
  order        = 2
  validation {
    min = 4
    max = 64
  }
}

data "coder_parameter" "storage_quota_gb" {
  name         = "storage_quota_gb"
  display_name = "Home (GiB)"
  description  = "How much your home may hold. All your workspaces share it, and a change keeps it."
  type         = "number"
  form_type    = "slider"
  default      = 50
  mutable      = true
  order        = 3
  validation {
    min = 20
    max = 500
  }
}

data "coder_parameter" "storage_backend" {
  name         = "storage_backend"
  display_name = "Disk"
  description  = "The storage beneath the machine's own disk. It cannot be changed later."
  type         = "string"
  form_type    = "dropdown"
  default      = "iscsi"
  mutable      = false
  order        = 4
  option {
    name        = "iSCSI"
    description = "For general use, with ample room."
    value       = "iscsi"
  }
  option {
    name        = "NVMe"
    description = "For much input and output, with very low latency and little room."
    value       = "nvme"
  }
}

data "coder_parameter" "stead_run" {
  name         = "stead_run"
  display_name = "Stead's mark"
  description  = "Stead fills this in where it makes the workspace itself. Leave it empty."
  type         = "string"
  default      = ""
  mutable      = true
  order        = 90
}

# The token is a new one after each stop, and Coder knows it once the build has succeeded. The
# machine boots after that, so its agent may take as long as a boot.
resource "coder_agent" "main" {
  count              = data.coder_workspace.me.start_count
  arch               = "amd64"
  os                 = "linux"
  dir                = "/home/coder"
  connection_timeout = 900
}

# The token reaches the machine by reference: Stead's door for guests reads it here at each boot.
resource "vault_kv_secret_v2" "agent" {
  count     = data.coder_workspace.me.start_count
  mount     = var.vault_mount
  name      = "stead/agents/${data.coder_workspace.me.id}"
  data_json = jsonencode({ token = coder_agent.main[0].token })
}

module "stead" {
  source          = "./stead"
  owner           = data.coder_workspace_owner.me.name
  name            = data.coder_workspace.me.name
  template        = var.stead_template
  storage_backend = data.coder_parameter.storage_backend.value
  sizes = {
    cpu_cores        = tonumber(data.coder_parameter.cpu_cores.value)
    memory_gb        = tonumber(data.coder_parameter.memory_gb.value)
    storage_quota_gb = tonumber(data.coder_parameter.storage_quota_gb.value)
  }
  # A machine is started only when its agent's token lies in Vault.
  depends_on = [vault_kv_secret_v2.agent]
}

locals {
  links = {
    vault   = { name = "Vault", base = var.vault_url, path = "/ui" }
    grafana = { name = "Grafana", base = var.grafana_url, path = "/d/workspace?var-user=${urlencode(data.coder_workspace_owner.me.name)}" }
    s3      = { name = "S3 bucket", base = var.s3_url, path = "/buckets/${module.stead.bucket}" }
    forgejo = { name = "Forgejo", base = var.forgejo_url, path = "" }
  }
}

resource "coder_app" "link" {
  for_each     = { for slug, link in local.links : slug => link if link.base != "" && data.coder_workspace.me.start_count > 0 }
  agent_id     = coder_agent.main[0].id
  slug         = each.key
  display_name = each.value.name
  url          = "${trimsuffix(each.value.base, "/")}${each.value.path}"
  external     = true
}

# What was chosen here. Where Stead made the workspace itself, nothing was.
resource "coder_metadata" "workspace" {
  count       = data.coder_parameter.stead_run.value == "" ? data.coder_workspace.me.start_count : 0
  resource_id = vault_kv_secret_v2.agent[0].id
  item {
    key   = "CPU cores"
    value = data.coder_parameter.cpu_cores.value
  }
  item {
    key   = "Memory"
    value = "${data.coder_parameter.memory_gb.value} GiB"
  }
  item {
    key   = "Home"
    value = "${data.coder_parameter.storage_quota_gb.value} GiB"
  }
  item {
    key   = "Disk"
    value = data.coder_parameter.storage_backend.value
  }
}
