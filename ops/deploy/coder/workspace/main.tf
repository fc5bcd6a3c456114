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

variable "volume_gb_max" {
  description = "The largest volume that may be chosen, as the site's template says (`volume_gb_max`); none is offered if nothing is said."
  type        = number
  default     = 0
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
  description = "Where people find Grafana, or a dashboard of theirs: `{owner}` in it becomes the owner's name. No link is shown if nothing is said."
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

variable "system" {
  description = "The system of the site's template, as its `guest.system` says: linux or windows."
  type        = string
  default     = "linux"
  validation {
    condition     = contains(["linux", "windows"], var.system)
    error_message = "It is linux or windows."
  }
}

variable "desktop" {
  description = "Whether the site's template has a desktop that a browser shows, as its `guest.desktop` says."
  type        = bool
  default     = false
}

variable "tasks" {
  description = "What Aider can be told by pressing a button: what is shown, and the message. It changes files and commits nothing."
  type        = map(object({ name = string, message = string }))
  default     = {}
  validation {
    condition     = alltrue([for slug, task in var.tasks : can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", slug)) && trimspace(task.message) != ""])
    error_message = "A task has a slug of a-z, 0-9 and -, and a message."
  }
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
  icon         = "/icon/memory.svg"
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
  icon         = "/icon/memory.svg"
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
  icon         = "/icon/folder.svg"
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

data "coder_parameter" "disk_gb" {
  name         = "disk_gb"
  display_name = "Disk (GiB)"
  description  = "The machine's own disk. It only grows, and goes with the machine: what is to stay belongs into the home."
  icon         = "/icon/database.svg"
  type         = "number"
  form_type    = "slider"
  default      = 40
  mutable      = true
  order        = 4
  validation {
    min       = 40
    max       = 200
    monotonic = "increasing"
  }
}

data "coder_parameter" "volume_gb" {
  count        = var.volume_gb_max > 0 ? 1 : 0
  name         = "volume_gb"
  display_name = "Volume (GiB)"
  description  = "A volume of the workspace's own on /data; 0 is none. It is made with the workspace or never, and only grows."
  icon         = "/icon/database.svg"
  type         = "number"
  form_type    = "slider"
  default      = 0
  mutable      = true
  order        = 5
  validation {
    min       = 0
    max       = var.volume_gb_max
    monotonic = "increasing"
  }
}

data "coder_parameter" "storage_backend" {
  name         = "storage_backend"
  display_name = "Storage"
  description  = "The storage beneath the machine's own disk. It cannot be changed later."
  icon         = "/icon/database.svg"
  type         = "string"
  form_type    = "dropdown"
  default      = "iscsi"
  mutable      = false
  order        = 6
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
  icon         = "/icon/container.svg"
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
  os                 = var.system
  dir                = var.system == "windows" ? "H:\\" : "/home/coder"
  connection_timeout = 900

  # What the agent sees of its machine, while it is connected.
  dynamic "metadata" {
    for_each = var.system == "linux" ? local.seen : {}
    content {
      key          = metadata.key
      display_name = metadata.value.name
      script       = metadata.value.script
      interval     = metadata.value.every
      timeout      = 5
    }
  }
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
  sizes           = local.sizes
  # A machine is started only when its agent's token lies in Vault.
  depends_on = [vault_kv_secret_v2.agent]
}

locals {
  sizes = merge({
    cpu_cores        = tonumber(data.coder_parameter.cpu_cores.value)
    memory_gb        = tonumber(data.coder_parameter.memory_gb.value)
    storage_quota_gb = tonumber(data.coder_parameter.storage_quota_gb.value)
    disk_gb          = tonumber(data.coder_parameter.disk_gb.value)
  }, { for volume in data.coder_parameter.volume_gb : volume.name => tonumber(volume.value) })
  seen = {
    cpu     = { name = "CPU", script = "coder stat cpu", every = 10 }
    memory  = { name = "Memory", script = "coder stat mem", every = 10 }
    home    = { name = "Home", script = "coder stat disk --path /home/coder", every = 60 }
    uptime  = { name = "Up since", script = "uptime --since", every = 60 }
    address = { name = "Addresses", script = "hostname --all-ip-addresses", every = 60 }
  }
  owner = urlencode(data.coder_workspace_owner.me.name)
  links = {
    vault   = { name = "Vault", icon = "vault", base = var.vault_url, path = "/ui" }
    grafana = { name = "Grafana", icon = "grafana", base = replace(var.grafana_url, "{owner}", local.owner), path = "" }
    s3      = { name = "S3 bucket", icon = "database", base = var.s3_url, path = "/buckets/${module.stead.bucket}" }
    forgejo = { name = "Forgejo", icon = "git", base = var.forgejo_url, path = "" }
  }
}

resource "coder_app" "link" {
  for_each     = { for slug, link in local.links : slug => link if link.base != "" && data.coder_workspace.me.start_count > 0 }
  agent_id     = coder_agent.main[0].id
  slug         = each.key
  display_name = each.value.name
  icon         = "/icon/${each.value.icon}.svg"
  url          = "${trimsuffix(each.value.base, "/")}${each.value.path}"
  external     = true
}

# It listens on the machine's loopback: the way to it is the agent, for its owner alone. It needs a
# domain of its own, as noVNC looks for its server at the root: CODER_WILDCARD_ACCESS_URL.
resource "coder_app" "desktop" {
  count        = var.desktop ? data.coder_workspace.me.start_count : 0
  agent_id     = coder_agent.main[0].id
  slug         = "desktop"
  display_name = "Desktop"
  icon         = "/icon/desktop.svg"
  url          = "http://localhost:6080/vnc.html?autoconnect=true&resize=remote"
  subdomain    = true
  share        = "owner"
  healthcheck {
    url       = "http://localhost:6080/vnc.html"
    interval  = 10
    threshold = 30
  }
}

# The message is one word of the shell, whatever stands in it.
resource "coder_app" "task" {
  for_each     = { for slug, task in var.tasks : slug => task if data.coder_workspace.me.start_count > 0 }
  agent_id     = coder_agent.main[0].id
  slug         = "task-${each.key}"
  display_name = each.value.name
  icon         = "/icon/aider.svg"
  command      = "aider --no-auto-commits --message '${replace(each.value.message, "'", "'\\''")}'"
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
    value = "${data.coder_parameter.disk_gb.value} GiB, ${data.coder_parameter.storage_backend.value}"
  }
  dynamic "item" {
    for_each = data.coder_parameter.volume_gb
    content {
      key   = "Volume"
      value = item.value.value == "0" ? "none" : "${item.value.value} GiB"
    }
  }
  item {
    key   = "Desktop"
    value = var.system == "windows" ? "Windows, by RDP" : var.desktop ? "in the browser" : "none"
  }
}
