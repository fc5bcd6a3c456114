# Hands each build over to Stead, which says in the build's log what it does. Which build it is, Coder
# says in the environment; `stead` goes by that, and by what a workspace lacks, not by what Terraform
# believes to make or destroy. Nothing here refers to a secret: what a command says would be
# suppressed.

terraform {
  required_version = ">= 1.5"
}

variable "name" {
  type = string
}

variable "owner" {
  type = string
}

variable "template" {
  type = string
}

variable "storage_backend" {
  type = string
}

variable "sizes" {
  type = map(number)
}

# A slider that was moved is a resize, of what was moved alone. That something is replaced here
# destroys nothing: there is no provisioner for it.
resource "terraform_data" "size" {
  for_each         = var.sizes
  triggers_replace = each.value

  provisioner "local-exec" {
    command = "exec stead workspace from-coder --resize --${replace(each.key, "_", "-")} ${each.value}"
  }
}

# Each build says once what the workspace is to be: started or stopped.
resource "terraform_data" "build" {
  triggers_replace = uuid()
  depends_on       = [terraform_data.size]

  lifecycle {
    precondition {
      condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
      error_message = "A workspace's name has 1 to 32 of a-z, 0-9 and -, begins with a letter and does not end in -: it becomes a host name."
    }
  }

  provisioner "local-exec" {
    command     = "exec stead workspace from-coder ${join(" ", [for name, value in var.sizes : "--${replace(name, "_", "-")} ${value}"])} --storage-backend=\"$STORAGE_BACKEND\" --template=\"$TEMPLATE\""
    environment = { TEMPLATE = var.template, STORAGE_BACKEND = var.storage_backend }
  }
}

# What is deleted in Coder is deleted in Stead, with its grace period. This is never replaced, as it
# has nothing that could change; and `stead` deletes only where Coder says that the build deletes.
resource "terraform_data" "life" {
  provisioner "local-exec" {
    when    = destroy
    command = "exec stead workspace from-coder"
  }
}

# What Stead calls this owner's bucket of the workspace's name at the vendor's, whose key the machine is
# given: names of buckets become host names, in which a dot would break the certificate.
output "bucket" {
  value = "${replace(replace(replace(replace(var.owner, "x", "x78"), "-", "x2d"), ".", "x2e"), "_", "x5f")}-${var.name}"
}
