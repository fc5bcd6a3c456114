# Its own login at Proxmox VE, and the key that signs the addresses of seeds. Where seeds are laid as a CD
# (proxmox.seed_storage) it needs what a seed holds, too: the rules of worker-guest.hcl.
path "secret/data/proxmox/*" {
  capabilities = ["read"]
}
path "secret/data/stead/seed" {
  capabilities = ["read"]
}
